/* SPDX-License-Identifier: Apache-2.0 */
/* The state directory of one connection ID on this host, and the lock that keeps it to one agent.
 */
#ifndef TW_PARENT_STATE_H
#define TW_PARENT_STATE_H

#include "config/users.h"
#include "parent/metrics.h"

struct state {
    int dirfd;
    int lock;
    struct metrics metrics;
};

/*
 * Makes and locks it, and finds the place of the metrics; files belong to the agent's user. 0, or
 * an exit code after an error is logged (EXIT_INSTANCE: the lock is held).
 */
int state_open(struct state *st, const struct settings *s, const struct options *o,
               const struct users *u);

#endif
