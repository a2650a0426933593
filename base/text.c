/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"

char *span_dup(struct span s)
{
    char *copy = malloc(s.len + 1);
    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return copy;
}

size_t text_utf8_char(const char *in, size_t len, uint32_t *code)
{
    const unsigned char *s = (const unsigned char *)in;
    if (len == 0)
        return 0;
    if (s[0] < 0x80) {
        *code = s[0];
        return 1;
    }
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len < n)
        return 0;
    uint32_t c = s[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    /* Overlong forms, surrogates and what lies beyond Unicode. */
    if ((n == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) ||
        (n == 4 && (c < 0x10000 || c > 0x10ffff)))
        return 0;
    *code = c;
    return n;
}

bool text_is_utf8(const char *in, size_t len)
{
    uint32_t code;
    for (size_t i = 0; i < len;) {
        size_t n = text_utf8_char(in + i, len - i, &code);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

/* Marks that reorder or hide text on a terminal: bidi controls (UAX 9), zero-width, line
 * separators, BOM. */
static bool is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

size_t text_escape(char *out, size_t size, const char *in, size_t len, bool json)
{
    size_t at = 0;
    for (size_t i = 0; i < len;) {
        char piece[32];
        uint32_t code = 0;
        size_t n = text_utf8_char(in + i, len - i, &code);
        size_t m = 0;
        if (n == 0 || is_hidden(code)) {
            n = n ? n : 1;
            for (size_t k = 0; k < n; k++)
                m += (size_t)snprintf(piece + m, sizeof piece - m, json ? "\\u00%02x" : "\\x%02x",
                                      (unsigned char)in[i + k]);
        } else {
            if (json && (code == '"' || code == '\\'))
                piece[m++] = '\\';
            memcpy(piece + m, in + i, n);
            m += n;
        }
        if (at + m + 1 > size)
            break;
        memcpy(out + at, piece, m);
        at += m;
        i += n;
    }
    if (size)
        out[at] = '\0';
    return at;
}

static bool is_unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_';
}

bool text_percent_encode(char *out, size_t size, const char *in, size_t len)
{
    size_t at = 0;
    bool dots = (len == 1 && in[0] == '.') || (len == 2 && in[0] == '.' && in[1] == '.');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)in[i];
        bool plain = is_unreserved(c) || c == '~' || (c == '.' && !dots);
        if (at + (plain ? 1 : 3) + 1 > size)
            return false;
        if (plain)
            out[at++] = (char)c;
        else
            at += (size_t)snprintf(out + at, size - at, "%%%02X", c);
    }
    if (size == 0)
        return false;
    out[at] = '\0';
    return true;
}

/* Names stay below NAME_MAX (255) with the host and a suffix added. */
#define NAME_PIECE 180

bool text_state_name(char *out, size_t size, const char *id, const char *host)
{
    size_t at = 0, piece = 0;
    for (const char *part = id;; part = host) {
        for (const char *c = part; *c; c++) {
            bool plain = is_unreserved((unsigned char)*c) || (*c == '.' && piece > 0);
            if (at + 6 > size)
                return false;
            if (piece > NAME_PIECE) {
                out[at++] = '~';
                out[at++] = '/';
                piece = 0;
                plain = plain && *c != '.';
            }
            size_t n =
                (size_t)snprintf(out + at, size - at, plain ? "%c" : "%%%02X", (unsigned char)*c);
            at += n;
            piece += n;
        }
        if (part == host)
            return true;
        if (at + 2 > size)
            return false;
        out[at++] = '@';
        piece = piece > NAME_PIECE - 64 ? NAME_PIECE - 64 : piece + 1;
    }
}

bool text_is_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return s.len > 0;
}

bool text_number(const char *text, uint64_t max, uint64_t *value)
{
    uint64_t v = 0;
    if (!*text)
        return false;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9')
            return false;
        uint64_t digit = (uint64_t)(*c - '0');
        if (digit > max || v > (max - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *value = v;
    return true;
}
