/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TW_BASE_DURATION_H
#define TW_BASE_DURATION_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Parses a duration into milliseconds: "45s", "2m", "1500ms", "1h", "1d", bare seconds "45", or ISO
 * 8601 as java.time writes it ("PT45S", "PT1H2M3.5S", "P1DT2H", any case). At most 3650 days.
 * False: not a duration.
 */
bool duration_parse(const char *text, uint64_t *milliseconds);

#endif
