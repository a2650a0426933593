/* SPDX-License-Identifier: Apache-2.0 */
/* The work directory: exec's current directory, so that starting a command touches no file system.
 */
#ifndef TW_EXEC_WORKDIR_H
#define TW_EXEC_WORKDIR_H

#include "exec/exec.h"

/* The configured path, to be checked. */
void workdir_init(struct exec *exec);

/* Ends a check under way. */
void workdir_finish(struct workdir *w);

/*
 * Resolves and checks the directory and makes it ours, in a child with a deadline: NFS may hang.
 * exec_settled is called when done, maybe at once.
 */
void workdir_check(struct exec *exec);

/* False when the directory has been removed under our feet. Asks no server. */
bool workdir_exists(void);

#endif
