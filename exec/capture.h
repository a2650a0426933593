/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Obtains what the environment of commands is based on: as inherited, from a login shell, from a
 * file, or minimal; then what env_init adds. Shells and files are read in children with a deadline.
 */
#ifndef TW_EXEC_CAPTURE_H
#define TW_EXEC_CAPTURE_H

#include "exec/environment.h"
#include "exec/helper.h"
#include "exec/limits.h"

struct exec;

struct env_base {
    struct span block;
    bool use_minimal; /* where block says nothing */
    char *owned;      /* what block points to, unless it is the agent's own */
    bool has_limits;  /* a shell said its limits and umask */
    struct shell_limits limits;
};

enum capture_stage { CAPTURE_IDLE, CAPTURE_LOGIN, CAPTURE_FILE, CAPTURE_INIT };

struct capture {
    struct helper helper;
    struct buf minimal;   /* HOME, USER, … as a block */
    struct env_base held; /* what commands get */
    struct env_base next; /* being made */
    enum capture_stage stage;
    struct event retry; /* of the stage, for want of a process, memory or descriptors */
    unsigned attempts;
    bool ready; /* held holds */
    bool again; /* asked again meanwhile */
};

void capture_init(struct exec *exec);

/*
 * Obtains the base anew; exec_settled is called when done, maybe at once. Asking while it runs
 * repeats it. What held before holds until then, and stays when nothing new can be had.
 */
void capture_start(struct exec *exec);

/* Composes what new commands get, from what is held. 0, or -1 with errno and *e unchanged. */
int capture_compose(const struct exec *exec, struct environment *e);

/* The limits that a shell gave itself, or NULL: those of the agent's start hold. */
const struct shell_limits *capture_limits(const struct capture *c);

/* Ends what is under way. */
void capture_cancel(struct capture *c);

void capture_finish(struct capture *c);

#endif
