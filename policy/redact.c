/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

static const char replacement[] = "[redacted]";

/* Words that stand in front of a secret. */
static const char *const introducers[] = {"TOWER_ACCESS_TOKEN=", "Bearer ", "/ephemeral/"};

/* A JWT's header and a Tower token both begin with the base64 of '{"'. Shorter words are not
 * secrets. */
#define JWT_START "eyJ"
#define JWT_LEAST 12

static bool is_secret_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("-_.=+/~%", c));
}

static size_t word_length(const char *s, size_t len)
{
    size_t n = 0;
    if (len && (*s == '"' || *s == '\''))
        n = 1;
    while (n < len && is_secret_char(s[n]))
        n++;
    return n;
}

static bool starts_with(const char *s, size_t len, const char *prefix)
{
    size_t n = strlen(prefix);
    return len >= n && strncasecmp(s, prefix, n) == 0;
}

/* Length of "user:password@" after "://", 0 if there is none. */
static size_t userinfo_length(const char *s, size_t len)
{
    bool colon = false;
    for (size_t i = 0; i < len && !isspace((unsigned char)s[i]) && s[i] != '/'; i++) {
        colon = colon || s[i] == ':';
        if (s[i] == '@')
            return colon ? i : 0;
    }
    return 0;
}

/* Length of the introducer that s begins with, 0 if it does not. */
static size_t introducer_length(const char *s, size_t len)
{
    for (size_t i = 0; i < sizeof introducers / sizeof *introducers; i++)
        if (starts_with(s, len, introducers[i]))
            return strlen(introducers[i]);
    return 0;
}

/* How many bytes from s on stay, and how many after those are secret. False: neither, copy one
 * byte. */
static bool find_secret(const char *s, size_t len, size_t *keep, size_t *secret)
{
    size_t n = introducer_length(s, len);
    if (n) {
        *keep = n;
        *secret = word_length(s + n, len - n);
        /* Of two, as in "Bearer Bearer x", the first introduces no secret: it comes behind the
         * second. */
        return *secret > 0 && !introducer_length(s + n, len - n);
    }
    if (starts_with(s, len, "://")) {
        *keep = 3;
        *secret = userinfo_length(s + 3, len - 3);
        return *secret > 0;
    }
    if (len >= JWT_LEAST && memcmp(s, JWT_START, sizeof JWT_START - 1) == 0) {
        *keep = 0;
        *secret = word_length(s, len);
        return *secret >= JWT_LEAST;
    }
    return false;
}

static size_t put(char *out, size_t at, size_t size, const char *bytes, size_t n)
{
    if (n > size - 1 - at)
        n = size - 1 - at;
    memcpy(out + at, bytes, n);
    return at + n;
}

/* At the start of a word only: what is left of one is as secret as the whole. */
static bool find_long_word(struct span text, size_t i, size_t *secret)
{
    *secret = 0;
    if (i > 0 && is_secret_char(text.data[i - 1]))
        return false;
    while (i + *secret < text.len && is_secret_char(text.data[i + *secret]))
        ++*secret;
    return *secret >= REDACT_WORD;
}

static const char *copy(char *out, size_t size, struct span text, bool foreign)
{
    size_t at = 0;
    for (size_t i = 0; i < text.len;) {
        size_t keep = 0, secret = 0;
        if ((foreign && find_long_word(text, i, &secret)) ||
            find_secret(text.data + i, text.len - i, &keep, &secret)) {
            at = put(out, at, size, text.data + i, keep);
            at = put(out, at, size, replacement, sizeof replacement - 1);
            i += keep + secret;
        } else {
            at = put(out, at, size, text.data + i, 1);
            i++;
        }
    }
    out[at] = '\0';
    return out;
}

const char *redact(char *out, size_t size, struct span text)
{
    return copy(out, size, text, false);
}

const char *redact_foreign(char *out, size_t size, struct span text)
{
    return copy(out, size, text, true);
}
