/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs commands as the agent would: by the real tw-agent-exec, which is told what the agent would
 * tell it. They have the same user, environment, limits, filter and domain.
 */
#ifndef TW_CTL_RUNNER_H
#define TW_CTL_RUNNER_H

#include "ctl/subject.h"
#include "ipc/message.h"

struct runner {
    pid_t pid;
    int parent, core; /* the channels of those whose place we take */
    uint64_t ticket;
    uint64_t timeout_ms;           /* of a command */
    char work_dir[LIMIT_PATH + 1]; /* resolved */
};

struct run_result {
    int status;
    bool timed_out;
    char *output; /* owned; a NUL added, and NULs in it replaced; never NULL */
};

/*
 * Starts it, and waits until the work directory is checked and the environment is there. Its own
 * log, from warnings on, goes to standard error. False after an error is logged; runner_finish in
 * either case.
 */
bool runner_start(struct runner *r, const struct subject *s, uint64_t timeout_ms);

/* Runs one text of at most LIMIT_INLINE_TEXT bytes. False after an error is logged: exec is gone.
 */
bool runner_run(struct runner *r, const char *text, struct run_result *result);

void run_result_finish(struct run_result *result);

/* Ends it, and with it what commands left in their process groups. */
void runner_finish(struct runner *r);

#endif
