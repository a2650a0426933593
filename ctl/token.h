/* SPDX-License-Identifier: Apache-2.0 */
/* The access token, for the subcommands that speak to Tower: from where the agent takes it, or
 * asked for. */
#ifndef TW_CTL_TOKEN_H
#define TW_CTL_TOKEN_H

#include "base/secret.h"
#include "config/options.h"

/*
 * Puts the token into the page, which secret_init made and secret_finish will wipe: what
 * arguments_take_token left there of --access-token or TOWER_ACCESS_TOKEN, with a warning; else
 * --token-file or --token-fd, by option or configuration file; else file, unless it is NULL or does
 * not exist; else the service credential; else it is asked for on the terminal. An exit code of
 * ctl.h, after an error is logged unless it is CTL_WELL; no message holds a byte of the token.
 */
int token_obtain(struct secret *page, struct options *o, const char *file);

/* Asks for it on the terminal without echo, and judges it: as token_obtain. */
int token_ask(struct secret *page);

#endif
