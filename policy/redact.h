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

#endif
