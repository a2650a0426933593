/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/token/match.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BITMAP_BITS 17 /* 16 KiB: stays in the first cache while gigabytes pass */
#define TABLE_BITS  17
#define TABLE_SIZE  (1U << TABLE_BITS)

struct match_key {
    uint64_t window;
    uint32_t offset;
    uint16_t pattern;
    uint16_t used;
};

static uint64_t window_at(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

static uint64_t mix(uint64_t w)
{
    return w * 0x9e3779b97f4a7c15ULL;
}

int match_add(struct matcher *m, const char *name, size_t shortest, uint8_t *data, size_t len)
{
    if (m->n == MATCH_PATTERNS || shortest < MATCH_WINDOW || len < shortest || len > MATCH_LONGEST)
        return -1;
    struct match_pattern *p = &m->patterns[m->n++];
    *p = (struct match_pattern){.shortest = shortest, .len = len, .data = data};
    snprintf(p->name, sizeof p->name, "%s", name);
    return 0;
}

static int add_key(struct matcher *m, size_t pattern, size_t offset, size_t *count)
{
    uint64_t w = window_at(m->patterns[pattern].data + offset), h = mix(w);
    if (++*count > TABLE_SIZE / 2)
        return -1;
    uint32_t i = (uint32_t)(h >> (64 - TABLE_BITS));
    while (m->keys[i].used)
        i = (i + 1) % TABLE_SIZE;
    m->keys[i] = (struct match_key){
        .window = w, .offset = (uint32_t)offset, .pattern = (uint16_t)pattern, .used = 1};
    uint64_t bit = h >> (64 - BITMAP_BITS);
    m->bitmap[bit / 64] |= 1ULL << (bit % 64);
    return 0;
}

int match_prepare(struct matcher *m)
{
    size_t count = 0;
    m->keys = calloc(TABLE_SIZE, sizeof *m->keys);
    m->bitmap = calloc((1U << BITMAP_BITS) / 64, sizeof *m->bitmap);
    if (!m->keys || !m->bitmap)
        return -1;
    for (size_t p = 0; p < m->n; p++)
        for (size_t o = 0; o + MATCH_WINDOW <= m->patterns[p].len; o++)
            if (add_key(m, p, o, &count) != 0)
                return -1;
    return 0;
}

struct search {
    const struct matcher *m;
    const uint8_t *data;
    size_t len;
    size_t begin_before;
    match_found found;
    void *context;
    size_t reported[MATCH_PATTERNS]; /* end of the last piece of each pattern */
};

/* The window at `at` is that of key k: how far does the likeness go? */
static void extend(struct search *s, const struct match_key *k, size_t at)
{
    const struct match_pattern *p = &s->m->patterns[k->pattern];
    if (at < s->reported[k->pattern])
        return;
    size_t begin = at, o = k->offset, end = at + MATCH_WINDOW, e = k->offset + MATCH_WINDOW;
    while (begin > 0 && o > 0 && s->data[begin - 1] == p->data[o - 1]) {
        begin--;
        o--;
    }
    while (end < s->len && e < p->len && s->data[end] == p->data[e]) {
        end++;
        e++;
    }
    if (end - begin < p->shortest || begin >= s->begin_before)
        return;
    s->reported[k->pattern] = end;
    s->found(s->context, p, end - begin, begin);
}

void match_search(const struct matcher *m, const uint8_t *data, size_t len, size_t begin_before,
                  match_found found, void *context)
{
    struct search s = {.m = m,
                       .data = data,
                       .len = len,
                       .begin_before = begin_before,
                       .found = found,
                       .context = context};
    for (size_t at = 0; at + MATCH_WINDOW <= len; at++) {
        uint64_t w = window_at(data + at), h = mix(w), bit = h >> (64 - BITMAP_BITS);
        if (!(m->bitmap[bit / 64] >> (bit % 64) & 1))
            continue;
        uint32_t i = (uint32_t)(h >> (64 - TABLE_BITS));
        for (; m->keys[i].used; i = (i + 1) % TABLE_SIZE)
            if (m->keys[i].window == w)
                extend(&s, &m->keys[i], at);
    }
}

void match_finish(struct matcher *m)
{
    for (size_t i = 0; i < m->n; i++)
        free(m->patterns[i].data);
    free(m->keys);
    free(m->bitmap);
    *m = (struct matcher){0};
}
