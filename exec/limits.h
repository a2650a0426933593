/* SPDX-License-Identifier: Apache-2.0 */
/* What a login shell has made of its limits and umask (its profile's ulimit lines), as it says. */
#ifndef TW_EXEC_LIMITS_H
#define TW_EXEC_LIMITS_H

#include <stdbool.h>
#include <sys/resource.h>

#include "base/span.h"

struct shell_limits {
    unsigned umask;
    struct rlimit of[RLIM_NLIMITS];
    bool known[RLIM_NLIMITS];
};

/*
 * From the output of umask(1) and then /proc/self/limits (proc(5)). False: it is something else, or
 * says nothing of open files. Other lines that are not understood leave their limit unknown.
 */
bool shell_limits_parse(struct shell_limits *l, struct span text);

#endif
