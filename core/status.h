/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TW_CORE_STATUS_H
#define TW_CORE_STATUS_H

#include "base/buf.h"
#include "core/core.h"

/* Something changed: status.json and the metrics are written soon, at most once a second. */
void status_changed(struct core *core);

/*
 * A heartbeat was answered, or is due: an idle agent writes them now and then all the same, so that
 * their age tells whether it lives. Not each time: replacing a file waits for the disk.
 */
void status_answered(struct core *core);
void status_beat(struct core *core);

/* How old they may become while online, in ms. */
uint64_t status_age_most(const struct core *core);

/* Writes both by rename. A failure is logged once and is no reason to stop. */
void status_write(struct core *core);

/* status_json.c: appends the text of status.json. */
void status_format(const struct core *core, struct buf *out);

/* metrics.c: appends the metrics as Prometheus reads them. */
void metrics_format(const struct core *core, struct buf *out);

#endif
