/* SPDX-License-Identifier: Apache-2.0 */
/* tw-agentctl selftest: submits, polls, reads and cancels a short job, as Tower does. */
#ifndef TW_CTL_SELFTEST_H
#define TW_CTL_SELFTEST_H

#include "ctl/ctl.h"
#include "ctl/page.h"

extern const struct page selftest_page;

int selftest_run(const struct ctl *ctl, int argc, char **argv);

#endif
