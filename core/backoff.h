/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait before the next attempt. Pure: randomness is given. All times in milliseconds.
 */
#ifndef TW_CORE_BACKOFF_H
#define TW_CORE_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_MS         1000
#define BACKOFF_MOST_MS          60000
#define BACKOFF_SHORT_MOST_MS    10000 /* after sessions that came online but ended soon */
#define BACKOFF_SHORT_SESSION_MS 60000 /* a session shorter than this was short */
#define BACKOFF_STANDBY_LEAST_MS 5000
#define BACKOFF_STANDBY_MOST_MS  15000
#define BACKOFF_REFUSED_FIRST_MS 60000
#define BACKOFF_REFUSED_MOST_MS  900000

struct backoff {
    unsigned failures; /* attempts that failed in a row */
    unsigned shorts;   /* sessions in a row that came online and ended within a minute */
    unsigned refusals; /* token refusals in a row */
};

/* After an attempt that did not come online: doubles from 1 s to 60 s; random within the upper
 * half. */
uint64_t backoff_failed(struct backoff *b, uint32_t random);

/* After a session that came online and lasted so long: within 1 s, doubling to at most 10 s while
 * sessions are short. */
uint64_t backoff_dropped(struct backoff *b, uint64_t lasted_ms, uint32_t random);

/* Another agent holds the connection (4000): 5 to 15 s. */
uint64_t backoff_standby(struct backoff *b, uint32_t random);

/* The token is refused after it was once accepted: 1 to 15 minutes. */
uint64_t backoff_refused(struct backoff *b, uint32_t random);

/* The session is online: failures and refusals are forgotten. */
void backoff_online(struct backoff *b);

#endif
