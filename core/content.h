/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command's text or its output: small ones on the heap, large ones in a sealed memfd, as they
 * came. An output that is safe on disk can leave memory; its length stays.
 */
#ifndef TW_CORE_CONTENT_H
#define TW_CORE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "ipc/memfd.h"

/* Contents up to this give their descriptor back when they must wait. */
#define CONTENT_SMALL 16384

struct content {
    char *bytes; /* NULL when in fd, empty, or not in memory */
    int fd;      /* sealed memfd, or -1 */
    size_t len;
};

/* Bytes that it holds in memory: its length, or 0 when it has left. */
static inline size_t content_memory(const struct content *c)
{
    return c->bytes || c->fd >= 0 ? c->len : 0;
}

static inline struct content content_empty(void)
{
    return (struct content){.fd = -1};
}

/* Copies the bytes. False: no memory. */
bool content_of_span(struct content *c, struct span s);

/* Takes the checked, sealed memfd over (*fd becomes -1). */
void content_take(struct content *c, int *fd, size_t len);

/* Moves a small content from its memfd to the heap. Failing leaves it where it is. */
void content_settle(struct content *c, size_t max);

/*
 * A descriptor with the content: the one it has, or a new one in *made (the caller closes it). -1
 * when empty, or with *failed set when none could be made.
 */
int content_fd(const struct content *c, int *made, bool *failed);

/* The bytes of a content in memory; memfd_unmap gives the view back. False: it could not be mapped.
 */
bool content_view(const struct content *c, struct memfd_map *view);

/* SipHash of the content under the key. False: it could not be mapped. */
bool content_hash(const struct content *c, const uint64_t key[2], uint64_t *hash);

/* Leaves memory; only the length stays. */
void content_leave(struct content *c);

void content_finish(struct content *c);

#endif
