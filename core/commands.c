/* SPDX-License-Identifier: Apache-2.0 */
#include "core/commands.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/delivery.h"
#include "core/link.h"
#include "core/pulse.h"
#include "core/status.h"
#include "ipc/memfd.h"

/*
 * Undelivered entries beyond which a request is not even answered: a server that asks so much and
 * reads so little gets its answer when it asks again. Its channel is read on, since the proofs of
 * delivery come by it.
 */
#define OPEN_MOST (2 * LIMIT_QUEUE_COUNT)
/* Repeated requests that are logged; status.json counts them all. */
#define REPEATS_LOGGED 100

static void answer_with(struct core *core, struct entry *e, int status, const char *text)
{
    ledger_set_text(&core->ledger, e, text);
    ledger_drop_text(&core->ledger, e);
    e->status = status;
    if (e->state != ENTRY_READY)
        ledger_move(&core->ledger, e, ENTRY_READY);
    store_ended(&core->store, e);
}

static void repeated(struct core *core, struct entry *e, const struct content *text)
{
    /* A server that repeats itself must not fill the log. */
    bool quiet = ++core->counters.repeated > REPEATS_LOGGED;
    if (!ledger_same_text(&core->ledger, e, text)) {
        core->counters.refused++;
        log_line(quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN,
                 "a command request repeats an id with another text: refused, not run");
        return;
    }
    if (e->state != ENTRY_DELIVERED) {
        log_line(quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
                 "a command request was delivered again: its result will answer both");
        return;
    }
    log_line(quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
             "a command request was delivered again: answered with its result, not run again");
    ledger_revive(&core->ledger, e);
    if (e->forgotten)
        answer_with(
            core, e, COMMANDS_TRY_LATER,
            "tw-agent: this command has run and its result was delivered; it is no longer kept\n");
}

void commands_recover(struct core *core)
{
    struct ledger *l = &core->ledger;
    size_t unknown = l->counts[ENTRY_RUNNING], unrun = l->counts[ENTRY_QUEUED],
           kept = l->counts[ENTRY_READY];
    struct entry *e;
    while ((e = TAILQ_FIRST(&l->lists[ENTRY_RUNNING])))
        answer_with(core, e, COMMANDS_TRY_LATER,
                    "tw-agent: outcome unknown: the agent was stopped while it ran\n");
    while ((e = TAILQ_FIRST(&l->lists[ENTRY_QUEUED])))
        answer_with(core, e, COMMANDS_TRY_LATER,
                    "tw-agent: the command was not run: the agent was stopped\n");
    if (kept + unknown + unrun > 0)
        log_info(
            "an earlier run left %zu results to deliver, %zu commands whose outcome is unknown "
            "and %zu that were not run: all are answered",
            kept, unknown, unrun);
}

static void answer_stopping(struct core *core, struct entry *e)
{
    answer_with(core, e, COMMANDS_TRY_LATER,
                "tw-agent: the agent is being stopped; the command was not run\n");
}

void commands_stop(struct core *core)
{
    struct entry *e;
    while ((e = TAILQ_FIRST(&core->ledger.lists[ENTRY_QUEUED])))
        answer_stopping(core, e);
}

static void admit(struct core *core, struct entry *e)
{
    const struct ledger *l = &core->ledger;
    core->counters.received++;
    if (core->stopping)
        answer_stopping(core, e);
    else if (l->counts[ENTRY_QUEUED] > LIMIT_QUEUE_COUNT || l->text_bytes > LIMIT_QUEUE_BYTES)
        answer_with(core, e, COMMANDS_TRY_LATER,
                    "tw-agent: the agent is full; the command was not run\n");
}

enum verdict commands_request(struct core *core, const struct msg_command *m, int *fd)
{
    struct content text;
    size_t size;
    if (*fd >= 0 && (m->text.len != 0 || !memfd_check(*fd, LIMIT_PAYLOAD, &size)))
        return VERDICT_HOSTILE;
    if (*fd >= 0)
        content_take(&text, fd, size);
    else if (!content_of_span(&text, m->text))
        return VERDICT_OK;
    struct entry *e = ledger_find(&core->ledger, m->id);
    if (e) {
        repeated(core, e, &text);
    } else if (ledger_open_count(&core->ledger) >= OPEN_MOST) {
        log_line(core->overrun ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN,
                 "command requests are left unanswered: %d are not delivered yet", OPEN_MOST);
        core->overrun = true;
    } else if ((e = ledger_add(&core->ledger, m->id, &text))) {
        core->overrun = false;
        store_accepted(&core->store, e);
        admit(core, e);
    } else {
        log_error("no memory for a command request: it is not answered");
    }
    content_finish(&text);
    commands_pump(core);
    delivery_pump(core);
    status_changed(core);
    return VERDICT_OK;
}

static bool give_to_exec(struct core *core, struct entry *e)
{
    struct msg_run m = {.ticket = e->ticket};
    int made = -1, fd = -1;
    bool failed = false;
    if (e->text.len <= LIMIT_INLINE_TEXT && e->text.fd < 0)
        m.text = (struct span){e->text.bytes, e->text.len};
    else
        fd = content_fd(&e->text, &made, &failed);
    int rc = failed ? -1 : send_run(core->exec, &m, fd);
    if (made >= 0)
        close(made);
    return rc == 0;
}

