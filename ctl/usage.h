/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TW_CTL_USAGE_H
#define TW_CTL_USAGE_H

#include "ctl/ctl.h"
#include "ctl/page.h"

extern const struct page usage_page;

/* tw-agentctl usage: what Tower's form shows as "Usage", for this agent. Asks nobody. */
int usage_run(const struct ctl *ctl, int argc, char **argv);

#endif
