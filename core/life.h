/* SPDX-License-Identifier: Apache-2.0 */
/* While online: heartbeats, and the peer's signs of life. */
#ifndef TW_CORE_LIFE_H
#define TW_CORE_LIFE_H

#include "core/core.h"

/* Makes the timers. 0, or -1: no memory. link_finish frees them. */
int life_init(struct core *core);

/* A session is online; it is not any more. */
void life_begin(struct core *core);
void life_end(struct core *core);

/* The peer showed life: it took what we write, or sends something. */
void life_shown(struct core *core);

/* Sends a heartbeat ahead of its time, at most one a second, so that many unproven bytes are proven
 * soon. */
void life_extra_beat(struct core *core);

#endif
