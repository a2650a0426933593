/* SPDX-License-Identifier: Apache-2.0 */
#include "net/session/ca.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

/* OpenSSL keeps the first index of application data for its user. */
#define APP_DATA 0

/* ---- walking DER ---- */

struct der {
    const unsigned char *at;
    size_t left;
};

struct element {
    int tag;
    int class;
    struct der content;
    struct span whole;
};

/* The next element, stepped over. False at the end or when its lengths do not fit. */
static bool next_element(struct der *d, struct element *e)
{
    const unsigned char *start = d->at, *p = start;
    long len;
    if (d->left == 0)
        return false;
    int flags = ASN1_get_object(&p, &len, &e->tag, &e->class, (long)d->left);
    /* 0x80: an error; bit 0: indefinite length, which is not DER. */
    if ((flags & 0x80) || (flags & 1) || len < 0 || (size_t)len > d->left - (size_t)(p - start))
        return false;
    e->content = (struct der){p, (size_t)len};
    e->whole = (struct span){(const char *)start, (size_t)(p - start) + (size_t)len};
    d->at = p + len;
    d->left -= e->whole.len;
    return true;
}

static bool expect(struct der *d, int tag, struct element *e)
{
    return next_element(d, e) && e->class == V_ASN1_UNIVERSAL && e->tag == tag;
}

bool ca_subject(const unsigned char *der, size_t len, struct span *name)
{
    struct der d = {der, len};
    struct element e;
    if (!expect(&d, V_ASN1_SEQUENCE, &e)) /* Certificate, RFC 5280 section 4.1 */
        return false;
    d = e.content;
    if (!expect(&d, V_ASN1_SEQUENCE, &e)) /* TBSCertificate */
        return false;
    d = e.content;
    if (d.left && d.at[0] == 0xa0 && !next_element(&d, &e)) /* [0] version */
        return false;
    if (!expect(&d, V_ASN1_INTEGER, &e) ||  /* serialNumber */
        !expect(&d, V_ASN1_SEQUENCE, &e) || /* signature */
        !expect(&d, V_ASN1_SEQUENCE, &e) || /* issuer */
        !expect(&d, V_ASN1_SEQUENCE, &e) || /* validity */
        !expect(&d, V_ASN1_SEQUENCE, &e))   /* subject */
        return false;
    *name = e.whole;
    return true;
}

/* Case, spaces and string types differ between equal names; NUL bytes are a BMPString's upper
 * halves. */
static uint64_t mix(uint64_t h, struct der d, bool fold)
{
    for (size_t i = 0; i < d.left; i++) {
        unsigned char c = d.at[i];
        if (fold && (c == ' ' || c == 0))
            continue;
        if (fold && c >= 'A' && c <= 'Z')
            c = (unsigned char)(c + 32);
        h = (h ^ c) * 0x100000001b3u; /* FNV-1a: no defence is needed, the names are trusted */
    }
    return (h ^ 0xff) * 0x100000001b3u;
}

uint64_t ca_name_key(struct span name)
{
    uint64_t h = 0xcbf29ce484222325u;
    struct der d = {(const unsigned char *)name.data, name.len};
    struct element sequence, set, attribute, type, value;
    if (!expect(&d, V_ASN1_SEQUENCE, &sequence))
        return h;
    while (next_element(&sequence.content, &set)) {
        while (next_element(&set.content, &attribute)) {
            if (next_element(&attribute.content, &type) &&
                next_element(&attribute.content, &value)) {
                h = mix(h, type.content, false);
                h = mix(h, value.content, true);
            }
        }
    }
    return h;
}

/* ---- the bundle ---- */

static const char *find(const char *from, const char *end, const char *what)
{
    return memmem(from, (size_t)(end - from), what, strlen(what));
}

/* The next block that starts and ends as PEM does; *label and *body say what is in it. */
static bool next_block(const char **at, const char *end, struct span *label, struct span *body)
{
    static const char begin[] = "-----BEGIN ", dashes[] = "-----", last[] = "-----END ";
    const char *b = find(*at, end, begin);
    if (!b)
        return false;
    b += sizeof begin - 1;
    const char *label_end = find(b, end, dashes);
    if (!label_end)
        return false;
    const char *text = label_end + sizeof dashes - 1;
    const char *stop = find(text, end, last);
    if (!stop)
        return false;
    *label = (struct span){b, (size_t)(label_end - b)};
    *body = (struct span){text, (size_t)(stop - text)};
    *at = stop + sizeof last - 1;
    return true;
}

