/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TW_BASE_SIPHASH_H
#define TW_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012) with a 16-byte key: a hash table's order that a
 * server, who chooses the ids, cannot aim at. key must be random and secret.
 */
uint64_t siphash(const uint64_t key[2], const void *data, size_t len);

#endif
