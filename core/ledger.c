/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ledger.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/limits.h"
#include "base/siphash.h"

#define BUCKETS 16384

/* A content comes in: its descriptor is counted, or given back when there are too many. */
static void count_in(struct ledger *l, struct content *c)
{
    if (l->fds >= l->fds_max)
        content_settle(c, LIMIT_OUTPUT);
    l->fds += c->fd >= 0;
}

static void count_out(struct ledger *l, const struct content *c)
{
    l->fds -= c->fd >= 0;
}

void ledger_settle(struct ledger *l, struct entry *e)
{
    count_out(l, &e->output);
    content_settle(&e->output, CONTENT_SMALL);
    count_in(l, &e->output);
}

int ledger_init(struct ledger *l, size_t fds_max)
{
    *l = (struct ledger){.n_buckets = BUCKETS, .fds_max = fds_max};
    for (int i = 0; i < ENTRY_STATES; i++)
        TAILQ_INIT(&l->lists[i]);
    l->buckets = calloc(BUCKETS, sizeof *l->buckets);
    if (!l->buckets)
        return -1;
    return getrandom(l->key, sizeof l->key, 0) == (ssize_t)sizeof l->key ? 0 : -1;
}

static struct entry **place_of(const struct ledger *l, uint64_t hash)
{
    return &l->buckets[hash & (l->n_buckets - 1)];
}

static void entry_free(struct entry *e)
{
    content_finish(&e->text);
    content_finish(&e->output);
    free(e);
}

void ledger_finish(struct ledger *l)
{
    for (int i = 0; i < ENTRY_STATES; i++)
        while (!TAILQ_EMPTY(&l->lists[i])) {
            struct entry *e = TAILQ_FIRST(&l->lists[i]);
            TAILQ_REMOVE(&l->lists[i], e, in_state);
            entry_free(e);
        }
    free(l->buckets);
    l->buckets = NULL;
}

struct entry *ledger_find(const struct ledger *l, struct span id)
{
    uint64_t hash = siphash(l->key, id.data, id.len);
    for (struct entry *e = *place_of(l, hash); e; e = e->next_in_bucket)
        if (e->hash == hash && e->id_len == id.len && memcmp(e->id, id.data, id.len) == 0)
            return e;
    return NULL;
}

struct entry *ledger_add(struct ledger *l, struct span id, struct content *text)
{
    struct entry *e = calloc(1, sizeof *e + id.len + 1);
    if (!e)
        return NULL;
    uint64_t fingerprint;
    if (!content_hash(text, l->key, &fingerprint)) {
        free(e);
        return NULL;
    }
    memcpy(e->id, id.data, id.len);
    e->id_len = id.len;
    e->hash = siphash(l->key, id.data, id.len);
    e->fingerprint = fingerprint;
    e->text_len = text->len;
    e->text = *text;
    *text = content_empty();
    count_in(l, &e->text);
    e->output = content_empty();
    e->ticket = ++l->last_ticket;
    struct entry **place = place_of(l, e->hash);
    e->next_in_bucket = *place;
    *place = e;
    e->state = ENTRY_QUEUED;
    TAILQ_INSERT_TAIL(&l->lists[ENTRY_QUEUED], e, in_state);
    l->counts[ENTRY_QUEUED]++;
    l->text_bytes += e->text.len;
    return e;
}

bool ledger_same_text(const struct ledger *l, const struct entry *e, const struct content *text)
{
    uint64_t fingerprint;
    return text->len == e->text_len && content_hash(text, l->key, &fingerprint) &&
           fingerprint == e->fingerprint;
}

void ledger_move(struct ledger *l, struct entry *e, enum entry_state state)
{
    TAILQ_REMOVE(&l->lists[e->state], e, in_state);
    l->counts[e->state]--;
    e->state = state;
    TAILQ_INSERT_TAIL(&l->lists[state], e, in_state);
    l->counts[state]++;
}

void ledger_unsend(struct ledger *l, bool counted)
{
    struct entry *e;
    while ((e = TAILQ_LAST(&l->lists[ENTRY_SENT], entry_list))) {
        TAILQ_REMOVE(&l->lists[ENTRY_SENT], e, in_state);
        l->counts[ENTRY_SENT]--;
        e->state = ENTRY_READY;
        e->drops += counted;
        TAILQ_INSERT_HEAD(&l->lists[ENTRY_READY], e, in_state);
        l->counts[ENTRY_READY]++;
    }
}

void ledger_drop_text(struct ledger *l, struct entry *e)
{
    l->text_bytes -= e->text.len;
    count_out(l, &e->text);
    content_finish(&e->text);
}

void ledger_set_output(struct ledger *l, struct entry *e, struct content *output)
{
    l->output_bytes -= e->output.len;
    count_out(l, &e->output);
    content_finish(&e->output);
    e->output = *output;
    *output = content_empty();
    count_in(l, &e->output);
    l->output_bytes += e->output.len;
}

static void forget_output(struct ledger *l, struct entry *e)
{
    l->kept_bytes -= e->output.len;
    l->kept_fds -= e->output.fd >= 0;
    e->forgotten = e->forgotten || e->output.len > 0;
    content_finish(&e->output);
}

static void remove_entry(struct ledger *l, struct entry *e)
{
    struct entry **at = place_of(l, e->hash);
    while (*at != e)
        at = &(*at)->next_in_bucket;
    *at = e->next_in_bucket;
    TAILQ_REMOVE(&l->lists[e->state], e, in_state);
    l->counts[e->state]--;
    entry_free(e);
}

static void enforce_bounds(struct ledger *l)
{
    struct entry *e, *next;
    for (e = TAILQ_FIRST(&l->lists[ENTRY_DELIVERED]);
         e && (l->kept_bytes > LEDGER_KEEP_BYTES || l->kept_fds > LEDGER_KEEP_FDS); e = next) {
        next = TAILQ_NEXT(e, in_state);
        if (e->output.fd >= 0 || l->kept_bytes > LEDGER_KEEP_BYTES)
            forget_output(l, e);
    }
    while (l->counts[ENTRY_DELIVERED] > LEDGER_KEEP_COUNT) {
        e = TAILQ_FIRST(&l->lists[ENTRY_DELIVERED]);
        forget_output(l, e);
        remove_entry(l, e);
    }
}

void ledger_delivered(struct ledger *l, struct entry *e)
{
    l->output_bytes -= e->output.len;
    count_out(l, &e->output);
    content_settle(&e->output, LEDGER_KEEP_SMALL);
    l->kept_bytes += e->output.len;
    l->kept_fds += e->output.fd >= 0;
    ledger_move(l, e, ENTRY_DELIVERED);
    enforce_bounds(l);
}

void ledger_revive(struct ledger *l, struct entry *e)
{
    l->kept_bytes -= e->output.len;
    l->kept_fds -= e->output.fd >= 0;
    l->output_bytes += e->output.len;
    count_in(l, &e->output);
    e->drops = 0;
    ledger_move(l, e, ENTRY_READY);
}

struct entry *ledger_by_ticket(const struct ledger *l, enum entry_state state, uint64_t ticket)
{
    struct entry *e;
    TAILQ_FOREACH(e, &l->lists[state], in_state)
    if (e->ticket == ticket)
        return e;
    return NULL;
}

size_t ledger_open_count(const struct ledger *l)
{
    size_t sum = 0;
    for (int i = 0; i < ENTRY_DELIVERED; i++)
        sum += l->counts[i];
    return sum;
}
