/* SPDX-License-Identifier: Apache-2.0 */
/* The access token's bytes: from its source into a secret page, and what a token is. */
#ifndef TW_CONFIG_TOKEN_READ_H
#define TW_CONFIG_TOKEN_READ_H

#include "base/secret.h"
#include "config/token_source.h"

/* Copies into the page as much of a text of argv or environ as shows whether it is too long, and
 * wipes the original. */
void token_take(struct secret *page, char *text);

/* Opens the source and reads it into the page; a pipe has 10 s. NULL, or what is wrong. */
const char *token_read(struct token_source *s, struct secret *page);

/* NULL, or what is wrong with it: a token is 1 to 4096 printable ASCII characters. *len loses line
 * ends at the end. */
const char *token_judge(const char *bytes, size_t *len);

#endif
