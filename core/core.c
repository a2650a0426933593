/* SPDX-License-Identifier: Apache-2.0 */
#include "core/core.h"

#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wall.h"
#include "core/commands.h"
#include "core/delivery.h"
#include "core/link.h"
#include "core/pulse.h"
#include "core/session.h"
#include "core/status.h"

/* How long a stop waits for running commands and for the proof that results arrived; and how long
 * it bears a Tower's silence when what is not proven stays on disk for the next start. */
#define DRAIN_MS   30000
#define SILENCE_MS 5000

uint32_t core_random(void)
{
    uint32_t v = 0;
    if (getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v)
        return UINT32_MAX / 2;
    return v;
}

void core_finish(struct core *core, int code)
{
    struct msg_finish m = {.code = (uint64_t)code};
    if (core->finishing)
        return;
    core->finishing = true;
    core->finish_code = code;
    status_write(core);
    if (send_finish(core->parent, &m, -1) != 0)
        event_base_loopbreak(core->base);
}

/* What is on disk can as well wait for the next start when there is no connection nor an attempt at
 * one. With the token refused waiting is in vain in any case. */
static bool deliver_later(const struct core *core)
{
    enum link_state state = core->link.state;
    return state == LINK_TOKEN_REFUSED ||
           ((state == LINK_WAITING || state == LINK_STANDBY) && store_safe(&core->store));
}

/* Nothing would be lost: a Tower that is silent need not be waited for as long. */
static void hurry(struct core *core)
{
    struct timeval deliver = clock_timeval(SILENCE_MS);
    if (core->hurried || !store_safe(&core->store))
        return;
    core->hurried = true;
    event_add(core->stop_timer, &deliver);
}

void core_check_stop(struct core *core)
{
    const size_t *n = core->ledger.counts;
    if (!core->stopping || core->link.state == LINK_STOPPING || !commands_idle(core))
        return;
    if (!delivery_idle(core) && !deliver_later(core)) {
        hurry(core);
        return;
    }
    if (!delivery_idle(core))
        log_warn("stopping without a connection: %zu results are not proven to have arrived%s",
                 n[ENTRY_READY] + n[ENTRY_SENT],
                 store_safe(&core->store) ? "; they are kept for the next start" : "");
    link_close(core);
}

static void on_stop_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct core *core = arg;
    (void)fd;
    (void)what;
    const size_t *n = core->ledger.counts;
    uint64_t now = clock_ms();
    if (core->hurried && core->link.state == LINK_ONLINE && now - core->stop_since_ms < DRAIN_MS &&
        now - core->link.last_life_ms < SILENCE_MS) {
        struct timeval more = clock_timeval(SILENCE_MS);
        event_add(core->stop_timer, &more); /* it still takes what we write */
        return;
    }
    log_warn(
        "stopping: no more time; %zu commands run, %zu results are not proven to have arrived%s",
        n[ENTRY_RUNNING] + n[ENTRY_QUEUED], n[ENTRY_READY] + n[ENTRY_SENT],
        store_safe(&core->store) ? "; they are kept for the next start" : "");
    if (core->link.state != LINK_STOPPING)
        link_close(core);
}

static enum verdict on_stop(void *context, const struct msg_stop *m, int *fd)
{
    struct core *core = context;
    struct timeval drain = clock_timeval(DRAIN_MS);
    (void)m;
    (void)fd;
    if (core->stopping)
        return VERDICT_OK;
    log_info("stopping: no more commands; %zu running, %zu results to deliver",
             core->ledger.counts[ENTRY_RUNNING] + core->ledger.counts[ENTRY_QUEUED],
             core->ledger.counts[ENTRY_READY] + core->ledger.counts[ENTRY_SENT]);
    core->stopping = true;
    core->stop_since_ms = clock_ms();
    event_add(core->stop_timer, &drain);
    commands_stop(core);
    delivery_pump(core);
    core_check_stop(core);
    return VERDICT_OK;
}

static enum verdict on_session_opened(void *context, const struct msg_session_opened *m, int *fd)
{
    return m->purpose == PURPOSE_TRIAL ? attest_opened(context, m, fd)
                                       : link_session_opened(context, m, fd);
}

static enum verdict on_session_refused(void *context, const struct msg_session_refused *m, int *fd)
{
    (void)fd;
    return m->purpose == PURPOSE_TRIAL ? attest_refused(context) : link_session_refused(context, m);
}

