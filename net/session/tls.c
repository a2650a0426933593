/* SPDX-License-Identifier: Apache-2.0 */
#include "net/session/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

static int wrong(struct tls *t, enum stage stage, int code, const char *detail)
{
    t->stage = stage;
    t->code = code;
    snprintf(t->detail, sizeof t->detail, "%s", detail);
    return -1;
}

/* ---- before the connection ---- */

static int make_context(struct tls *t)
{
    /* The system's configuration holds the site's crypto policy; the environment has no say. */
    OPENSSL_init_ssl(
        OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_NO_ATEXIT, NULL);
    SSL_CTX *c = t->ctx = SSL_CTX_new(TLS_client_method());
    if (!c)
        return -1;
    if (SSL_CTX_get_min_proto_version(c) < TLS1_2_VERSION &&
        SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1)
        return -1;
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* A flood of records without data must not keep SSL_read from returning to the loop. */
    SSL_CTX_clear_mode(c, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    return ca_attach(&t->ca, SSL_CTX_get_cert_store(c));
}

static bool is_address(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* Whom the certificate must name. An address is never sent as server name (RFC 6066 section 3). */
static int expect_host(SSL *ssl, char *host)
{
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1 ? 0 : -1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1 ? 0 : -1;
}

static int make_ssl(struct tls *t, struct span host)
{
    static const unsigned char http11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    char name[LIMIT_HOST + 1];
    if (host.len > 2 && host.data[0] == '[')
        host = (struct span){host.data + 1, host.len - 2};
    /* A root dot is for the resolver; no certificate has it. */
    if (host.len > 1 && host.data[host.len - 1] == '.')
        host.len--;
    t->ssl = SSL_new(t->ctx);
    if (!t->ssl || !span_copy(name, sizeof name, host) || expect_host(t->ssl, name) != 0 ||
        SSL_set_alpn_protos(t->ssl, http11, sizeof http11) != 0)
        return -1;
    SSL_set_connect_state(t->ssl);
    return 0;
}

int tls_init(struct tls *t, struct span host, struct span ca_pem, struct span pins)
{
    *t = (struct tls){.stage = STAGE_INTERNAL};
    if (pins.len % LIMIT_PIN_BYTES != 0 || pins.len > sizeof t->pins)
        return wrong(t, STAGE_INTERNAL, EINVAL, "a pin is not 32 bytes long");
    t->n_pins = pins.len / LIMIT_PIN_BYTES;
    if (pins.len)
        memcpy(t->pins, pins.data, pins.len);
    if (ca_init(&t->ca, ca_pem) != 0)
        return wrong(t, STAGE_INTERNAL, ENOMEM, "no memory for the CA bundle");
    if (t->ca.n == 0)
        return wrong(t, STAGE_INTERNAL, EINVAL, "no certificate in the CA bundle");
    if (make_context(t) != 0 || make_ssl(t, host) != 0) {
        const char *reason = ERR_reason_error_string(ERR_peek_error());
        return wrong(t, STAGE_INTERNAL, 0, reason ? reason : "OpenSSL cannot be set up");
    }
    return 0;
}

void tls_finish(struct tls *t)
{
    SSL_free(t->ssl);
    SSL_CTX_free(t->ctx);
    ca_finish(&t->ca);
    *t = (struct tls){0};
}

/* ---- the connection ---- */

int tls_attach(struct tls *t, int socket)
{
    return SSL_set_fd(t->ssl, socket) == 1 ? 0 : -1;
}

/* What a call that returned no success means. */
static enum tls_io judge(struct tls *t, int rc)
{
    int saved = errno;
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_EOF;
    case SSL_ERROR_SYSCALL:
        if (saved == 0)
            return TLS_EOF;
        wrong(t, STAGE_DROPPED, saved, strerror(saved));
        return TLS_FAILED;
    default:
        break;
    }
    unsigned long e = ERR_peek_error();
    if (ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return TLS_EOF;
    const char *reason = ERR_reason_error_string(e);
    wrong(t, STAGE_DROPPED, 0, reason ? reason : "TLS failure");
    return TLS_FAILED;
}

static void explain_handshake(struct tls *t, enum tls_io how)
{
    long v = SSL_get_verify_result(t->ssl);
    const char *text = X509_verify_cert_error_string(v);
    if (v == X509_V_ERR_HOSTNAME_MISMATCH || v == X509_V_ERR_IP_ADDRESS_MISMATCH)
        text = "certificate is for another host";
    if (v != X509_V_OK)
        wrong(t, STAGE_TLS, (int)v, text);
    else if (how == TLS_EOF)
        wrong(t, STAGE_TLS, 0, "the server ended the connection during the handshake");
    else
        t->stage = STAGE_TLS;
}

static bool protocol_ok(const struct tls *t)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(t->ssl, &name, &len);
    return len == 0 || (len == 8 && memcmp(name, "http/1.1", 8) == 0);
}

static bool is_pinned(const struct tls *t, const X509 *x)
{
    unsigned char digest[LIMIT_PIN_BYTES], *spki = NULL;
    size_t digest_len = 0;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki);
    bool ok = len > 0 &&
              EVP_Q_digest(NULL, "SHA256", NULL, spki, (size_t)len, digest, &digest_len) == 1 &&
              digest_len == sizeof digest;
    OPENSSL_free(spki);
    for (size_t i = 0; ok && i < t->n_pins; i++)
        if (memcmp(t->pins + i * LIMIT_PIN_BYTES, digest, sizeof digest) == 0)
            return true;
    return false;
}

