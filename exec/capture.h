/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Obtains what the environment of commands is based on: as inherited, from a login shell, from a
 * file, or minimal; then what env_init adds. Shells and files are read in children with a deadline.
 */
#ifndef TW_EXEC_CAPTURE_H
#define TW_EXEC_CAPTURE_H

#include "exec/environment.h"
#include "exec/helper.h"

struct exec;

struct env_base {
    struct span block;
    bool use_minimal; /* where block says nothing */
    char *owned;      /* what block points to, unless it is the agent's own */
};

struct capture {
    struct helper helper;
    struct buf minimal;   /* HOME, USER, … as a block */
    struct env_base held; /* what commands get */
    struct env_base next; /* being made */
    bool ready;           /* held holds */
    bool login;           /* the shell under way is a login shell */
    bool again;           /* asked again meanwhile */
};

/*
 * Obtains the base anew; exec_settled is called when done, maybe at once. Asking while it runs
 * repeats it. What held before holds until then, and stays when nothing new can be had.
 */
void capture_start(struct exec *exec);

/* Composes what new commands get, from what is held. 0, or -1 with errno and *e unchanged. */
int capture_compose(const struct exec *exec, struct environment *e);

void capture_finish(struct capture *c);

#endif
