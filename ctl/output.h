/* SPDX-License-Identifier: Apache-2.0 */
/* Text from elsewhere on its way to a terminal or into JSON. */
#ifndef TW_CTL_OUTPUT_H
#define TW_CTL_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/log.h"

/* Writes text with control characters, bidi marks and bytes that are not UTF-8 escaped. */
void output_escaped(FILE *out, const char *text, bool json);

/* "key":"text", with a comma in front unless it is the first of its object. */
void output_json_text(FILE *out, bool first, const char *key, const char *text);

/* "key":true or false. */
void output_json_bool(FILE *out, bool first, const char *key, bool value);

/* One line of JSON, in ASCII without control characters, whoever wrote the texts in it; releases
 * the value. */
void output_json_line(json_t *value);

/*
 * A log_sink: the message, redacted and escaped, as a line of standard error. context: NULL, or
 * OUTPUT_FIRST_MAX bytes that get the first error and stay as they are once they hold one.
 */
#define OUTPUT_FIRST_MAX 1024
void output_message(void *context, enum log_level level, const char *message);

#endif
