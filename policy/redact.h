/* SPDX-License-Identifier: Apache-2.0 */
/* What must never reach a log, a status file or an audit record in clear. */
#ifndef TW_POLICY_REDACT_H
#define TW_POLICY_REDACT_H

#include <stddef.h>

#include "base/span.h"

/*
 * Copies text with secrets replaced by "[redacted]": the value of TOWER_ACCESS_TOKEN=…, what
 * follows "Bearer ", what follows "/ephemeral/", user:password@ in a URL, and words that look like
 * a JWT or a Tower token (base64url of a JSON object: "eyJ…"). Always NUL-terminates; cuts at
 * size-1. Returns out.
 */
const char *redact(char *out, size_t size, struct span text);

/* A word of token characters as long as this may be a token. Tower's have 40 and more. */
#define REDACT_WORD 24

/*
 * The same for text that a server chose, which may say the token back in any shape that nobody
 * announces: besides, every word of REDACT_WORD or more characters of base64, hex and the like
 * goes.
 */
const char *redact_foreign(char *out, size_t size, struct span text);

#endif
