/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/disk.h"
#include "tests/unit/test.h"

#define LOST_LEN 21
/* Versions from which on no further one is made where there is a choice. */
#define SHORTENED 8

struct counts counts;

unsigned below(struct model *m, unsigned n)
{
    m->seed = m->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(m->seed >> 33) % n;
}

bool one_in(struct model *m, unsigned n)
{
    return below(m, n) == 0;
}

struct life *life_of(struct model *m, const struct entry *e)
{
    return &m->life[m->of_id[strtol(e->id + 1, NULL, 10)]];
}

struct entry *first(struct model *m, enum entry_state state)
{
    return TAILQ_FIRST(&m->run.ledger.lists[state]);
}

static struct entry *one_of(struct model *m, enum entry_state state)
{
    struct entry *e = first(m, state);
    for (unsigned n = below(m, 5); e && n > 0 && TAILQ_NEXT(e, in_state); n--)
        e = TAILQ_NEXT(e, in_state);
    return e;
}

char byte_of(const struct model *m, const struct life *life, int version)
{
    return (char)('a' + ((life - m->life) * 7 + version) % 23);
}

int status_of(const struct model *m, const struct life *life, int version)
{
    return (int)((life - m->life) * VERSIONS + version) % 256;
}

static void give_output(struct model *m, struct entry *e, size_t len)
{
    struct life *life = life_of(m, e);
    struct content output;
    int version = ++life->now.version;
    assert_true(version < VERSIONS);
    char *bytes = malloc(len + 1);
    memset(bytes, byte_of(m, life, version), len);
    if (len > 0 && one_in(m, 2)) {
        int fd = memfd_of("output", bytes, len);
        assert_true(fd >= 0);
        content_take(&output, &fd, len);
    } else {
        assert_true(content_of_span(&output, (struct span){bytes, len}));
    }
    free(bytes);
    life->lens[version] = len;
    life->now.safe = false;
    e->status = status_of(m, life, version);
    ledger_set_output(&m->run.ledger, e, &output);
}

void assert_bytes(const struct content *output, char byte, size_t len)
{
    struct memfd_map view;
    assert_int_equal(content_memory(output), len);
    assert_true(content_view(output, &view));
    for (size_t i = 0; i < len; i++)
        if (view.bytes.data[i] != byte)
            fail_msg("byte %zu is %c, not %c", i, view.bytes.data[i], byte);
    memfd_unmap(&view);
}

void answer(struct model *m, struct entry *e, size_t len)
{
    give_output(m, e, len);
    ledger_drop_text(&m->run.ledger, e);
    if (e->state != ENTRY_READY)
        ledger_move(&m->run.ledger, e, ENTRY_READY);
    store_ended(&m->run.store, e);
}

/* A new id, or one that the ledger does not know any more. */
static void accept_step(struct model *m)
{
    char id[16];
    int n = m->ids > 0 && one_in(m, 3) ? (int)below(m, (unsigned)m->ids) : m->ids;
    snprintf(id, sizeof id, "i%d", n);
    if (m->lives == LIVES || ledger_find(&m->run.ledger, span_of(id)))
        return;
    int before = n < m->ids ? m->of_id[n] : -1;
    counts.second_lives += before >= 0;
    m->life[m->lives] = (struct life){.id = n, .before = before};
    m->of_id[n] = m->lives;
    m->ids += n == m->ids;
    m->life[m->lives++].ticket = accept_command(&m->run, id)->ticket;
}

static void start_step(struct model *m)
{
    struct entry *e = first(m, ENTRY_QUEUED);
    if (!e)
        return;
    store_started(&m->run.store, e);
    store_flush(&m->run.store);
    if (disk_killed())
        return;
    life_of(m, e)->said = true;
    if (one_in(m, 20))
        return; /* exec's queue is full: said again later */
    life_of(m, e)->started = true;
    ledger_drop_text(&m->run.ledger, e);
    ledger_move(&m->run.ledger, e, ENTRY_RUNNING);
}

static void end_step(struct model *m)
{
    static const size_t lens[] = {0, 1, 300, CONTENT_SMALL, CONTENT_SMALL + 1, 20000, 40000};
    struct entry *e = one_of(m, ENTRY_RUNNING);
    if (!e)
        return;
    give_output(m, e, lens[below(m, sizeof lens / sizeof *lens)]);
    ledger_move(&m->run.ledger, e, e->output.len ? ENTRY_SEARCHING : ENTRY_READY);
    if (e->state == ENTRY_READY)
        store_ended(&m->run.store, e);
}

