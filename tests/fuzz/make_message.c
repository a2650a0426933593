/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/make_message.h"

#include <string.h>

#include "base/text.h"

unsigned made_type(unsigned directions, unsigned n)
{
    unsigned count = 0;
    for (unsigned i = 0; i < MSG_COUNT; i++)
        count += !directions || (ipc_row(i)->directions & directions);
    n %= count;
    for (unsigned i = 0;; i++)
        if ((!directions || (ipc_row(i)->directions & directions)) && n-- == 0)
            return i;
}

/* ---- msgpack, as its specification has it ---- */

static void put(struct made *m, const void *bytes, size_t n)
{
    CHECK(n <= sizeof m->frame - m->len);
    if (n)
        memcpy(m->frame + m->len, bytes, n);
    m->len += n;
}

static void put_big_endian(struct made *m, unsigned char lead, uint64_t v, unsigned width)
{
    put(m, &lead, 1);
    for (unsigned i = width; i-- > 0;)
        put(m, &(unsigned char){(unsigned char)(v >> (8 * i))}, 1);
}

/* At least the width that the value needs; a larger one is as right. */
static void put_unsigned(struct made *m, uint64_t v, unsigned least)
{
    unsigned log = v <= UINT8_MAX ? 0 : v <= UINT16_MAX ? 1 : v <= UINT32_MAX ? 2 : 3;
    if (v < 0x80 && least == 0) {
        put(m, &(unsigned char){(unsigned char)v}, 1);
        return;
    }
    log = log < least ? least : log;
    put_big_endian(m, (unsigned char)(0xcc + log), v, 1u << log);
}

static void put_signed(struct made *m, int64_t v, unsigned least)
{
    if (v >= 0) {
        put_unsigned(m, (uint64_t)v, least);
        return;
    }
    unsigned log = v >= INT8_MIN ? 0 : v >= INT16_MIN ? 1 : v >= INT32_MIN ? 2 : 3;
    if (v >= -32 && least == 0) {
        put(m, &(unsigned char){(unsigned char)v}, 1);
        return;
    }
    log = log < least ? least : log;
    put_big_endian(m, (unsigned char)(0xd0 + log), (uint64_t)v, 1u << log);
}

static void put_string(struct made *m, bool binary, struct span s, unsigned least)
{
    unsigned log = s.len <= UINT8_MAX ? 0 : s.len <= UINT16_MAX ? 1 : 2;
    if (s.len < 32 && !binary && least == 0) {
        put(m, &(unsigned char){(unsigned char)(0xa0 | s.len)}, 1);
    } else {
        log = log < least && least < 3 ? least : log;
        put_big_endian(m, (unsigned char)((binary ? 0xc4 : 0xd9) + log), s.len, 1u << log);
    }
    put(m, s.data, s.len);
}

/* ---- fields ---- */

/* A byte says the value's sort, and in its upper bits the width to write it with. */
enum { SORT_LEAST, SORT_MOST, SORT_BYTE, SORT_WORD, SORT_ANY, SORT_BEYOND, SORT_OTHER_KIND, SORTS };

static void make_unsigned(struct made *m, const struct ipc_field *f, unsigned sort, unsigned width,
                          struct input *in)
{
    uint64_t v = 0;
    switch (sort) {
    case SORT_MOST:
        v = f->max;
        break;
    case SORT_BYTE:
        v = input_byte(in);
        break;
    case SORT_WORD:
        v = input_word(in);
        break;
    case SORT_ANY:
        for (int i = 0; i < 4; i++)
            v = v << 16 | input_word(in);
        break;
    case SORT_BEYOND:
        v = f->max + 1; /* 0 again where everything is permitted */
        break;
    case SORT_OTHER_KIND:
        put_signed(m, -1, width);
        m->valid = false;
        return;
    default:
        break;
    }
    m->valid = m->valid && v <= f->max;
    put_unsigned(m, v, width);
}

static void make_signed(struct made *m, const struct ipc_field *f, unsigned sort, unsigned width,
                        struct input *in)
{
    int64_t v = f->min, max = (int64_t)f->max;
    switch (sort) {
    case SORT_MOST:
        v = max;
        break;
    case SORT_BYTE:
        v = input_byte(in);
        break;
    case SORT_WORD:
        v = (int16_t)input_word(in);
        break;
    case SORT_ANY:
        v = f->min - 1;
        break;
    case SORT_BEYOND:
        v = max + 1;
        break;
    case SORT_OTHER_KIND:
        put_string(m, false, span_of("1"), width);
        m->valid = false;
        return;
    default:
        break;
    }
    m->valid = m->valid && v >= f->min && v <= max;
    put_signed(m, v, width);
}

static void make_string(struct made *m, const struct ipc_field *f, unsigned sort, unsigned width,
                        struct input *in)
{
    static char filled[LIMIT_PACKET + 1];
    bool binary = f->kind == KIND_BYTES;
    struct span s = {filled, f->min > 0 ? (size_t)f->min : 0};
    memset(filled, 'a' + (int)width, sizeof filled);
    switch (sort) {
    case SORT_MOST:
        s.len = (size_t)f->max;
        break;
    case SORT_BYTE:
        s = input_take(in, input_byte(in));
        break;
    case SORT_WORD:
        s.len = input_word(in);
        break;
    case SORT_ANY:
        s = input_take(in, 8);
        break;
    case SORT_BEYOND:
        s.len = (size_t)f->max + 1;
        break;
    case SORT_OTHER_KIND:
        binary = !binary;
        m->valid = false;
        break;
    default:
        break;
    }
    s.len = s.len < sizeof filled ? s.len : sizeof filled;
    if (m->len + s.len > 2 * LIMIT_PACKET)
        s.len = 0; /* too long already */
    m->valid = m->valid && s.len >= (size_t)f->min && s.len <= f->max;
    if (f->kind == KIND_TEXT && s.len)
        m->valid = m->valid && text_is_utf8(s.data, s.len) && !memchr(s.data, '\0', s.len);
    put_string(m, binary, s, width);
}

void make_message(struct made *m, unsigned type, struct input *in)
{
    const struct ipc_row *row = ipc_row(type);
    unsigned form = input_byte(in);
    m->type = type;
    m->valid = true;
    m->len = 0;
    if (form & 1)
        put_big_endian(m, 0xdc, row->n_fields + 1, 2);
    else if (row->n_fields < 15)
        put(m, &(unsigned char){(unsigned char)(0x90 | (row->n_fields + 1))}, 1);
    else
        put_big_endian(m, 0xdc, row->n_fields + 1, 2);
    put_unsigned(m, type, form >> 1 & 3);
    for (size_t i = 0; i < row->n_fields; i++) {
        const struct ipc_field *f = &row->fields[i];
        unsigned choice = input_byte(in), sort = (choice & 31) % SORTS, width = choice >> 5 & 3;
        if (f->kind == KIND_UNSIGNED)
            make_unsigned(m, f, sort, width, in);
        else if (f->kind == KIND_SIGNED)
            make_signed(m, f, sort, width, in);
        else
            make_string(m, f, sort, width, in);
    }
    m->valid = m->valid && m->len <= LIMIT_PACKET;
}
