/* SPDX-License-Identifier: Apache-2.0 */
/* A run of bytes that somebody else owns. */
#ifndef TW_BASE_SPAN_H
#define TW_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *data; /* not NUL-terminated; may be NULL when len is 0 */
    size_t len;
};

/* A span over a NUL-terminated string; s must outlive it. NULL gives the empty span. */
static inline struct span span_of(const char *s)
{
    return (struct span){s, s ? strlen(s) : 0};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool span_is(struct span a, const char *s)
{
    return span_equal(a, span_of(s));
}

/* Copies into out (size bytes, NUL added). False, with out empty, when it does not fit. */
static inline bool span_copy(char *out, size_t size, struct span s)
{
    if (s.len >= size) {
        out[0] = '\0';
        return false;
    }
    if (s.len)
        memcpy(out, s.data, s.len);
    out[s.len] = '\0';
    return true;
}

/* A NUL-terminated copy on the heap, or NULL. The caller frees it. */
char *span_dup(struct span s);

#endif
