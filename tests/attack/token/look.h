/* SPDX-License-Identifier: Apache-2.0 */
/* Every byte of another process that root can see: memory, registers, what its descriptors hold. */
#ifndef TW_TESTS_TOKEN_LOOK_H
#define TW_TESTS_TOKEN_LOOK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A block of bytes; pieces that begin at or after `begin_before` come again in the next block. */
typedef void (*look_block)(void *context, const char *place, const uint8_t *data, size_t len,
                           size_t begin_before);

struct look {
    look_block block;
    void *context;
    size_t mappings;
    size_t bytes;
    size_t unreadable; /* bytes mapped that not even root may read: memfd_secret, device memory */
    size_t threads;
    size_t descriptors;
};

/* The process stands still meanwhile. 0, or -1 with errno: ESRCH when it is gone. */
int look_at_process(struct look *l, pid_t pid);

/* The parts of it (threads are stopped by the caller). */
int look_at_memory(struct look *l, pid_t pid);
int look_at_descriptors(struct look *l, pid_t pid);

#endif
