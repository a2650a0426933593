/* SPDX-License-Identifier: Apache-2.0 */
/* tw-agentctl attest: has a running agent attack itself, and shows what came of it. */
#ifndef TW_CTL_ATTEST_H
#define TW_CTL_ATTEST_H

#include "ctl/ctl.h"
#include "ctl/page.h"

extern const struct page attest_page;

int attest_run(const struct ctl *ctl, int argc, char **argv);

#endif
