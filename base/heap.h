/* SPDX-License-Identifier: Apache-2.0 */
/* For libraries that take another allocator: what they free is wiped. */
#ifndef TW_BASE_HEAP_H
#define TW_BASE_HEAP_H

#include <stddef.h>

/* free(3), wiping first. NULL is fine. */
void heap_free(void *p);

/* realloc(3), wiping the old block, which is never grown in place. */
void *heap_realloc(void *p, size_t n);

#endif
