/* SPDX-License-Identifier: Apache-2.0 */
#include "net/session/memory.h"

#include <malloc.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "base/heap.h"

/* glibc raises its own threshold after the first big free; fixed, every large block is given back.
 */
#define OWN_MAPPING 131072

static void *take(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(n);
}

static void give(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    heap_free(p);
}

static void *move(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return heap_realloc(p, n);
}

int memory_init(void)
{
    mallopt(M_MMAP_THRESHOLD, OWN_MAPPING);
    mallopt(M_TRIM_THRESHOLD, OWN_MAPPING);
    return CRYPTO_set_mem_functions(take, move, give) == 1 ? 0 : -1;
}
