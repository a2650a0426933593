/* SPDX-License-Identifier: Apache-2.0 */
/* Monotonic time; wall-clock jumps must not move any deadline. */
#ifndef TW_BASE_CLOCK_H
#define TW_BASE_CLOCK_H

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

static inline uint64_t clock_read_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Milliseconds of CLOCK_MONOTONIC. */
static inline uint64_t clock_ms(void)
{
    return clock_read_ms(CLOCK_MONOTONIC);
}

/* Of CLOCK_BOOTTIME, which goes on while the machine is suspended. */
static inline uint64_t clock_boot_ms(void)
{
    return clock_read_ms(CLOCK_BOOTTIME);
}

/* For libevent's timers. */
static inline struct timeval clock_timeval(uint64_t ms)
{
    return (struct timeval){.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}

#endif
