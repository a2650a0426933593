/* SPDX-License-Identifier: Apache-2.0 */
/* What tw-agent-exec is told: how commands run. */
#ifndef TW_CONFIG_EXEC_CONFIG_H
#define TW_CONFIG_EXEC_CONFIG_H

#include "base/secret.h"
#include "config/facts.h"
#include "config/sources.h"
#include "ipc/message.h"

/*
 * Fills *m but for `guarded`. Its spans point into what is given, and into work_dir (LIMIT_PATH + 1
 * bytes), which all must outlive *m.
 */
void exec_config_fill(struct msg_exec_config *m, const struct options *o, const struct settings *s,
                      const struct users *u, const struct facts *f, const struct start_state *start,
                      char *work_dir);

#endif
