/* SPDX-License-Identifier: Apache-2.0 */
/* The schedulers whose clients Tower drives: how each is recognised, asked, and understood. */
#ifndef TW_CTL_SCHEDULERS_H
#define TW_CTL_SCHEDULERS_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/runner.h"

#define SCHEDULER_ID_MAX    64
#define SCHEDULER_STATE_MAX 16
/* Of a client's path or version. */
#define SCHEDULER_TEXT_MAX 256

struct scheduler {
    const char *key; /* --scheduler */
    const char *name;
    const char *submit, *poll, *cancel; /* the clients' names */
    const char *version;                /* a command whose first line says it */
    const char *directive;              /* in front of its directives in a script */
    const char *directives; /* lines of the script; @D: the directory, @N: the job's name */
    bool by_input;          /* the script is the client's standard input, not a file */
    const char *before_id;  /* what stands before the id in an answer; NULL: the last line is it */
    const char *poll_arguments; /* behind poll; @I: the job's id */
    unsigned state_column;      /* of the poll's lines, whose first column is the id */
    const char *ended;          /* states, each with blanks around, that a job does not leave */
};

#define SCHEDULERS 5
extern const struct scheduler schedulers[SCHEDULERS];

/* The one with this key, or NULL. */
const struct scheduler *scheduler_named(const char *key);

struct scheduler_found {
    const struct scheduler *scheduler;    /* NULL: none */
    char clients[3 * SCHEDULER_TEXT_MAX]; /* the paths of its clients */
    char missing[SCHEDULER_TEXT_MAX];     /* the names of those that are not there */
    char version[SCHEDULER_TEXT_MAX];     /* as a client says it; may be empty */
};

/* What is said where none is found. */
#define SCHEDULER_NONE "none of sbatch, bsub, msub, qsub is on the PATH of commands"

/*
 * Looks for clients where commands would find them; wanted: of this scheduler, or NULL for the
 * first whose submitting client is there. False after an error is logged: exec is gone.
 */
bool scheduler_find(struct scheduler_found *f, struct runner *r, const struct scheduler *wanted);

/* The id in an answer to a submission: letters, digits, '.', '-', '_', '[' and ']' alone, so that
 * it can stand in a command. False: there is none. */
bool scheduler_id(const struct scheduler *s, const char *answer, char *id, size_t size);

/* The state of a job in the answer to a poll. False: the job is not in it. */
bool scheduler_state(const struct scheduler *s, const char *answer, const char *id, char *state,
                     size_t size);

/* True for a state that a job does not leave. */
bool scheduler_ended(const struct scheduler *s, const char *state);

#endif
