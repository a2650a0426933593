/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results on their way. Tower acknowledges nothing, so arrival is inferred: the reply to the Nth
 * heartbeat shows that what was written before the Nth heartbeat arrived.
 */
#ifndef TW_CORE_DELIVERY_H
#define TW_CORE_DELIVERY_H

#include "core/core.h"

/* Gives the session what its window takes. */
void delivery_pump(struct core *core);

enum verdict delivery_progress(struct core *core, const struct msg_progress *m);

/* Tower answered one more heartbeat. */
void delivery_heartbeat_reply(struct core *core);

/* A new session is online; the counts start again. */
void delivery_online(struct core *core);

/* The session is gone: what was not proven goes again. counted: the results may be the reason. */
void delivery_dropped(struct core *core, bool counted);

/* Everything that can be delivered is. */
bool delivery_idle(const struct core *core);

#endif