void commands_pump(struct core *core)
{
    struct ledger *l = &core->ledger;
    struct entry *e;
    while (core->exec_ready && l->counts[ENTRY_RUNNING] < core->config.max_commands &&
           l->output_bytes <= core->config.max_results_memory &&
           (e = TAILQ_FIRST(&l->lists[ENTRY_QUEUED]))) {
        /* Said first: should we end in between, it counts as run. */
        store_started(&core->store, e);
        store_flush(&core->store);
        if (!give_to_exec(core, e))
            return; /* the channel's queue is full: a finished command pumps again */
        core->counters.started++;
        e->started_ms = (int64_t)clock_ms();
        ledger_drop_text(l, e);
        ledger_move(l, e, ENTRY_RUNNING);
    }
}

bool commands_idle(const struct core *core)
{
    const size_t *n = core->ledger.counts;
    return n[ENTRY_QUEUED] + n[ENTRY_RUNNING] + n[ENTRY_SEARCHING] == 0;
}

static void ready(struct core *core, struct entry *e)
{
    ledger_move(&core->ledger, e, ENTRY_READY);
    store_ended(&core->store, e);
    delivery_pump(core);
    if (e->state == ENTRY_READY) {
        ledger_leave(&core->ledger, e);
        ledger_settle(&core->ledger, e);
    }
    commands_pump(core);
    status_changed(core);
    core_check_stop(core);
}

static void note_dropped(struct core *core, uint64_t dropped)
{
    log_warn("a command's output exceeded --max-output (%llu bytes): %llu bytes were cut off",
             (unsigned long long)core->config.max_output, (unsigned long long)dropped);
}

static bool give_to_search(struct core *core, const struct entry *e)
{
    struct msg_search m = {.ticket = e->ticket};
    int made;
    bool failed;
    int fd = content_fd(&e->output, &made, &failed);
    int rc = failed ? -1 : send_search(core->parent, &m, fd);
    if (made >= 0)
        close(made);
    return rc == 0;
}

static enum verdict on_finished(void *context, const struct msg_finished *m, int *fd)
{
    struct core *core = context;
    struct content output = content_empty();
    size_t size;
    if (attest_finished(core, m, *fd))
        return VERDICT_OK;
    struct entry *e = ledger_by_ticket(&core->ledger, ENTRY_RUNNING, m->ticket);
    if (!e || (*fd >= 0 && !memfd_check(*fd, LIMIT_OUTPUT, &size)))
        return VERDICT_HOSTILE;
    core->counters.finished++;
    if (*fd >= 0)
        content_take(&output, fd, size);
    e->status = (int)m->status;
    ledger_set_output(&core->ledger, e, &output);
    if (m->dropped > 0)
        note_dropped(core, m->dropped);
    if (e->output.len == 0) {
        ready(core, e); /* nothing to search */
        return VERDICT_OK;
    }
    ledger_move(&core->ledger, e, ENTRY_SEARCHING);
    if (!give_to_search(core, e)) {
        log_error("the parent does not take a result to search: %s", strerror(errno));
        event_base_loopbreak(core->base);
    }
    commands_pump(core);
    return VERDICT_OK;
}

enum verdict commands_searched(struct core *core, const struct msg_search_result *m)
{
    struct entry *e = ledger_by_ticket(&core->ledger, ENTRY_SEARCHING, m->ticket);
    if (!e)
        return VERDICT_HOSTILE;
    if (m->found) {
        core->counters.withheld++;
        log_error("ALARM: a command's output contains the owner's token: the output is withheld; "
                  "replace the token and "
                  "find out how the command could read it");
        ledger_set_text(
            &core->ledger, e,
            "tw-agent: the output was withheld: it contains the agent's access token\n");
    }
    ready(core, e);
    return VERDICT_OK;
}

static enum verdict on_pong(void *context, const struct msg_pong *m, int *fd)
{
    (void)m;
    (void)fd;
    return pulse_answered(context);
}

static enum verdict on_exec_ready(void *context, const struct msg_exec_ready *m, int *fd)
{
    struct core *core = context;
    (void)fd;
    if (!span_copy(core->work_dir, sizeof core->work_dir, m->work_dir))
        return VERDICT_HOSTILE;
    core->exec_ready = true;
    status_changed(core); /* the work directory is known */
    log_debug("commands run in %s", core->work_dir);
    link_exec_ready(core);
    attest_ready(core);
    pulse_ready(core);
    commands_pump(core);
    return VERDICT_OK;
}

static enum verdict on_exec_unready(void *context, const struct msg_exec_unready *m, int *fd)
{
    struct core *core = context;
    (void)fd;
    char text[sizeof core->link.error];
    snprintf(text, sizeof text,
             "work directory '%.*s': %s; create it, or name another with --work-dir",
             (int)m->work_dir.len, m->work_dir.data, strerror((int)m->error));
    log_error("%s", text);
    link_note_error(core, text);
    core_finish(core, 3);
    return VERDICT_OK;
}

const struct channel_handlers exec_handlers = {
    .exec_ready = on_exec_ready,
    .exec_unready = on_exec_unready,
    .finished = on_finished,
    .pong = on_pong,
};