static bool pins_ok(const struct tls *t)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(t->ssl);
    for (int i = 0; t->n_pins && i < sk_X509_num(chain); i++)
        if (is_pinned(t, sk_X509_value(chain, i)))
            return true;
    return t->n_pins == 0;
}

enum tls_io tls_handshake(struct tls *t)
{
    ERR_clear_error();
    errno = 0;
    int rc = SSL_do_handshake(t->ssl);
    if (rc != 1) {
        enum tls_io how = judge(t, rc);
        if (how == TLS_WANT_READ || how == TLS_WANT_WRITE)
            return how;
        explain_handshake(t, how);
        return TLS_FAILED;
    }
    long v = SSL_get_verify_result(t->ssl);
    if (v != X509_V_OK || !SSL_get0_peer_certificate(t->ssl)) {
        wrong(t, STAGE_TLS, (int)v, "no verified certificate");
        return TLS_FAILED;
    }
    if (!protocol_ok(t)) {
        wrong(t, STAGE_TLS, 0, "the server chose another protocol than http/1.1");
        return TLS_FAILED;
    }
    if (!pins_ok(t)) {
        wrong(t, STAGE_PIN, 0, "no key of the certificate chain is pinned");
        return TLS_FAILED;
    }
    return TLS_OK;
}

enum tls_io tls_read(struct tls *t, char *data, size_t size, size_t *n)
{
    ERR_clear_error();
    errno = 0;
    int rc = SSL_read_ex(t->ssl, data, size, n);
    return rc == 1 ? TLS_OK : judge(t, rc);
}

bool tls_pending(const struct tls *t)
{
    return SSL_pending(t->ssl) > 0;
}

enum tls_io tls_write(struct tls *t, const char *data, size_t len, size_t *n)
{
    ERR_clear_error();
    errno = 0;
    int rc = SSL_write_ex(t->ssl, data, len, n);
    return rc == 1 ? TLS_OK : judge(t, rc);
}

unsigned tls_version(const struct tls *t)
{
    return (unsigned)SSL_version(t->ssl);
}

void tls_goodbye(struct tls *t)
{
    ERR_clear_error();
    if (t->ssl && SSL_is_init_finished(t->ssl))
        SSL_shutdown(t->ssl);
}
