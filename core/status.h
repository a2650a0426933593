/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TW_CORE_STATUS_H
#define TW_CORE_STATUS_H

#include "core/core.h"

/* Something changed: status.json is written soon, at most once a second. */
void status_changed(struct core *core);

/* Writes status.json by rename. A failure is logged once and is no reason to stop. */
void status_write(struct core *core);

#endif
