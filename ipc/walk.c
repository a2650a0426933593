/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/walk.h"

#include <stdint.h>

/* msgpack's format bytes (the format's specification, "Overview"). */
enum {
    FIXARRAY = 0x90,
    FIXSTR = 0xa0,
    BIN8 = 0xc4,
    BIN32 = 0xc6,
    UINT8 = 0xcc,
    UINT64 = 0xcf,
    INT8 = 0xd0,
    INT64 = 0xd3,
    STR8 = 0xd9,
    STR32 = 0xdb,
    ARRAY16 = 0xdc,
    NEGATIVE_FIXINT = 0xe0
};

/* A big-endian length of n bytes at p. */
static uint64_t read_length(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* Bytes that the element at p takes, 0 when it is cut short or of a kind that no message has. */
static uint64_t element_size(const unsigned char *p, uint64_t left)
{
    unsigned char c = *p;
    size_t prefix = 0;
    if (c < 0x80 || c >= NEGATIVE_FIXINT)
        return 1;
    if ((c & 0xe0) == FIXSTR)
        return 1 + (uint64_t)(c & 0x1f);
    if (c >= UINT8 && c <= UINT64)
        return 1 + (UINT64_C(1) << (c - UINT8));
    if (c >= INT8 && c <= INT64)
        return 1 + (UINT64_C(1) << (c - INT8));
    if (c >= BIN8 && c <= BIN32)
        prefix = (size_t)1 << (c - BIN8);
    else if (c >= STR8 && c <= STR32)
        prefix = (size_t)1 << (c - STR8);
    if (prefix == 0 || left < 1 + prefix)
        return 0;
    return 1 + prefix + read_length(p + 1, prefix);
}

int ipc_walk(const char *frame, size_t len, const char **why)
{
    const unsigned char *p = (const unsigned char *)frame;
    size_t at, count;
    if (len >= 1 && (p[0] & 0xf0) == FIXARRAY) {
        count = p[0] & 0x0f;
        at = 1;
    } else if (len >= 3 && p[0] == ARRAY16) {
        count = (size_t)read_length(p + 1, 2);
        at = 3;
    } else {
        *why = "not an array";
        return -1;
    }
    if (count == 0 || count > WALK_ELEMENTS) {
        *why = "element count";
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t left = len - at;
        uint64_t size = left ? element_size(p + at, left) : 0;
        if (size == 0 || size > left) {
            *why = "element cut short or of an unknown kind";
            return -1;
        }
        at += (size_t)size;
    }
    if (at != len) {
        *why = "trailing bytes";
        return -1;
    }
    return (int)count;
}
