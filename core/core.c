/* SPDX-License-Identifier: Apache-2.0 */
#include "core/core.h"

#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/commands.h"
#include "core/delivery.h"
#include "core/link.h"
#include "core/session.h"
#include "core/status.h"

/* How long a stop waits for running commands and for the proof that results arrived. */
#define DRAIN_MS 30000

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
    status_write(core);
    if (send_finish(core->parent, &m, -1) != 0)
        event_base_loopbreak(core->base);
}

void core_check_stop(struct core *core)
{
    const size_t *n = core->ledger.counts;
    /* With the token refused nothing can be delivered before the deadline. */
    bool hopeless = core->link.state == LINK_TOKEN_REFUSED;
    if (!core->stopping || core->link.state == LINK_STOPPING || !commands_idle(core) ||
        (!delivery_idle(core) && !hopeless))
        return;
    if (hopeless && !delivery_idle(core))
        log_warn("stopping while the token is refused: %zu results are not proven to have arrived",
                 n[ENTRY_READY] + n[ENTRY_SENT]);
    link_close(core);
}

static void on_stop_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct core *core = arg;
    (void)fd;
    (void)what;
    log_warn("stopping: commands or results are left after %d s", DRAIN_MS / 1000);
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
    event_add(core->stop_timer, &drain);
    commands_stop(core);
    delivery_pump(core);
    core_check_stop(core);
    return VERDICT_OK;
}

static enum verdict on_session_opened(void *context, const struct msg_session_opened *m, int *fd)
{
    return link_session_opened(context, m, fd);
}

static enum verdict on_session_refused(void *context, const struct msg_session_refused *m, int *fd)
{
    (void)fd;
    return link_session_refused(context, m);
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

static const struct channel_handlers parent_handlers = {
    .session_opened = on_session_opened,
    .session_refused = on_session_refused,
    .search_result = on_search_result,
    .token_released = on_token_released,
    .token_alarm = on_token_alarm,
    .reload = on_reload,
    .stop = on_stop,
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
    core->parent = channel_new(&parent);
    core->exec = channel_new(&exec);
    if (!core->status_timer || !core->stop_timer || !core->parent || !core->exec ||
        ledger_init(&core->ledger, core->fds_max) != 0)
        return -1;
    return 0;
}

void core_finish_all(struct core *core)
{
    link_finish(core);
    channel_free(core->parent);
    channel_free(core->exec);
    if (core->status_timer)
        event_free(core->status_timer);
    if (core->stop_timer)
        event_free(core->stop_timer);
    ledger_finish(&core->ledger);
}
