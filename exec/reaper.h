/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TW_EXEC_REAPER_H
#define TW_EXEC_REAPER_H

#include "exec/exec.h"

/* Reaps whatever ends: shells, helpers, and orphans that commands left to us. 0 or -1. */
int reaper_start(struct exec *exec);

#endif