static enum verdict on_search_result(void *context, const struct msg_search_result *m, int *fd)
{
    (void)fd;
    return commands_searched(context, m);
}

static enum verdict on_token_released(void *context, const struct msg_token_released *m, int *fd)
{
    struct core *core = context;
    (void)fd;
    core->counters.tokens = m->count;
    log_debug("the token was released to session %u (%u so far)", (unsigned)m->serial,
              (unsigned)m->count);
    return VERDICT_OK;
}

static enum verdict on_token_alarm(void *context, const struct msg_token_alarm *m, int *fd)
{
    (void)fd;
    if (m->outcome == 2)
        log_error(
            "ALARM: the token was read again and is not acceptable: the old one stays in use");
    else
        log_info("the token was read again: %s", m->outcome == 1 ? "replaced" : "unchanged");
    if (m->outcome == 1)
        link_try_now(context);
    return VERDICT_OK;
}

static enum verdict on_reload(void *context, const struct msg_reload *m, int *fd)
{
    (void)m;
    (void)fd;
    link_try_now(context);
    return VERDICT_OK;
}

/* Results left memory for the disk: commands that waited for room may run, a stop may end. */
static void on_recovered(void *context)
{
    struct core *core = context;
    commands_pump(core);
    status_changed(core);
    core_check_stop(core);
}

static const struct channel_handlers parent_handlers = {
    .session_opened = on_session_opened,
    .session_refused = on_session_refused,
    .search_result = on_search_result,
    .token_released = on_token_released,
    .token_alarm = on_token_alarm,
    .reload = on_reload,
    .stop = on_stop,
    .process = attest_on_process,
    .facts = attest_on_facts,
    .attest = attest_on_request,
};

static void on_parent_end(void *context, enum channel_end end, const char *why)
{
    struct core *core = context;
    if (end != CHANNEL_EOF)
        log_error("the parent's channel: %s", why);
    event_base_loopbreak(core->base);
}

static void on_exec_end(void *context, enum channel_end end, const char *why)
{
    struct core *core = context;
    if (!core->finishing)
        log_error("exec's channel: %s%s", end == CHANNEL_HOSTILE ? "broken rules: " : "", why);
    core->exit_code = core->finishing ? 0 : 1;
    event_base_loopbreak(core->base);
}

static void on_exec_drained(void *context)
{
    commands_pump(context);
}

static void on_status_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    status_write(arg);
}

int core_start(struct core *core)
{
    struct channel_setup parent = {.base = core->base,
                                   .fd = BIRTH_FD_FIRST,
                                   .receives = PARENT_TO_CORE,
                                   .sends = CORE_TO_PARENT,
                                   .phase = PHASE_RUN,
                                   .queue_max = 1048576,
                                   .handlers = &parent_handlers,
                                   .context = core,
                                   .on_end = on_parent_end};
    struct channel_setup exec = {.base = core->base,
                                 .fd = BIRTH_FD_PEER,
                                 .receives = EXEC_TO_CORE,
                                 .sends = CORE_TO_EXEC,
                                 .phase = PHASE_RUN,
                                 .queue_max = 4194304,
                                 .handlers = &exec_handlers,
                                 .context = core,
                                 .on_end = on_exec_end,
                                 .on_drained = on_exec_drained};
    core->status_timer = evtimer_new(core->base, on_status_timer, core);
    core->stop_timer = evtimer_new(core->base, on_stop_deadline, core);
    core->started = wall_s();
    core->parent = channel_new(&parent);
    core->exec = channel_new(&exec);
    if (!core->status_timer || !core->stop_timer || attest_init(core) != 0 ||
        pulse_init(core) != 0 || !core->parent || !core->exec ||
        store_init(&core->store, core->base, &core->ledger, core->state_dirfd,
                   core->config.max_results_disk) != 0)
        return -1;
    core->store.on_recovered = on_recovered;
    core->store.context = core;
    return 0;
}

int core_load(struct core *core)
{
    if (store_load(&core->store, span_of(core->config.url), span_of(core->boot), core->fds_max) !=
        0)
        return -1;
    commands_recover(core);
    store_begin(&core->store);
    return 0;
}

void core_finish_all(struct core *core)
{
    link_finish(core);
    attest_finish(core);
    channel_free(core->parent);
    channel_free(core->exec);
    if (core->status_timer)
        event_free(core->status_timer);
    if (core->stop_timer)
        event_free(core->stop_timer);
    pulse_finish(core);
    store_finish(&core->store);
    ledger_finish(&core->ledger);
}
