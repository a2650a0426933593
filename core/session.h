/* SPDX-License-Identifier: Apache-2.0 */
/* Core's end of a network session. */
#ifndef TW_CORE_SESSION_H
#define TW_CORE_SESSION_H

#include "core/core.h"

/* Asks the parent for the session unless it is there or asked for. reread: the token was refused.
 */
void session_want(struct session *s, bool reread);

/* The parent has opened it: takes the descriptor over. */
void session_attach(struct session *s, uint32_t serial, int fd);

/* Lets it ask for the token and send its request; nothing when it is not there yet or went already.
 */
void session_go(struct session *s);

/* Closes the channel, which ends the process. Harmless when there is none. */
void session_end(struct session *s);

/* link.c: what a session reports. */
enum verdict link_response(struct session *s, const struct msg_response *m);
enum verdict link_heartbeat_reply(struct session *s);
void link_session_ended(struct session *s, const struct msg_ended *m);

#endif
