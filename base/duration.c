/* SPDX-License-Identifier: Apache-2.0 */
#include "base/duration.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define DURATION_MAX (UINT64_C(3650) * 24 * 3600 * 1000)

/* "12" or "12.5" (at most three decimals count) times unit milliseconds, added to *sum. Returns
 * what follows, or NULL. */
static const char *take_number(const char *s, uint64_t *thousandths)
{
    uint64_t v = 0;
    if (!isdigit((unsigned char)*s))
        return NULL;
    for (; isdigit((unsigned char)*s); s++) {
        v = v * 10 + (uint64_t)(*s - '0');
        if (v > DURATION_MAX)
            return NULL;
    }
    v *= 1000;
    if (*s == '.') {
        uint64_t weight = 100;
        if (!isdigit((unsigned char)*++s))
            return NULL;
        for (; isdigit((unsigned char)*s); s++, weight /= 10)
            v += (uint64_t)(*s - '0') * weight;
    }
    *thousandths = v;
    return s;
}

static bool add(uint64_t *sum, uint64_t thousandths, uint64_t unit)
{
    if (thousandths > DURATION_MAX * 1000 / unit)
        return false;
    *sum += thousandths * unit / 1000;
    return *sum <= DURATION_MAX;
}

static bool parse_iso(const char *s, uint64_t *out)
{
    static const struct {
        char letter;
        bool time;
        uint64_t unit;
    } units[] = {
        {'D', false, 86400000}, {'H', true, 3600000}, {'M', true, 60000}, {'S', true, 1000}};
    bool time = false, any = false;
    size_t next = 0;
    uint64_t sum = 0;
    while (*s) {
        if (toupper((unsigned char)*s) == 'T' && !time) {
            time = true;
            any = false;
            s++;
            continue;
        }
        uint64_t number;
        s = take_number(s, &number);
        if (!s)
            return false;
        while (next < 4 &&
               (units[next].letter != toupper((unsigned char)*s) || units[next].time != time))
            next++;
        if (next == 4 || !add(&sum, number, units[next].unit))
            return false;
        next++;
        s++;
        any = true;
    }
    *out = sum;
    return any;
}

bool duration_parse(const char *text, uint64_t *milliseconds)
{
    static const struct {
        const char *suffix;
        uint64_t unit;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    if (toupper((unsigned char)*text) == 'P')
        return parse_iso(text + 1, milliseconds);
    uint64_t number;
    const char *rest = take_number(text, &number);
    if (!rest)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcasecmp(rest, units[i].suffix) == 0) {
            uint64_t sum = 0;
            if (!add(&sum, number, units[i].unit))
                return false;
            *milliseconds = sum;
            return true;
        }
    return false;
}
