/* SPDX-License-Identifier: Apache-2.0 */
/* Finds pieces of patterns in memory: one pass, whatever the number of patterns. */
#ifndef TW_TESTS_TOKEN_MATCH_H
#define TW_TESTS_TOKEN_MATCH_H

#include <stddef.h>
#include <stdint.h>

#define MATCH_WINDOW   8 /* the shortest piece that can be found */
#define MATCH_PATTERNS 32
#define MATCH_LONGEST  20000 /* a pattern, in bytes */

struct match_pattern {
    char name[48];
    size_t shortest; /* pieces below this length are left to chance */
    size_t len;
    uint8_t *data;
};

struct matcher {
    struct match_pattern patterns[MATCH_PATTERNS];
    size_t n;
    struct match_key *keys;
    uint64_t *bitmap;
};

/* A piece of `pattern`, `length` bytes long, at `offset` of the data. */
typedef void (*match_found)(void *context, const struct match_pattern *pattern, size_t length,
                            size_t offset);

/* Takes ownership of data. 0, or -1 when there are too many or it is too short. */
int match_add(struct matcher *m, const char *name, size_t shortest, uint8_t *data, size_t len);

/* After the last match_add. */
int match_prepare(struct matcher *m);

/* A piece counts when it begins before `begin_before`, so that overlapping blocks count it once. */
void match_search(const struct matcher *m, const uint8_t *data, size_t len, size_t begin_before,
                  match_found found, void *context);

void match_finish(struct matcher *m);

#endif
