/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "net/session/ca.h"
#include "tests/unit/test.h"

#define SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"
#define DAY           86400L

struct validity {
    long from, until; /* days from now */
};

static const struct validity valid = {-9, 9}, expired = {-9, -1};

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

/* A certificate by `issuer`, or of an authority when that is NULL. type: the name's ASN.1 string.
 */
static X509 *make(const char *subject, int type, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
                  struct validity v)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_NAME_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), rand());
    X509_gmtime_adj(X509_getm_notBefore(x), v.from * DAY);
    X509_gmtime_adj(X509_getm_notAfter(x), v.until * DAY);
    X509_NAME_add_entry_by_txt(name, "CN", type, (const unsigned char *)subject, -1, -1, 0);
    X509_set_subject_name(x, name);
    X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name);
    X509_set_pubkey(x, key);
    extend(x, issuer ? issuer : x, NID_basic_constraints, issuer ? "CA:FALSE" : "critical,CA:TRUE");
    extend(x, issuer ? issuer : x, NID_subject_key_identifier, "hash");
    extend(x, issuer ? issuer : x, NID_authority_key_identifier, "keyid");
    assert_true(X509_sign(x, issuer_key, EVP_sha256()) > 0);
    X509_NAME_free(name);
    return x;
}

static X509 *root(const char *subject, int type, EVP_PKEY *key, struct validity v)
{
    return make(subject, type, key, NULL, key, v);
}

static void append(struct buf *pem, X509 *x)
{
    char *data;
    BIO *b = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(b, x);
    long n = BIO_get_mem_data(b, &data);
    assert_true(buf_append(pem, data, (size_t)n));
    BIO_free(b);
    X509_free(x);
}

static int verdict(X509_STORE *store, X509 *leaf)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_STORE_CTX_init(ctx, store, leaf, NULL);
    int rc = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    return rc;
}

/* A store that holds the whole bundle: what the index must agree with. */
static X509_STORE *plain_store(struct span pem, size_t *n)
{
    X509_STORE *store = X509_STORE_new();
    BIO *b = BIO_new_mem_buf(pem.data, (int)pem.len);
    *n = 0;
    for (X509 *x; (x = PEM_read_bio_X509(b, NULL, NULL, NULL)); X509_free(x), (*n)++)
        X509_STORE_add_cert(store, x);
    BIO_free(b);
    return store;
}

/* The verdict with this bundle behind our index, after a comparison with OpenSSL's own. */
static int verify(const struct buf *pem, X509 *leaf, size_t *loaded)
{
    struct span text = {buf_data(pem), buf_len(pem)};
    struct ca ca;
    size_t n;
    X509_STORE *store = X509_STORE_new(), *plain = plain_store(text, &n);
    assert_int_equal(ca_init(&ca, text), 0);
    assert_int_equal(ca.n, n);
    assert_int_equal(ca_attach(&ca, store), 0);
    int rc = verdict(store, leaf);
    assert_int_equal(rc, verdict(plain, leaf));
    *loaded = 0;
    for (size_t i = 0; i < ca.n; i++)
        *loaded += ca.entries[i].loaded;
    X509_STORE_free(store);
    X509_STORE_free(plain);
    ca_finish(&ca);
    return rc;
}

static void test_same_subject(void **state)
{
    EVP_PKEY *old = EVP_EC_gen("P-256"), *new = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    X509 *issuer = root("Root One", MBSTRING_ASC, new, valid);
    X509 *leaf = make("leaf", MBSTRING_ASC, other, issuer, new, valid);
    struct buf pem;
    size_t loaded;
    (void)state;
    buf_init(&pem, 1 << 20);
    append(&pem, root("Other", MBSTRING_ASC, other, valid));
    assert_int_equal(verify(&pem, leaf, &loaded), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    assert_int_equal(loaded, 0);
    /* The same name with another key, the right one but expired, and at last the right one. */
    append(&pem, root("Root One", MBSTRING_ASC, old, valid));
    append(&pem, root("Root One", MBSTRING_ASC, new, expired));
    assert_int_equal(verify(&pem, leaf, &loaded), X509_V_ERR_CERT_HAS_EXPIRED);
    append(&pem, issuer);
    assert_int_equal(verify(&pem, leaf, &loaded), X509_V_OK);
    assert_int_equal(loaded, 3);
    buf_finish(&pem);
    X509_free(leaf);
    EVP_PKEY_free(old);
    EVP_PKEY_free(new);
    EVP_PKEY_free(other);
}

/* Equal names in other encodings: another string type, other case, more spaces. */
static void test_encodings(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *issuer = root("root  one ", V_ASN1_PRINTABLESTRING, key, valid);
    X509 *leaf = make("leaf", MBSTRING_ASC, key, issuer, key, valid);
    static const int types[] = {V_ASN1_UTF8STRING, V_ASN1_PRINTABLESTRING, V_ASN1_T61STRING};
    size_t loaded;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct buf pem;
        buf_init(&pem, 1 << 20);
        append(&pem, root("Root One", types[i], key, valid));
        assert_int_equal(verify(&pem, leaf, &loaded), X509_V_OK);
        buf_finish(&pem);
    }
    X509_free(issuer);
    X509_free(leaf);
    EVP_PKEY_free(key);
}

/* Each certificate of the bundle, which is its own issuer mostly, gets the verdict of a full store.
 */
static void test_system_bundle(void **state)
{
    FILE *f = fopen(SYSTEM_BUNDLE, "r");
    struct ca ca;
    size_t n;
    (void)state;
    if (!f) {
        print_message("SKIPPED: CA index: no " SYSTEM_BUNDLE "\n");
        return;
    }
    char *pem = malloc(4 << 20);
    size_t len = fread(pem, 1, 4 << 20, f);
    X509_STORE *plain = plain_store((struct span){pem, len}, &n);
    assert_int_equal(ca_init(&ca, (struct span){pem, len}), 0);
    assert_int_equal(ca.n, n);
    assert_int_equal(ca.skipped, 0);
    rewind(f);
    for (X509 *x; (x = PEM_read_X509(f, NULL, NULL, NULL)); X509_free(x)) {
        X509_STORE *store = X509_STORE_new();
        for (size_t i = 0; i < ca.n; i++)
            ca.entries[i].loaded = false;
        assert_int_equal(ca_attach(&ca, store), 0);
        assert_int_equal(verdict(store, x), verdict(plain, x));
        X509_STORE_free(store);
    }
    X509_STORE_free(plain);
    ca_finish(&ca);
    fclose(f);
    free(pem);
}

static void test_hostile(void **state)
{
    static const char *const texts[] = {
        "",
        "-----BEGIN ",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIAwgDCAAgEB\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIP/////MIP/////\n-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ca ca;
        assert_int_equal(ca_init(&ca, span_of(texts[i])), 0);
        assert_int_equal(ca.n, 0);
        ca_finish(&ca);
    }
    /* Every prefix of a real certificate. */
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = root("a", MBSTRING_ASC, key, valid);
    unsigned char *der = NULL;
    struct span name;
    int len = i2d_X509(x, &der);
    for (int n = 0; n < len; n++) {
        unsigned char *copy = malloc((size_t)n + 1);
        memcpy(copy, der, (size_t)n);
        assert_false(ca_subject(copy, (size_t)n, &name));
        free(copy);
    }
    assert_true(ca_subject(der, (size_t)len, &name));
    OPENSSL_free(der);
    X509_free(x);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_subject),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_system_bundle),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests_name("ca", tests, NULL, NULL);
}
