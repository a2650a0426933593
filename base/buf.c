/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An empty buffer larger than this gives its memory back. */
#define BUF_KEEP 65536

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_finish(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->size);
    free(b->data);
    buf_init(b, b->max);
}

char *buf_reserve(struct buf *b, size_t n)
{
    size_t len = buf_len(b);
    if (n > b->max || len > b->max - n)
        return NULL;
    if (b->size - b->end >= n && b->data)
        return b->data + b->end;
    if (b->start > 0) {
        memmove(b->data, b->data + b->start, len);
        b->start = 0;
        b->end = len;
        if (b->size - b->end >= n)
            return b->data + b->end;
    }
    size_t want = b->size ? b->size : 4096;
    while (want < len + n)
        want *= 2;
    if (want > b->max)
        want = b->max;
    char *bigger = realloc(b->data, want);
    if (!bigger)
        return NULL;
    b->data = bigger;
    b->size = want;
    return b->data + b->end;
}

void buf_commit(struct buf *b, size_t n)
{
    b->end += n;
}

bool buf_append(struct buf *b, const void *data, size_t n)
{
    if (n == 0)
        return true;
    char *place = buf_reserve(b, n);
    if (!place)
        return false;
    memcpy(place, data, n);
    b->end += n;
    return true;
}

void buf_consume(struct buf *b, size_t n)
{
    b->start += n;
    if (b->start != b->end)
        return;
    b->start = b->end = 0;
    if (b->size > BUF_KEEP) {
        free(b->data);
        b->data = NULL;
        b->size = 0;
    }
}

bool buf_print(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *place = n >= 0 ? buf_reserve(b, (size_t)n + 1) : NULL;
    if (!place)
        return false;
    va_start(args, format);
    vsnprintf(place, (size_t)n + 1, format, args);
    va_end(args);
    buf_commit(b, (size_t)n);
    return true;
}
