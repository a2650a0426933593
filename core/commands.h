/* SPDX-License-Identifier: Apache-2.0 */
/* Command requests: known ids, the queue, exec, the search of outputs. */
#ifndef TW_CORE_COMMANDS_H
#define TW_CORE_COMMANDS_H

#include "core/core.h"

/* Exit status of what the agent itself could not do; BSD's EX_TEMPFAIL. */
#define COMMANDS_TRY_LATER 75

extern const struct channel_handlers exec_handlers;

/* A command request from the session. *fd is taken over when used. */
enum verdict commands_request(struct core *core, const struct msg_command *m, int *fd);

/* The parent's answer to search. */
enum verdict commands_searched(struct core *core, const struct msg_search_result *m);

/* Answers what an earlier run left without an end. */
void commands_recover(struct core *core);

/* Gives exec what it may run now. */
void commands_pump(struct core *core);

/* The agent is being stopped: what exec does not have yet is answered, not run. */
void commands_stop(struct core *core);

/* Nothing queued, running or being searched. */
bool commands_idle(const struct core *core);

#endif
