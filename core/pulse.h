/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the service manager: the parent hears of each new state, and, where a watchdog is set, that
 * this loop and exec's go round. A round is a ping to exec; its answer makes a pulse. Rounds ride
 * on heartbeats; a timer makes those that heartbeats do not.
 */
#ifndef TW_CORE_PULSE_H
#define TW_CORE_PULSE_H

#include "core/core.h"

/* 0, or -1: no memory. pulse_finish undoes it. */
int pulse_init(struct core *core);
void pulse_finish(struct core *core);

/* The connection's state is another one. */
void pulse_state(struct core *core);

/* Commands can run; rounds begin. */
void pulse_ready(struct core *core);

/* Begins a round. One that exec has not answered goes on instead. */
void pulse_round(struct core *core);

/* Exec answered. */
enum verdict pulse_answered(struct core *core);

#endif
