/* SPDX-License-Identifier: Apache-2.0 */
#include "core/backoff.h"

/* first << times, at most most. */
static uint64_t doubled(uint64_t first, unsigned times, uint64_t most)
{
    uint64_t v = first;
    while (times-- > 0 && v < most)
        v *= 2;
    return v < most ? v : most;
}

/* Somewhere in the upper half of v, so that agents that failed together do not return together. */
static uint64_t upper_half(uint64_t v, uint32_t random)
{
    return v - v / 2 * random / UINT32_MAX;
}

uint64_t backoff_failed(struct backoff *b, uint32_t random)
{
    return upper_half(doubled(BACKOFF_FIRST_MS, b->failures++, BACKOFF_MOST_MS), random);
}

uint64_t backoff_dropped(struct backoff *b, uint64_t lasted_ms, uint32_t random)
{
    b->shorts = lasted_ms >= BACKOFF_SHORT_SESSION_MS ? 0 : b->shorts + 1;
    uint64_t most =
        doubled(BACKOFF_FIRST_MS, b->shorts > 1 ? b->shorts - 1 : 0, BACKOFF_SHORT_MOST_MS);
    return upper_half(most, random);
}

uint64_t backoff_standby(struct backoff *b, uint32_t random)
{
    b->failures = 0;
    return BACKOFF_STANDBY_LEAST_MS +
           (uint64_t)(BACKOFF_STANDBY_MOST_MS - BACKOFF_STANDBY_LEAST_MS) * random / UINT32_MAX;
}

uint64_t backoff_refused(struct backoff *b, uint32_t random)
{
    uint64_t v = doubled(BACKOFF_REFUSED_FIRST_MS, b->refusals++, BACKOFF_REFUSED_MOST_MS);
    v = upper_half(v, random);
    return v < BACKOFF_REFUSED_FIRST_MS ? BACKOFF_REFUSED_FIRST_MS : v;
}

void backoff_online(struct backoff *b)
{
    b->failures = 0;
    b->refusals = 0;
}
