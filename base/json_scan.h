/* SPDX-License-Identifier: Apache-2.0 */
/* Before a JSON decoder sees a text from elsewhere. */
#ifndef TW_BASE_JSON_SCAN_H
#define TW_BASE_JSON_SCAN_H

#include "base/span.h"

#define JSON_DEPTH_MAX 16
/* Of a message, which has four; what a decoder makes of each costs 32 to 232 bytes. */
#define JSON_TOKENS_MAX 4096
#define JSON_NUMBER_MAX 64 /* digits: longer ones only burn time */

/*
 * Bounds what a decoder would build from this text: depth, tokens, length of numbers. No more:
 * whether it is JSON the decoder says. NULL when within bounds, else a static text.
 */
const char *json_scan(struct span text, unsigned tokens_max);

#endif
