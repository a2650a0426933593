/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed memory files: content that its receiver can trust not to change, grow or shrink under its
 * eyes. */
#ifndef TW_IPC_MEMFD_H
#define TW_IPC_MEMFD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* An empty memfd that can be sealed, close-on-exec, not executable where the kernel knows that. -1
 * with errno. */
int memfd_new(const char *name);

/* Seals against writing, growing, shrinking and further sealing. 0 or -1 with errno. */
int memfd_seal(int fd);

/* A sealed memfd with these bytes; -1 with errno. */
int memfd_of(const char *name, const void *data, size_t len);

/* True when fd is a regular file sealed as memfd_seal does, of at most max bytes; *size gets its
 * size. */
bool memfd_check(int fd, size_t max, size_t *size);

/* A read-only mapping of a checked memfd. */
struct memfd_map {
    struct span bytes;
    void *address; /* what to unmap; NULL: nothing */
};

/* Checks as memfd_check and maps. 0 or -1 with errno (EINVAL: not sealed, or too large). */
int memfd_map(struct memfd_map *map, int fd, size_t max);

/* Unmaps; harmless on an empty or zeroed map. */
void memfd_unmap(struct memfd_map *map);

#endif