/* Decodes behind ca->der_len, where there is room for what base64 can hold. 0: not base64. */
static size_t decode_body(struct ca *ca, EVP_ENCODE_CTX *decoder, struct span body)
{
    unsigned char *out = ca->der + ca->der_len;
    int n = 0, rest = 0;
    EVP_DecodeInit(decoder);
    if (EVP_DecodeUpdate(decoder, out, &n, (const unsigned char *)body.data, (int)body.len) < 0 ||
        EVP_DecodeFinal(decoder, out + n, &rest) < 0)
        return 0;
    return (size_t)n + (size_t)rest;
}

static void add_block(struct ca *ca, EVP_ENCODE_CTX *decoder, struct span label, struct span body)
{
    struct span subject;
    size_t len = 0;
    if (span_is(label, "CERTIFICATE") || span_is(label, "X509 CERTIFICATE"))
        len = decode_body(ca, decoder, body);
    if (len == 0 || !ca_subject(ca->der + ca->der_len, len, &subject)) {
        ca->skipped++;
        return;
    }
    ca->entries[ca->n++] =
        (struct ca_entry){.at = ca->der_len, .len = len, .key = ca_name_key(subject)};
    ca->der_len += len;
}

int ca_init(struct ca *ca, struct span pem)
{
    const char *at = pem.data, *end = pem.data + pem.len;
    struct span label, body;
    size_t blocks = 0;
    *ca = (struct ca){0};
    if (pem.len == 0)
        return 0;
    while (next_block(&at, end, &label, &body))
        blocks++;
    EVP_ENCODE_CTX *decoder = EVP_ENCODE_CTX_new();
    ca->der = malloc(pem.len);
    ca->entries = calloc(blocks + 1, sizeof *ca->entries);
    if (!decoder || !ca->der || !ca->entries) {
        EVP_ENCODE_CTX_free(decoder);
        ca_finish(ca);
        return -1;
    }
    at = pem.data;
    while (next_block(&at, end, &label, &body))
        add_block(ca, decoder, label, body);
    EVP_ENCODE_CTX_free(decoder);
    return 0;
}

void ca_finish(struct ca *ca)
{
    free(ca->der);
    free(ca->entries);
    *ca = (struct ca){0};
}

/* ---- OpenSSL's questions ---- */

/* All of one subject go in: a renewed authority may stand beside its expired certificate, and
 * OpenSSL picks. */
static void load(struct ca *ca, X509_STORE *store, const X509_NAME *name)
{
    const unsigned char *der;
    size_t len;
    if (X509_NAME_get0_der(name, &der, &len) != 1)
        return;
    uint64_t key = ca_name_key((struct span){(const char *)der, len});
    for (size_t i = 0; i < ca->n; i++) {
        struct ca_entry *e = &ca->entries[i];
        if (e->key != key || e->loaded)
            continue;
        const unsigned char *p = ca->der + e->at;
        X509 *x = d2i_X509(NULL, &p, (long)e->len);
        e->loaded = true;
        if (x)
            X509_STORE_add_cert(store, x);
        X509_free(x);
    }
}

static void prepare(X509_STORE_CTX *ctx, const X509_NAME *name)
{
    X509_STORE *store = X509_STORE_CTX_get0_store(ctx);
    load(X509_STORE_get_ex_data(store, APP_DATA), store, name);
}

static int get_issuer(X509 **issuer, X509_STORE_CTX *ctx, X509 *x)
{
    prepare(ctx, X509_get_issuer_name(x));
    return X509_STORE_CTX_get1_issuer(issuer, ctx, x);
}

static STACK_OF(X509) * lookup_certs(X509_STORE_CTX *ctx, const X509_NAME *name)
{
    prepare(ctx, name);
    return X509_STORE_CTX_get1_certs(ctx, name);
}

int ca_attach(struct ca *ca, X509_STORE *store)
{
    if (X509_STORE_set_ex_data(store, APP_DATA, ca) != 1)
        return -1;
    X509_STORE_set_get_issuer(store, get_issuer);
    X509_STORE_set_lookup_certs(store, lookup_certs);
    return 0;
}
