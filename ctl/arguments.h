/* SPDX-License-Identifier: Apache-2.0 */
/* tw-agent's own options, as arguments of a subcommand. */
#ifndef TW_CTL_ARGUMENTS_H
#define TW_CTL_ARGUMENTS_H

#include "base/secret.h"
#include "config/options.h"

/* Reads command line and variables. What stands for AGENT_CONNECTION_ID and names an instance that
 * has a configuration file becomes --config of that file, which is not read yet. A token among them
 * is wiped, not kept: until then this process is not dumpable. An exit code of ctl.h, after an
 * error is logged unless it is CTL_WELL. */
int arguments_take(struct options *o, int argc, char **argv);

/* The same for what needs the token: one among them goes into the page, for token_obtain, and is
 * wiped where it was. */
int arguments_take_token(struct options *o, struct secret *page, int argc, char **argv);

/* As if nobody had given this option, which is no list. */
void arguments_forget(struct options *o, enum option_id id);

#endif
