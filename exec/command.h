/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one command: waiting, running, ended, answered. Every run gets exactly one finished.
 */
#ifndef TW_EXEC_COMMAND_H
#define TW_EXEC_COMMAND_H

#include "exec/exec.h"

/* A run message: starts the command, or lets it wait until exec is ready. */
enum verdict command_take(struct exec *exec, const struct msg_run *m, int *fd);

/* exec became ready, or the work directory is bad: those that wait start, or are refused. */
void commands_go(struct exec *exec);

/* The reaper's news. False: no command's shell. */
bool commands_exited(struct exec *exec, pid_t pid, int wait_status);

/* Sends again what the channel did not take, reads again what found no room. */
void commands_resend(struct exec *exec);

void commands_finish(struct exec *exec);

#endif
