/* SPDX-License-Identifier: Apache-2.0 */
/* What children are given in sealed memfds: CA certificates and the agent's environment; and the
 * state of this process as it was started, which commands get back. */
#ifndef TW_CONFIG_SOURCES_H
#define TW_CONFIG_SOURCES_H

#include "ipc/birth.h"
#include "config/options.h"

#define START_LIMITS 16 /* RLIM_NLIMITS on Linux */

struct start_state {
    struct exec_limit limits[START_LIMITS];
    uint64_t ignored; /* bit n-1: signal n */
    uint64_t blocked;
    unsigned umask;
};

/* Records, before anything here changes it. 0 or -1. */
int start_state_record(struct start_state *s);

/* The CA certificates to trust; -1 after an error is logged. */
int ca_bundle(const struct options *o);

/* The environment without what is the agent's alone; -1 after an error is logged. */
int environment_memfd(char *const *environment);

#endif
