/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_scan.h"

/* From behind the opening quote to behind the closing one, or to the end. */
static const char *skip_string(const char *at, const char *end)
{
    while (at < end) {
        /* The bulk of a command is neither: memchr-like speed is not needed, a plain loop is. */
        if (*at == '"')
            return at + 1;
        at += *at == '\\' ? 2 : 1;
    }
    return end;
}

static bool is_scalar(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '+' || c == '.';
}

const char *json_scan(struct span text, unsigned tokens_max)
{
    const char *at = text.data, *end = text.data + text.len;
    unsigned depth = 0, tokens = 0;
    while (at < end) {
        char c = *at++;
        if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return "nested too deeply";
            tokens++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return "brackets do not match";
            depth--;
        } else if (c == '"') {
            at = skip_string(at, end);
            tokens++;
        } else if (is_scalar(c)) {
            const char *start = at;
            while (at < end && is_scalar(*at))
                at++;
            if (at - start >= JSON_NUMBER_MAX)
                return "a number or word is too long";
            tokens++;
        }
        if (tokens > tokens_max)
            return "too many values";
    }
    return NULL;
}
