/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/ws_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tests/fuzz/fuzz.h"

uint64_t model_sum(uint64_t sum, const void *bytes, size_t len)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ b[i]) * UINT64_C(0x100000001b3);
    return sum;
}

struct head {
    bool fin, masked;
    unsigned rsv, opcode;
    uint64_t len;
    size_t size;
};

/* 0, or 1 when the head is cut short, or -1 when its length makes it a bad one. Section 5.2. */
static int read_head(struct head *h, const unsigned char *p, size_t left)
{
    if (left < 2)
        return 1;
    *h = (struct head){.fin = p[0] & 0x80,
                       .rsv = p[0] >> 4 & 7,
                       .opcode = p[0] & 15,
                       .masked = p[1] & 0x80,
                       .len = p[1] & 0x7f,
                       .size = 2};
    if (h->opcode >= 8 && (h->len > 125 || !h->fin))
        return -1;
    size_t width = h->len < 126 ? 0 : h->len == 126 ? 2 : 8;
    if (left < 2 + width)
        return 1;
    if (width)
        h->len = 0;
    for (size_t i = 0; i < width; i++)
        h->len = h->len << 8 | p[2 + i];
    if ((width == 2 && h->len < 126) || (width == 8 && (h->len < 65536 || h->len >> 63)))
        return -1;
    h->size += width + (h->masked ? 4 : 0);
    return left < h->size ? 1 : 0;
}

static void fail(struct model *m, unsigned code)
{
    m->end = MODEL_FAILED;
    m->code = code;
}

/* The bytes may still become UTF-8: whole characters, and the beginning of one. */
static bool begins_utf8(const char *text, size_t len)
{
    static const unsigned char seconds[] = {0x80, 0x90, 0xa0};
    uint32_t code;
    size_t n;
    while (len && (n = text_utf8_char(text, len, &code)))
        text += n, len -= n;
    if (len == 0)
        return true;
    if (len > 3)
        return false;
    for (size_t s = 0; s < sizeof seconds; s++)
        for (size_t total = len + 1; total <= 4; total++) {
            char whole[4];
            memset(whole, 0x80, sizeof whole);
            memcpy(whole, text, len);
            if (len == 1)
                whole[1] = (char)seconds[s];
            if (text_utf8_char(whole, total, &code) == total)
                return true;
        }
    return false;
}

static bool is_close_code(unsigned code)
{
    static const unsigned known[] = {1000, 1001, 1002, 1003, 1007, 1008,
                                     1009, 1010, 1011, 1012, 1013, 1014};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (code == known[i])
            return true;
    return code >= 3000 && code < 5000;
}

/* Section 5.5.1. */
static void read_close(struct model *m, const unsigned char *p, size_t len)
{
    unsigned code = len >= 2 ? (unsigned)p[0] << 8 | p[1] : 1005;
    bool good_text = len <= 2 || text_is_utf8((const char *)p + 2, len - 2);
    m->vague = len >= 2 && !is_close_code(code) && !good_text;
    if (len == 1 || (len >= 2 && !is_close_code(code))) {
        fail(m, 1002);
    } else if (!good_text) {
        fail(m, 1007);
    } else {
        m->end = MODEL_CLOSED;
        m->code = code;
    }
}

/* The message being put together. */
struct assembly {
    bool any, binary;
    uint64_t promised;
    char *bytes;
    size_t len;
};

static void judge_data(struct model *m, const struct model_rules *rules, struct assembly *a,
                       const struct head *h)
{
    if (a->any == (h->opcode != 0)) {
        fail(m, 1002);
        return;
    }
    if (h->opcode) {
        a->binary = h->opcode == 2;
        a->promised = 0;
        a->len = 0;
    }
    a->any = true;
    if (a->binary && !rules->allow_binary)
        fail(m, 1003);
    else if (h->len > rules->message_max - a->promised)
        fail(m, 1009);
    else
        a->promised += h->len;
}

static void judge(struct model *m, const struct model_rules *rules, struct assembly *a,
                  const struct head *h)
{
    bool known = h->opcode <= 2 || (h->opcode >= 8 && h->opcode <= 10);
    if (h->rsv || h->masked || !known)
        fail(m, 1002);
    else if (h->opcode < 8)
        judge_data(m, rules, a, h);
}

static void take_data(struct model *m, struct assembly *a, const struct head *h,
                      const unsigned char *p, size_t there)
{
    memcpy(a->bytes + a->len, p, there);
    a->len += there;
    bool last = h->fin && there == h->len;
    if (!a->binary && !(last ? text_is_utf8(a->bytes, a->len) : begins_utf8(a->bytes, a->len))) {
        fail(m, 1007);
        return;
    }
    if (!last)
        return;
    CHECK(m->n_messages < MODEL_MOST);
    m->messages[m->n_messages++] = model_sum(MODEL_SUM + a->binary, a->bytes, a->len);
    a->any = false;
    a->len = 0;
}

/* One frame; how many bytes it took, 0 when the stream ends within it. */
static size_t take_frame(struct model *m, const struct model_rules *rules, struct assembly *a,
                         const unsigned char *p, size_t left)
{
    struct head h;
    int cut = read_head(&h, p, left);
    if (cut < 0)
        fail(m, 1002);
    m->vague = cut > 0 && left > 0;
    if (cut)
        return 0;
    size_t there = left - h.size < h.len ? left - h.size : (size_t)h.len;
    if (there == 0 && h.len > 0) {
        m->vague = true;
        return 0;
    }
    judge(m, rules, a, &h);
    if (m->end != MODEL_OPEN)
        return 0;
    p += h.size;
    if (h.opcode < 8)
        take_data(m, a, &h, p, there);
    else if (there < h.len)
        m->vague = h.opcode == 8 && there > 2 && !begins_utf8((const char *)p + 2, there - 2);
    else if (h.opcode == 8)
        read_close(m, p, there);
    else if (h.opcode == 9 && m->n_pings < MODEL_MOST)
        m->pings[m->n_pings++] = model_sum(MODEL_SUM, p, there);
    return there < h.len ? 0 : h.size + there;
}

void model_read(struct model *m, const struct model_rules *rules, struct span stream)
{
    const unsigned char *p = (const unsigned char *)stream.data;
    size_t left = stream.len, n = 1;
    struct assembly a = {.bytes = malloc(stream.len + 1)};
    CHECK(a.bytes);
    *m = (struct model){.end = MODEL_OPEN};
    while (m->end == MODEL_OPEN && left > 0 && n > 0 && m->n_messages < MODEL_MOST &&
           m->n_pings < MODEL_MOST) {
        n = take_frame(m, rules, &a, p, left);
        p += n;
        left -= n;
    }
    m->partial = m->end == MODEL_OPEN ? a.len : 0;
    free(a.bytes);
}
