/* SPDX-License-Identifier: Apache-2.0 */
/* Text from elsewhere: escaping for logs and JSON, UTF-8, percent-encoding, file names. */
#ifndef TW_BASE_TEXT_H
#define TW_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/*
 * Escapes for a log line or the inside of a JSON string: control characters, DEL, C1, bidi marks
 * and bytes that are not UTF-8 become \xHH (json: \u00HH, so that the line stays valid JSON), " and
 * \ are escaped in JSON. Writes at most size-1 bytes and a NUL, never half an escape; returns the
 * length written.
 */
size_t text_escape(char *out, size_t size, const char *in, size_t len, bool json);

/*
 * Length in bytes of the well-formed UTF-8 character at in (1 to 4) per RFC 3629 section 4, and its
 * code point; 0 when the bytes are not UTF-8 or len cuts the character.
 */
size_t text_utf8_char(const char *in, size_t len, uint32_t *code);

bool text_is_utf8(const char *in, size_t len);

/*
 * Percent-encodes for one URL path segment: RFC 3986 unreserved characters stay; "." and ".." are
 * encoded whole, since they would be taken for a relative segment. False when out (size bytes with
 * the NUL) is too small.
 */
bool text_percent_encode(char *out, size_t size, const char *in, size_t len);

/*
 * A relative path, unique for (id, host), that is safe as file names: other characters than
 * letters, digits, - and _ (and . not in front) are %HH, and names over 180 bytes are split into
 * directories ending in "~". False when out is too small (4 * LIMIT_CONNECTION_ID suffices).
 */
bool text_state_name(char *out, size_t size, const char *id, const char *host);

/* True for the name of an environment variable: letters, digits and _, no digit in front. */
bool text_is_name(struct span s);

/* Parses a decimal number up to max; the whole text must be digits. */
bool text_number(const char *text, uint64_t max, uint64_t *value);

#endif
