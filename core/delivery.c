/* SPDX-License-Identifier: Apache-2.0 */
#include "core/delivery.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/commands.h"
#include "core/life.h"
#include "core/link.h"
#include "core/status.h"

/* Results given to the session and not yet written: more would only move the queue into its memory.
 */
#define WINDOW 8
/* Unproven bytes at which heartbeats go out ahead of their time. */
#define UNPROVEN_MUCH (1024 * 1024)
/* A result that was on its way this often when the connection ended is taken for the reason. */
#define DROPS_MOST 3

static void replace_output(struct core *core, struct entry *e, const char *text)
{
    ledger_set_text(&core->ledger, e, text);
    store_ended(&core->store, e);
}

static void shorten(struct core *core, struct entry *e)
{
    char text[160];
    snprintf(text, sizeof text,
             "tw-agent: the result (%zu bytes, exit status %d) was on its way when %u connections "
             "ended; it is left out\n",
             e->output.len, e->status, e->drops);
    log_warn("a result of %zu bytes was on its way at %u drops: a short one goes instead",
             e->output.len, e->drops);
    replace_output(core, e, text);
    e->drops = 0;
}

/* Its output is on disk alone: brings it back, or says that it is lost. False: not now. */
static bool recall(struct core *core, struct entry *e)
{
    char text[160];
    enum store_recalled recalled = RECALL_LOST;
    if (content_memory(&e->output) == e->output.len)
        return true;
    if (e->spooled)
        recalled = store_recall(&core->store, e);
    if (recalled != RECALL_LOST)
        return recalled == RECALL_DONE;
    snprintf(
        text, sizeof text,
        "tw-agent: the result (%zu bytes, exit status %d) was lost when the agent was stopped\n",
        e->output.len, e->status);
    log_error("a result of %zu bytes is lost: a short one goes instead", e->output.len);
    e->status = COMMANDS_TRY_LATER;
    replace_output(core, e, text);
    return true;
}

static bool give_to_session(struct core *core, struct entry *e)
{
    struct msg_result m = {.id = {e->id, e->id_len}, .status = e->status};
    int made;
    bool failed;
    int fd = content_fd(&e->output, &made, &failed);
    if (failed) {
        log_warn("no descriptor for a result: %m; it waits");
        return false;
    }
    int rc = send_result(link_channel(core), &m, fd);
    if (made >= 0)
        close(made);
    return rc == 0;
}

void delivery_pump(struct core *core)
{
    struct delivery *d = &core->delivery;
    struct ledger *l = &core->ledger;
    struct entry *e;
    while (core->link.state == LINK_ONLINE && core->exec_ready && link_channel(core) &&
           d->sent - d->written < WINDOW && (e = TAILQ_FIRST(&l->lists[ENTRY_READY]))) {
        if (e->drops >= DROPS_MOST && e->output.len > CONTENT_SMALL)
            shorten(core, e);
        if (!recall(core, e))
            return;
        store_flush(&core->store);
        if (!give_to_session(core, e)) {
            ledger_leave(l, e);
            return;
        }
        d->sent++;
        d->unproven_bytes += e->output.len + e->id_len;
        e->proof = core->link.beats_sent + 1;
        ledger_leave(l, e);
        ledger_move(l, e, ENTRY_SENT);
    }
    if (d->unproven_bytes > UNPROVEN_MUCH || (core->stopping && l->counts[ENTRY_SENT] > 0))
        life_extra_beat(core);
}

enum verdict delivery_progress(struct core *core, const struct msg_progress *m)
{
    struct delivery *d = &core->delivery;
    if (m->results < d->written || m->results > d->sent)
        return VERDICT_HOSTILE;
    d->written = m->results;
    delivery_pump(core);
    commands_pump(core);
    return VERDICT_OK;
}

void delivery_heartbeat_reply(struct core *core)
{
    struct ledger *l = &core->ledger;
    struct entry *e;
    uint64_t left = 0, before = core->counters.delivered;
    while ((e = TAILQ_FIRST(&l->lists[ENTRY_SENT])) && e->proof <= core->link.beats_answered) {
        core->counters.delivered++;
        ledger_delivered(l, e);
        store_delivered(&core->store, e);
    }
    ledger_enforce_bounds(l, (int64_t)clock_ms());
    TAILQ_FOREACH(e, &l->lists[ENTRY_SENT], in_state)
    left += e->output.len + e->id_len;
    core->delivery.unproven_bytes = left;
    commands_pump(core);
    delivery_pump(core);
    /* A reply alone is nothing to write for. */
    if (core->counters.delivered != before)
        status_changed(core);
    core_check_stop(core);
}

void delivery_online(struct core *core)
{
    core->delivery = (struct delivery){0};
    delivery_pump(core);
}

void delivery_dropped(struct core *core, bool counted)
{
    struct entry *e;
    ledger_unsend(&core->ledger, counted);
    core->delivery = (struct delivery){0};
    TAILQ_FOREACH(e, &core->ledger.lists[ENTRY_READY], in_state)
    {
        ledger_leave(&core->ledger, e);
        ledger_settle(&core->ledger, e);
    }
}

bool delivery_idle(const struct core *core)
{
    return core->ledger.counts[ENTRY_READY] + core->ledger.counts[ENTRY_SENT] == 0;
}
