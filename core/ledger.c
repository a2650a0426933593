/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
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

int ledger_init(struct ledger *l, size_t fds_max, const uint64_t key[2])
{
    *l = (struct ledger){.n_buckets = BUCKETS, .fds_max = fds_max, .key = {key[0], key[1]}};
    for (int i = 0; i < ENTRY_STATES; i++)
        TAILQ_INIT(&l->lists[i]);
    l->buckets = calloc(BUCKETS, sizeof *l->buckets);
    return l->buckets ? 0 : -1;
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

static struct entry *insert(struct ledger *l, struct span id, const struct entry_facts *facts)
{
    struct entry *e = calloc(1, sizeof *e + id.len + 1);
    if (!e)
        return NULL;
    memcpy(e->id, id.data, id.len);
    e->id_len = id.len;
    e->hash = siphash(l->key, id.data, id.len);
    e->ticket = facts->ticket;
    e->fingerprint = facts->fingerprint;
    e->text_len = facts->text_len;
    e->since_ms = facts->since_ms;
    e->text = content_empty();
    e->output = content_empty();
    if (l->last_ticket < e->ticket)
        l->last_ticket = e->ticket;
    struct entry **place = place_of(l, e->hash);
    e->next_in_bucket = *place;
    *place = e;
    e->state = ENTRY_QUEUED;
    TAILQ_INSERT_TAIL(&l->lists[ENTRY_QUEUED], e, in_state);
    l->counts[ENTRY_QUEUED]++;
    return e;
}

struct entry *ledger_add(struct ledger *l, struct span id, struct content *text)
{
    struct entry_facts facts = {
        .ticket = l->last_ticket + 1, .text_len = text->len, .since_ms = (int64_t)clock_ms()};
    struct entry *e = content_hash(text, l->key, &facts.fingerprint) ? insert(l, id, &facts) : NULL;
    if (!e)
        return NULL;
    e->text = *text;
    *text = content_empty();
    count_in(l, &e->text);
    l->text_bytes += e->text.len;
    return e;
}

struct entry *ledger_restore(struct ledger *l, struct span id, const struct entry_facts *facts)
{
    return ledger_find(l, id) ? NULL : insert(l, id, facts);
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

/* Its file is not needed any more. The callback may give up others (ledger_make_room), and must not
 * meet this one again. */
static void unspool(struct ledger *l, struct entry *e)
{
    bool had = e->spooled;
    e->spooled = e->unsynced = false;
    if (had)
        l->unspool(l->context, e);
}

/* Undelivered outputs: what they hold in memory is counted. */
static void output_out(struct ledger *l, const struct entry *e)
{
    l->output_bytes -= content_memory(&e->output);
    count_out(l, &e->output);
}

static void output_in(struct ledger *l, struct entry *e)
{
    count_in(l, &e->output);
    l->output_bytes += content_memory(&e->output);
}

void ledger_set_output(struct ledger *l, struct entry *e, struct content *output)
{
    output_out(l, e);
    unspool(l, e);
    content_finish(&e->output);
    e->output = *output;
    *output = content_empty();
    output_in(l, e);
}

void ledger_set_text(struct ledger *l, struct entry *e, const char *text)
{
    struct content output;
    if (!content_of_span(&output, span_of(text)))
        output = content_empty();
    ledger_set_output(l, e, &output);
}

void ledger_spooled(struct entry *e, uint64_t sum)
{
    e->sum = sum;
    e->spooled = e->unsynced = true;
}

void ledger_lost(struct ledger *l, struct entry *e)
{
    if (e->state == ENTRY_DELIVERED) {
        l->kept_disk -= e->output.len;
        e->forgotten = true;
    }
    e->spooled = e->unsynced = false;
}

void ledger_leave(struct ledger *l, struct entry *e)
{
    if (!e->spooled)
        return;
    output_out(l, e);
    content_leave(&e->output);
}

void ledger_return(struct ledger *l, struct entry *e, struct content *output)
{
    e->output = *output;
    *output = content_empty();
    output_in(l, e);
}

/* Delivered outputs are counted apart. */
static void kept_out(struct ledger *l, const struct entry *e)
{
    l->kept_bytes -= content_memory(&e->output);
    l->kept_fds -= e->output.fd >= 0;
    l->kept_disk -= e->spooled ? e->output.len : 0;
}

static void forget_output(struct ledger *l, struct entry *e)
{
    kept_out(l, e);
    e->forgotten = e->forgotten || e->output.len > 0;
    unspool(l, e);
    content_finish(&e->output);
}

void ledger_forget(struct ledger *l, struct entry *e)
{
    forget_output(l, e);
    struct entry **at = place_of(l, e->hash);
    while (*at != e)
        at = &(*at)->next_in_bucket;
    *at = e->next_in_bucket;
    TAILQ_REMOVE(&l->lists[e->state], e, in_state);
    l->counts[e->state]--;
    entry_free(e);
}

void ledger_make_room(struct ledger *l, size_t bytes)
{
    size_t wanted = l->kept_disk > bytes ? l->kept_disk - bytes : 0;
    struct entry *e;
    for (e = TAILQ_FIRST(&l->lists[ENTRY_DELIVERED]); e && l->kept_disk > wanted;
         e = TAILQ_NEXT(e, in_state))
        if (e->spooled)
            forget_output(l, e);
}

void ledger_enforce_bounds(struct ledger *l, int64_t now_ms)
{
    struct entry *e;
    for (e = TAILQ_FIRST(&l->lists[ENTRY_DELIVERED]);
         e && (l->kept_bytes > LEDGER_KEEP_BYTES || l->kept_fds > LEDGER_KEEP_FDS);
         e = TAILQ_NEXT(e, in_state))
        if (e->output.fd >= 0 || (e->output.bytes && l->kept_bytes > LEDGER_KEEP_BYTES))
            forget_output(l, e);
    if (l->kept_disk > LEDGER_KEEP_DISK)
        ledger_make_room(l, l->kept_disk - LEDGER_KEEP_DISK);
    while (
        (e = TAILQ_FIRST(&l->lists[ENTRY_DELIVERED])) &&
        (l->counts[ENTRY_DELIVERED] > LEDGER_KEEP_COUNT || now_ms - e->since_ms > LEDGER_KEEP_MS))
        ledger_forget(l, e);
}

void ledger_delivered(struct ledger *l, struct entry *e)
{
    output_out(l, e);
    if (e->spooled)
        content_leave(&e->output);
    else
        content_settle(&e->output, LEDGER_KEEP_SMALL);
    l->kept_bytes += content_memory(&e->output);
    l->kept_fds += e->output.fd >= 0;
    l->kept_disk += e->spooled ? e->output.len : 0;
    ledger_move(l, e, ENTRY_DELIVERED);
}

void ledger_revive(struct ledger *l, struct entry *e)
{
    kept_out(l, e);
    output_in(l, e);
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
