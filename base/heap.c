/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void heap_free(void *p)
{
    if (p)
        explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

/* realloc(3) would leave the old block as it was. */
void *heap_realloc(void *p, size_t n)
{
    if (!p)
        return malloc(n);
    size_t old = malloc_usable_size(p);
    void *bigger = malloc(n);
    if (!bigger)
        return NULL;
    memcpy(bigger, p, old < n ? old : n);
    heap_free(p);
    return bigger;
}
