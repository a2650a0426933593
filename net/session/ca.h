/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trust anchors by subject. A system's bundle has some 150 certificates, of which a connection
 * needs one: each is found by a key over its subject's bytes and decoded when OpenSSL asks for it.
 */
#ifndef TW_NET_SESSION_CA_H
#define TW_NET_SESSION_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509_vfy.h>

#include "base/span.h"

struct ca_entry {
    size_t at; /* of the certificate's DER in .der */
    size_t len;
    uint64_t key; /* of its subject */
    bool loaded;  /* in the store already */
};

struct ca {
    unsigned char *der;
    size_t der_len;
    struct ca_entry *entries;
    size_t n;
    size_t skipped; /* PEM blocks that are no certificate */
};

/* Reads a PEM bundle. -1: no memory. An empty or foreign text gives an index with n == 0. */
int ca_init(struct ca *ca, struct span pem);

/* Makes the store ask this index; ca must outlive it. 0 or -1. */
int ca_attach(struct ca *ca, X509_STORE *store);

void ca_finish(struct ca *ca);

/* The subject's Name within a certificate, without decoding it. False: not shaped like one. */
bool ca_subject(const unsigned char *der, size_t len, struct span *name);

/* A key that is the same for all encodings of a name that OpenSSL takes for equal. */
uint64_t ca_name_key(struct span name);

#endif
