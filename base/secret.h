/* SPDX-License-Identifier: Apache-2.0 */
/* Pages for a secret: out of core dumps, swap, children and, where the kernel can, out of the
 * kernel's own map. */
#ifndef TW_BASE_SECRET_H
#define TW_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

struct secret {
    char *data;  /* size bytes, zero at first */
    size_t size; /* LIMIT_SECRET_PAGE */
    size_t len;  /* bytes in use; the owner keeps it */
    bool memfd;  /* memfd_secret(2): not even root reads it through /proc/PID/mem */
    bool locked; /* cannot be swapped out */
};

/*
 * Maps LIMIT_SECRET_PAGE bytes: memfd_secret where the kernel has it, else mmap with mlock,
 * MADV_DONTDUMP and MADV_WIPEONFORK. Not locked (RLIMIT_MEMLOCK too low) is no error: see .locked.
 * 0, or -1 with errno.
 */
int secret_init(struct secret *s);

/* Wipes and unmaps. Harmless when nothing is mapped. */
void secret_finish(struct secret *s);

#endif
