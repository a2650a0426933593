/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the agent's other programs and starts them. */
#ifndef TW_PARENT_SPAWN_H
#define TW_PARENT_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/limits.h"

struct programs {
    char directory[LIMIT_PATH + 32];
};

/* Where they are, relative to this program; checks that all can be run. False after an error is
 * logged that names the path. */
bool programs_find(struct programs *p);

/* Starts one with fds at 3 and up, an empty environment, nothing else open. The pid, or -1 after an
 * error is logged. */
pid_t program_start(const struct programs *p, const char *name, const int *fds, int n);

#endif
