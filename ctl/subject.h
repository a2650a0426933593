/* SPDX-License-Identifier: Apache-2.0 */
/* The instance that a subcommand is about, as tw-agent would start it: everything that is known
 * from its configuration. */
#ifndef TW_CTL_SUBJECT_H
#define TW_CTL_SUBJECT_H

#include "config/facts.h"
#include "config/settings.h"
#include "config/sources.h"
#include "config/users.h"

struct subject {
    struct options options;
    struct settings settings;
    struct users users;
    struct facts facts;
    struct start_state start; /* of this process */
};

/* Takes the command line as the agent's; first of all, while this process is as it was started. An
 * exit code of ctl.h, after an error is logged unless it is CTL_WELL. */
int subject_take(struct subject *s, int argc, char **argv);

/* Reads the configuration file and judges it. False after an error is logged. */
bool subject_read(struct subject *s);

void subject_finish(struct subject *s);

#endif
