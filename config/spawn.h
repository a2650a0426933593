/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the agent's other programs. */
#ifndef TW_CONFIG_SPAWN_H
#define TW_CONFIG_SPAWN_H

#include <sys/types.h>

#include "config/programs.h"

/* Starts one with fds at 3 and up, an empty environment, nothing else open. The pid, or -1 after an
 * error is logged. */
pid_t program_start(const struct programs *p, const char *name, const int *fds, int n);

#endif