static void settle(struct model *m, struct entry *e)
{
    ledger_leave(&m->run.ledger, e);
    ledger_settle(&m->run.ledger, e);
}

static void search_step(struct model *m)
{
    struct entry *e = one_of(m, ENTRY_SEARCHING);
    if (!e)
        return;
    if (one_in(m, 20))
        give_output(m, e, 60); /* withheld */
    ledger_move(&m->run.ledger, e, ENTRY_READY);
    store_ended(&m->run.store, e);
    if (one_in(m, 2))
        settle(m, e);
}

static void send_step(struct model *m)
{
    struct run *r = &m->run;
    struct entry *e = first(m, ENTRY_READY);
    if (!e)
        return;
    if (content_memory(&e->output) != e->output.len) {
        if (e->spooled) {
            assert_int_equal(store_recall(&r->store, e), RECALL_DONE);
        } else {
            counts.lost++;
            answer(m, e, LOST_LEN);
        }
    }
    store_flush(&r->store);
    const struct life *life = life_of(m, e);
    int version = life->now.version;
    assert_bytes(&e->output, byte_of(m, life, version), life->lens[version]);
    assert_int_equal(e->status, status_of(m, life, version));
    ledger_leave(&r->ledger, e);
    ledger_move(&r->ledger, e, ENTRY_SENT);
}

static void deliver_step(struct model *m)
{
    struct entry *e = first(m, ENTRY_SENT);
    if (!e)
        return;
    deliver(&m->run, e);
    counts.delivered++;
}

static void drop_step(struct model *m)
{
    struct entry *e;
    ledger_unsend(&m->run.ledger, true);
    TAILQ_FOREACH(e, &m->run.ledger.lists[ENTRY_READY], in_state)
    settle(m, e);
}

static void repeat_step(struct model *m)
{
    struct entry *e = one_of(m, ENTRY_DELIVERED);
    if (!e || life_of(m, e)->now.version >= SHORTENED)
        return;
    counts.revived++;
    ledger_revive(&m->run.ledger, e);
    if (e->forgotten)
        answer(m, e, 80);
}

static void shorten_step(struct model *m)
{
    struct entry *e = one_of(m, ENTRY_READY);
    if (e && e->output.len > CONTENT_SMALL && life_of(m, e)->now.version < SHORTENED)
        answer(m, e, 100);
}

/* What a week does. */
static void age_step(struct model *m)
{
    struct entry *e;
    for (unsigned n = below(m, 6); n > 0 && (e = first(m, ENTRY_DELIVERED)); n--)
        ledger_forget(&m->run.ledger, e);
}

static void disk_step(struct model *m)
{
    if (disk_get() != DISK_GOOD)
        disk_set(DISK_GOOD, 0);
    else
        disk_set(one_in(m, 4) ? DISK_UNSYNCED : DISK_FULL,
                 one_in(m, 3) ? below(m, 100000) : below(m, 400));
}

/* The store's timer, out of its time. */
static void sync_step(struct model *m)
{
    event_active(m->run.store.sync, EV_TIMEOUT, 0);
    one_turn(&m->run);
}

/* As if the journal had grown enough: twice this, and the slack of 4 MiB, are 0. */
static void rewrite_step(struct model *m)
{
    uint64_t before = m->run.store.journal.size;
    m->run.store.live = UINT64_MAX - (UINT64_C(2) << 20) + 1;
    accept_step(m);
    one_turn(&m->run);
    counts.rewrites += m->run.store.journal.size < before;
}

static void turn_step(struct model *m)
{
    one_turn(&m->run);
}

static const struct {
    void (*take)(struct model *m);
    unsigned weight;
} steps[] = {
    {accept_step, 60},  {start_step, 55}, {end_step, 40},    {search_step, 40}, {send_step, 40},
    {deliver_step, 36}, {drop_step, 4},   {repeat_step, 14}, {shorten_step, 3}, {age_step, 3},
    {disk_step, 5},     {sync_step, 14},  {rewrite_step, 2}, {turn_step, 50},
};

void step(struct model *m)
{
    unsigned sum = 0, i = 0;
    for (size_t n = 0; n < sizeof steps / sizeof *steps; n++)
        sum += steps[n].weight;
    unsigned at = below(m, sum);
    while (at >= steps[i].weight)
        at -= steps[i++].weight;
    event_del(m->run.store.sync); /* only sync_step is its time: a run must not depend on a clock */
    steps[i].take(m);
}
