/* SPDX-License-Identifier: Apache-2.0 */
/* The connection's state machine. */
#ifndef TW_CORE_LINK_H
#define TW_CORE_LINK_H

#include "core/core.h"

/* Prepares timers and asks for the first sessions, side by side. 0, or -1: no memory. */
int link_start(struct core *core);

/* Ends all sessions and timers. */
void link_finish(struct core *core);

/* Parent's answers to open_session. *fd is taken over. */
enum verdict link_session_opened(struct core *core, const struct msg_session_opened *m, int *fd);
enum verdict link_session_refused(struct core *core, const struct msg_session_refused *m);

/* Ends a wait (the token was replaced, or the administrator asks by SIGHUP): tries again at once.
 */
void link_try_now(struct core *core);

/* exec knows the work directory: info can be sent. */
void link_exec_ready(struct core *core);

/* The peer's time to show life is over. */
void link_dead(struct core *core);

/* Sends the WebSocket close (1000), or ends at once when not online; core_finish follows. */
void link_close(struct core *core);

/* The online session's channel, or NULL. */
struct channel *link_channel(const struct core *core);

/* Tower itself answered: besides, this session is one that it keeps. A duplicate's results are
 * taken as well before it is refused. */
void link_heard(struct core *core);

/* For the status file: what went wrong last, redacted. */
void link_note_error(struct core *core, const char *text);

const char *link_state_name(enum link_state state);

#endif
