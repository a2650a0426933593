/* SPDX-License-Identifier: Apache-2.0 */
#include "net/session/upgrade.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

/* RFC 6455 section 1.3. */
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

void upgrade_accept(struct upgrade *u)
{
    char text[sizeof u->key + sizeof GUID];
    unsigned char digest[EVP_MAX_MD_SIZE], base64[2 * EVP_MAX_MD_SIZE];
    size_t len = 0;
    int n = snprintf(text, sizeof text, "%s" GUID, u->key);
    u->accept[0] = '\0';
    if (EVP_Q_digest(NULL, "SHA1", NULL, text, (size_t)n, digest, &len) != 1 || len != 20)
        return;
    EVP_EncodeBlock(base64, digest, (int)len);
    memcpy(u->accept, base64, sizeof u->accept);
}

int upgrade_init(struct upgrade *u)
{
    unsigned char nonce[16];
    if (RAND_bytes(nonce, sizeof nonce) != 1)
        return -1;
    EVP_EncodeBlock((unsigned char *)u->key, nonce, sizeof nonce);
    upgrade_accept(u);
    return u->accept[0] ? 0 : -1;
}

const char *upgrade_check(const struct upgrade *u, const struct http_headers *h)
{
    if (h->upgrades != 1 || !h->upgrade_websocket)
        return "no Upgrade to websocket";
    if (!h->connection_upgrade)
        return "no Connection: upgrade";
    if (h->accepts != 1 || strcmp(h->accept, u->accept) != 0)
        return "Sec-WebSocket-Accept does not match";
    if (h->extension)
        return "an extension that was not asked for";
    if (h->subprotocol)
        return "a subprotocol that was not asked for";
    return NULL;
}
