/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/search.h"

#include <string.h>

#include "base/limits.h"
#include "base/wipe.h"

/* Of a long token its end is searched: it is the part that other tokens do not share. */
#define TOKEN_PART 512
/* Shorter needles would withhold innocent results. */
#define NEEDLE_MIN 8

_Static_assert(TOKEN_PART *(1 + 2 * 2) + 6 * (TOKEN_PART * 4 / 3 + 1) <= LIMIT_SECRET_PAGE,
               "all needles fit the page");

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int search_init(struct search *s)
{
    *s = (struct search){0};
    return secret_init(&s->page);
}

/* Keeps the len bytes written behind the last needle, unless too short or there already. */
static void keep(struct search *s, size_t len)
{
    const char *new = s->page.data + s->page.len;
    if (len < NEEDLE_MIN)
        return;
    for (size_t i = 0; i < s->n; i++)
        if (s->needles[i].len == len && memcmp(s->page.data + s->needles[i].start, new, len) == 0)
            return;
    s->needles[s->n].start = s->page.len;
    s->needles[s->n++].len = len;
    s->page.len += len;
}

static void add_hex(struct search *s, struct span token, const char *digits)
{
    char *out = s->page.data + s->page.len;
    for (size_t i = 0; i < token.len; i++) {
        unsigned char c = (unsigned char)token.data[i];
        *out++ = digits[c >> 4];
        *out++ = digits[c & 15];
    }
    keep(s, 2 * token.len);
}

/*
 * RFC 4648 section 4, where `before` other bytes come first in a group of three: those characters
 * whose six bits all come from the token.
 */
static void add_base64(struct search *s, struct span token, size_t before, const char *alphabet)
{
    char *out = s->page.data + s->page.len;
    size_t first = (8 * before + 5) / 6, end = 8 * (before + token.len) / 6;
    for (size_t i = first; i < end; i++) {
        size_t bit = 6 * i - 8 * before, at = bit / 8;
        unsigned pair = (unsigned)(unsigned char)token.data[at] << 8;
        if (at + 1 < token.len)
            pair |= (unsigned char)token.data[at + 1];
        *out++ = alphabet[pair >> (10 - bit % 8) & 63];
    }
    keep(s, end > first ? end - first : 0);
}

void search_set(struct search *s, struct span token)
{
    explicit_bzero(s->page.data, s->page.size);
    s->page.len = 0;
    s->n = 0;
    if (token.len > TOKEN_PART)
        token = (struct span){token.data + token.len - TOKEN_PART, TOKEN_PART};
    memcpy(s->page.data, token.data, token.len);
    keep(s, token.len);
    add_hex(s, token, "0123456789abcdef");
    add_hex(s, token, "0123456789ABCDEF");
    for (size_t before = 0; before < 3; before++) {
        add_base64(s, token, before, standard);
        add_base64(s, token, before, url_safe);
    }
    wipe_stack();
    wipe_registers();
}

bool search_found(const struct search *s, struct span text)
{
    bool found = false;
    for (size_t i = 0; i < s->n && text.len > 0 && !found; i++)
        found = memmem(text.data, text.len, s->page.data + s->needles[i].start, s->needles[i].len);
    wipe_stack();
    wipe_registers();
    return found;
}

void search_finish(struct search *s)
{
    secret_finish(&s->page);
    *s = (struct search){0};
}
