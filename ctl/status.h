/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TW_CTL_STATUS_H
#define TW_CTL_STATUS_H

#include "ctl/ctl.h"
#include "ctl/page.h"

extern const struct page status_page;

/* `status [NAME] [--watch] [--all]`: what instances do. 0 only if each of them is online. */
int status_run(const struct ctl *ctl, int argc, char **argv);

#endif
