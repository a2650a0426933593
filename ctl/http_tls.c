/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/http_tls.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

static void write_name(char *out, size_t size, const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n = -1;
    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        n = BIO_read(bio, out, (int)size - 1);
    out[n > 0 ? n : 0] = '\0';
    BIO_free(bio);
}

static void write_time(char *out, size_t size, const ASN1_TIME *time)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1 || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
}

/* SHA-256 of the public key as the certificate has it. */
static bool digest_key(const X509 *x, unsigned char digest[LIMIT_PIN_BYTES])
{
    unsigned char *spki = NULL;
    size_t digest_len = 0;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki);
    bool ok = len > 0 &&
              EVP_Q_digest(NULL, "SHA256", NULL, spki, (size_t)len, digest, &digest_len) == 1 &&
              digest_len == LIMIT_PIN_BYTES;
    OPENSSL_free(spki);
    return ok;
}

static void describe(struct http_certificate *c, const X509 *x)
{
    unsigned char digest[LIMIT_PIN_BYTES];
    *c = (struct http_certificate){0};
    write_name(c->subject, sizeof c->subject, X509_get_subject_name(x));
    write_name(c->issuer, sizeof c->issuer, X509_get_issuer_name(x));
    write_time(c->not_before, sizeof c->not_before, X509_get0_notBefore(x));
    write_time(c->not_after, sizeof c->not_after, X509_get0_notAfter(x));
    if (digest_key(x, digest))
        for (size_t i = 0; i < sizeof digest; i++)
            snprintf(c->pin + 2 * i, 3, "%02x", digest[i]);
}

static void record(struct http_chain *chain, X509_STORE_CTX *store)
{
    STACK_OF(X509) *shown = X509_STORE_CTX_get0_untrusted(store);
    *chain = (struct http_chain){.seen = true};
    for (int i = 0; i < sk_X509_num(shown) && chain->n < HTTP_CHAIN_MAX; i++)
        describe(&chain->certificates[chain->n++], sk_X509_value(shown, i));
}

/* As the agent has it: any key of the verified chain will do. */
static bool is_pinned(const struct http_tls *t, X509_STORE_CTX *store)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);
    unsigned char digest[LIMIT_PIN_BYTES];
    for (int i = 0; i < sk_X509_num(chain); i++)
        for (size_t at = 0; at < t->pins_len; at += LIMIT_PIN_BYTES)
            if (digest_key(sk_X509_value(chain, i), digest) &&
                memcmp(t->pins + at, digest, sizeof digest) == 0)
                return true;
    return t->pins_len == 0;
}

static int verify(X509_STORE_CTX *store, void *context)
{
    struct http_tls *t = context;
    struct http_chain *chain = &t->chain;
    record(chain, store);
    if (X509_verify_cert(store) != 1) {
        snprintf(chain->why, sizeof chain->why, "%s",
                 X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
        return 0;
    }
    chain->verified = true;
    if (is_pinned(t, store))
        return 1;
    chain->unpinned = true;
    snprintf(chain->why, sizeof chain->why, "no key of the certificate chain is pinned");
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

CURLcode http_tls_prepare(CURL *easy, void *ssl_ctx, void *context)
{
    SSL_CTX *c = ssl_ctx;
    (void)easy;
    /* Only ever raised: the system's policy may demand more. */
    if (SSL_CTX_get_min_proto_version(c) < TLS1_2_VERSION &&
        SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1)
        return CURLE_SSL_CONNECT_ERROR;
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
    SSL_CTX_set_cert_verify_callback(c, verify, context);
    return CURLE_OK;
}
