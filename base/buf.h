/* SPDX-License-Identifier: Apache-2.0 */
/* A byte queue with a maximum: appended at the end, consumed at the front. */
#ifndef TW_BASE_BUF_H
#define TW_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t start; /* first unconsumed byte */
    size_t end;   /* one past the last byte */
    size_t size;  /* allocated */
    size_t max;   /* bound of the unconsumed bytes; never exceeded */
};

/* An empty buffer that may hold up to max bytes. Allocates nothing yet. */
void buf_init(struct buf *b, size_t max);

/* Frees the memory, wiping it first; the buffer is empty and usable again. */
void buf_finish(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}

static inline char *buf_data(const struct buf *b)
{
    return b->data + b->start;
}

/* Room for n more bytes at the returned place (commit with buf_commit), or NULL: over the maximum
 * or no memory. */
char *buf_reserve(struct buf *b, size_t n);

/* The first n reserved bytes are now content. */
void buf_commit(struct buf *b, size_t n);

/* Appends; false, with nothing appended, when over the maximum or out of memory. */
bool buf_append(struct buf *b, const void *data, size_t n);

/* Appends formatted text, without its NUL; false likewise. */
bool buf_print(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first n bytes (n <= buf_len). Memory is given back when a big buffer becomes empty. */
void buf_consume(struct buf *b, size_t n);

#endif
