/* SPDX-License-Identifier: Apache-2.0 */
/* The short job of the self-test, step by step. */
#ifndef TW_CTL_JOB_H
#define TW_CTL_JOB_H

#include "base/limits.h"
#include "ctl/runner.h"
#include "ctl/schedulers.h"
#include "ctl/shell.h"
#include "ctl/steps.h"

struct job {
    struct runner *runner;
    struct steps *steps;
    const struct scheduler *scheduler;
    const char *options; /* further directives, or "" */
    uint64_t wait_ms;    /* for its start; and for its end, once it is cancelled */
    char directory[LIMIT_PATH + 64];
    char word[SHELL_WORD_MAX]; /* that, for a shell */
    char mark[33];             /* what it writes */
    char id[SCHEDULER_ID_MAX];
};

/* A directory of its own in the work directory, written, read and listed. False: a step failed. */
bool job_prepare(struct job *j);

/* Submits it, sees it in the scheduler's list, reads what it wrote, cancels it, and sees it gone. A
 * job that was submitted is cancelled whatever fails. */
void job_run(struct job *j);

/* Removes the directory. */
void job_clean(struct job *j);

/* Nothing is submitted from then on, and nothing waited for but the end of a job that was. */
void job_interrupt(int signal);

#endif
