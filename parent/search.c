/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/search.h"

#include <string.h>
#include <sys/random.h>

#include "base/limits.h"
#include "base/wipe.h"

/* Of a long token its end is searched: it is the part that other tokens do not share. */
#define TOKEN_PART 512
/* Shorter needles would withhold innocent results, and hold no whole word at every place. */
#define NEEDLE_MIN 16
#define WORD       sizeof(uint64_t)
#define SLOTS      1024
/* Windows of one text that are looked into: who guesses half of the token cannot multiply the time
 * that a right guess takes. */
#define LOOKS      16
#define SLOT_SHIFT 54

/*
 * How long a search takes must not depend on the token: a member measures it, and could try two
 * bytes at a time whether a text holds some of the token (a skip table, as memmem's, tells). So
 * every text is read word by word at one pace: a rolling hash of the last words (Rabin and Karp,
 * 1987), with a random multiplier, is looked up among the hashes of as many words of each needle,
 * taken from each of the eight places where a word can begin. Only whole matches are looked into.
 */
struct tables {
    uint64_t multiplier;
    uint64_t leaving; /* what is left of the word that leaves the window: its factor */
    uint64_t hashes[SLOTS];
};

_Static_assert(sizeof(struct tables) + TOKEN_PART * (1 + 2 * 2) + 6 * (TOKEN_PART * 4 / 3 + 1) <=
                   LIMIT_SECRET_PAGE,
               "tables and needles fit the page");
_Static_assert(SLOTS == UINT64_C(1) << (64 - SLOT_SHIFT), "a slot is a hash's first bits");

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

static struct tables *tables_of(const struct search *s)
{
    return (struct tables *)(void *)s->page.data;
}

static uint64_t word_at(const char *p)
{
    uint64_t w;
    memcpy(&w, p, WORD);
    return w;
}

static uint64_t hash_of(const struct search *s, const char *p)
{
    uint64_t h = 0;
    for (size_t i = 0; i < s->words; i++)
        h = (h + word_at(p + i * WORD)) * tables_of(s)->multiplier;
    return h;
}

/* False: two hashes want one slot. */
static bool fill_slots(const struct search *s)
{
    struct tables *t = tables_of(s);
    for (uint64_t i = 0; i < SLOTS; i++)
        t->hashes[i] = ~i << SLOT_SHIFT; /* of another slot: matches nothing */
    t->leaving = t->multiplier;
    for (size_t i = 0; i < s->words; i++)
        t->leaving *= t->multiplier;
    for (size_t n = 0; n < s->n; n++)
        for (size_t i = 0; i < WORD; i++) {
            uint64_t h = hash_of(s, s->page.data + s->needles[n].start + i);
            uint64_t *slot = &t->hashes[h >> SLOT_SHIFT];
            if (*slot >> SLOT_SHIFT == h >> SLOT_SHIFT && *slot != h)
                return false;
            *slot = h;
        }
    return true;
}

/* The longest window that every needle holds wherever its first whole word begins. */
static int make_tables(struct search *s)
{
    size_t shortest = SIZE_MAX;
    for (size_t i = 0; i < s->n; i++)
        if (s->needles[i].len < shortest)
            shortest = s->needles[i].len;
    s->words = s->n > 0 ? (shortest - (WORD - 1)) / WORD : 0;
    do {
        uint64_t random;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            return -1;
        tables_of(s)->multiplier = random | 1;
    } while (!fill_slots(s)); /* one in twelve fits */
    return 0;
}

int search_set(struct search *s, struct span token)
{
    explicit_bzero(s->page.data, s->page.size);
    s->page.len = sizeof(struct tables);
    s->n = 0;
    if (token.len > TOKEN_PART)
        token = (struct span){token.data + token.len - TOKEN_PART, TOKEN_PART};
    memcpy(s->page.data + s->page.len, token.data, token.len);
    keep(s, token.len);
    add_hex(s, token, "0123456789abcdef");
    add_hex(s, token, "0123456789ABCDEF");
    for (size_t before = 0; before < 3; before++) {
        add_base64(s, token, before, standard);
        add_base64(s, token, before, url_safe);
    }
    int rc = make_tables(s);
    wipe_stack();
    wipe_registers();
    return rc;
}

/* Whether a needle stands where the window at text.data + at would be part of it. */
static bool stands_at(const struct search *s, struct span text, size_t at)
{
    for (size_t n = 0; n < s->n; n++)
        for (size_t i = 0; i < WORD && i <= at; i++)
            if (text.len - (at - i) >= s->needles[n].len &&
                memcmp(text.data + at - i, s->page.data + s->needles[n].start, s->needles[n].len) ==
                    0)
                return true;
    return false;
}

static bool scan(const struct search *s, struct span text)
{
    const struct tables *t = tables_of(s);
    size_t window = s->words * WORD;
    bool found = false;
    unsigned looks = 0;
    if (s->words == 0 || text.len < window)
        return false;
    uint64_t h = hash_of(s, text.data);
    for (size_t at = 0;; at += WORD) {
        if (t->hashes[h >> SLOT_SHIFT] == h && looks++ < LOOKS)
            found |= stands_at(s, text, at);
        if (text.len - at < window + WORD)
            return found;
        h = (h + word_at(text.data + at + window)) * t->multiplier -
            word_at(text.data + at) * t->leaving;
    }
}

bool search_found(const struct search *s, struct span text)
{
    bool found = scan(s, text);
    wipe_stack();
    wipe_registers();
    return found;
}

void search_finish(struct search *s)
{
    secret_finish(&s->page);
    *s = (struct search){0};
}
