/* SPDX-License-Identifier: Apache-2.0 */
/* Where core writes the metrics file. */
#ifndef TW_PARENT_METRICS_H
#define TW_PARENT_METRICS_H

#include "config/settings.h"

struct metrics {
    int dirfd;        /* the directory; -1: the state directory */
    const char *name; /* of the file in it */
};

/*
 * Opens the directory of metrics_file, with the rights of the agent's user, which this process must
 * have now. 0, or EXIT_CONFIG after an error is logged: it is not there, or that user cannot write
 * in it.
 */
int metrics_open(struct metrics *m, const struct options *o);

#endif
