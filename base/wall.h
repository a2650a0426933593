/* SPDX-License-Identifier: Apache-2.0 */
/* The wall clock: for what people read, never for deadlines. */
#ifndef TW_BASE_WALL_H
#define TW_BASE_WALL_H

#include <stdint.h>
#include <time.h>

/* Seconds since 1970. */
static inline int64_t wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec;
}

#endif
