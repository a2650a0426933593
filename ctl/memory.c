/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/memory.h"

#include <stddef.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "base/heap.h"
#include "base/log.h"

static void *crypto_take(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(n);
}

static void *crypto_move(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return heap_realloc(p, n);
}

static void crypto_give(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    heap_free(p);
}

int memory_init(void)
{
    /* The system's configuration holds the site's crypto policy; the environment has no say. */
    static const char *const ignored[] = {"SSLKEYLOGFILE", "OPENSSL_CONF", "OPENSSL_MODULES",
                                          "OPENSSL_ENGINES"};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        unsetenv(ignored[i]);
    if (CRYPTO_set_mem_functions(crypto_take, crypto_move, crypto_give) == 1)
        return 0;
    log_error("OpenSSL cannot be set up");
    return -1;
}
