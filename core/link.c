/* SPDX-License-Identifier: Apache-2.0 */
#include "core/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wall.h"
#include "core/attempt.h"
#include "core/delivery.h"
#include "core/life.h"
#include "core/pulse.h"
#include "core/session.h"
#include "core/status.h"
#include "policy/redact.h"

/* A session keeps its own deadlines for each step; this one catches a session that is stuck itself.
 */
#define STEP_MS 60000
/* The peer's answer to our close, before we end without it. */
#define CLOSE_MS 3000

const char *link_state_name(enum link_state state)
{
    static const char *const names[] = {"probing", "logging-in", "connecting",    "online",
                                        "waiting", "standby",    "token-refused", "stopping"};
    return names[state];
}

static void set_state(struct core *core, enum link_state state)
{
    struct link *k = &core->link;
    bool changed = k->state != state;
    if (changed) {
        k->state_since_ms = clock_ms();
        k->state_since = wall_s();
    }
    k->state = state;
    if (changed)
        pulse_state(core);
    status_write(core);
}

static void arm(struct core *core, uint64_t ms)
{
    struct timeval t = clock_timeval(ms);
    core->link.due_ms = clock_ms() + ms;
    event_add(core->link.timer, &t);
}

/* ---- attempts
 * --------------------------------------------------------------------------------------------------
 */

static void need(struct core *core, enum purpose purpose)
{
    static const enum link_state states[] = {LINK_PROBING, LINK_LOGGING_IN, LINK_CONNECTING};
    bool reread = core->link.backoff.refusals > 0;
    set_state(core, states[purpose]);
    arm(core, STEP_MS);
    session_want(&core->link.sessions[purpose], reread);
    session_go(&core->link.sessions[purpose]);
}

static void begin(struct core *core)
{
    const struct link *k = &core->link;
    need(core, !k->probed ? PURPOSE_PROBE : !k->logged_in ? PURPOSE_LOGIN : PURPOSE_AGENT);
}

static void wait_for(struct core *core, enum link_state state, uint64_t ms)
{
    for (int i = 0; i < PURPOSES; i++)
        session_end(&core->link.sessions[i]);
    set_state(core, state);
    arm(core, ms);
}

void link_note_error(struct core *core, const char *text)
{
    struct link *k = &core->link;
    snprintf(k->error, sizeof k->error, "%s", text);
    k->last_error = wall_s();
}

/* Why we are not online: logged when it changes, so that a long outage is one line. */
static void note_reason(struct core *core, const char *reason, uint64_t ms)
{
    struct link *k = &core->link;
    bool changed = strcmp(reason, k->reason) != 0;
    snprintf(k->reason, sizeof k->reason, "%s", reason);
    link_note_error(core, reason);
    log_line(changed ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "%s; trying again in %.1f s", reason,
             (double)ms / 1000);
}

/* The attempt or the session ended for this reason: wait as the state machine says, and try again.
 */
static void retry(struct core *core, enum retry_kind kind, const char *reason, uint64_t at_least_ms)
{
    struct link *k = &core->link;
    bool was_online = k->state == LINK_ONLINE;
    uint64_t lasted = was_online ? clock_ms() - k->online_since_ms : 0;
    uint64_t ms = 0;
    enum link_state next = LINK_WAITING;
    if (k->state == LINK_STOPPING || core->finishing)
        return;
    if (kind == RETRY_STANDBY) {
        ms = backoff_standby(&k->backoff, core_random());
        next = LINK_STANDBY;
    } else if (kind == RETRY_REFUSED) {
        ms = backoff_refused(&k->backoff, core_random());
        next = LINK_TOKEN_REFUSED;
    } else if (kind == RETRY_AT_ONCE && lasted >= BACKOFF_SHORT_SESSION_MS) {
        k->backoff.shorts = 0;
    } else if (was_online) {
        ms = backoff_dropped(&k->backoff, lasted, core_random());
    } else {
        ms = backoff_failed(&k->backoff, core_random());
    }
    if (at_least_ms > BACKOFF_REFUSED_MOST_MS)
        at_least_ms = BACKOFF_REFUSED_MOST_MS; /* no page may put the agent to sleep for days */
    if (ms < at_least_ms)
        ms = at_least_ms;
    k->quiet = next == LINK_STANDBY || k->backoff.shorts > 1;
    life_end(core);
    note_reason(core, reason, ms);
    wait_for(core, next, ms);
    if (was_online) {
        /* A standby that is refused was never connected. */
        k->reconnects += k->confirmed || kind != RETRY_STANDBY;
        /* A refused duplicate says nothing about the results it was given. */
        delivery_dropped(core, kind != RETRY_STANDBY);
    }
    core_check_stop(core);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct core *core = arg;
    (void)fd;
    (void)what;
    switch (core->link.state) {
    case LINK_WAITING:
    case LINK_STANDBY:
    case LINK_TOKEN_REFUSED:
        begin(core);
        break;
    case LINK_PROBING:
    case LINK_LOGGING_IN:
    case LINK_CONNECTING:
        retry(core, RETRY_FAILED, "no answer within 60 s", 0);
        break;
    case LINK_STOPPING:
        core_finish(core, 0);
        break;
    case LINK_ONLINE:
        break;
    }
}

/* ---- online
 * ----------------------------------------------------------------------------------------------------
 */

void link_dead(struct core *core)
{
    retry(core, RETRY_FAILED,
          "the connection is dead: no answer to heartbeats and no write progress", 0);
}

static void say_online(const struct core *core, enum log_level level)
{
    log_line(level, "online: connected to %s as '%s', work directory %s", core->config.url,
             core->config.connection_id, core->work_dir);
}

void link_heard(struct core *core)
{
    struct link *k = &core->link;
    life_shown(core);
    if (k->confirmed)
        return;
    k->confirmed = true;
    k->reason[0] = '\0';
    if (k->quiet)
        say_online(core, LOG_LEVEL_INFO);
}

static void send_info_message(struct core *core)
{
    struct msg_info m = {.user_name = span_of(core->config.user_name),
                         .work_dir = span_of(core->work_dir),
                         .agent_version = span_of(TW_VERSION)};
    send_info(link_channel(core), &m, -1);
    say_online(core, core->link.quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    delivery_online(core);
}

static void become_online(struct core *core)
{
    struct link *k = &core->link;
    event_del(k->timer);
    backoff_online(&k->backoff);
    k->online_since_ms = clock_ms();
    k->confirmed = false;
    life_begin(core);
    session_end(&k->sessions[PURPOSE_PROBE]);
    session_end(&k->sessions[PURPOSE_LOGIN]);
    set_state(core, LINK_ONLINE);
    if (core->exec_ready)
        send_info_message(core);
}

void link_exec_ready(struct core *core)
{
    if (core->link.state == LINK_ONLINE)
        send_info_message(core);
}

/* ---- what sessions report
 * -------------------------------------------------------------------------------------- */

static bool is_current(const struct session *s)
{
    static const int current[] = {[LINK_PROBING] = PURPOSE_PROBE,
                                  [LINK_LOGGING_IN] = PURPOSE_LOGIN,
                                  [LINK_CONNECTING] = PURPOSE_AGENT,
                                  [LINK_ONLINE] = PURPOSE_AGENT,
                                  [LINK_WAITING] = -1,
                                  [LINK_STANDBY] = -1,
                                  [LINK_TOKEN_REFUSED] = -1,
                                  [LINK_STOPPING] = PURPOSE_AGENT};
    return current[s->core->link.state] == (int)s->purpose;
}

static void next_step(struct core *core, enum purpose purpose)
{
    struct link *k = &core->link;
    if (purpose == PURPOSE_PROBE)
        k->probed = true;
    else
        k->logged_in = true;
    begin(core);
}

enum verdict link_response(struct session *s, const struct msg_response *m)
{
    struct core *core = s->core;
    struct link *k = &core->link;
    struct attempt a;
    if (!is_current(s))
        return VERDICT_HOSTILE;
    if (s->purpose == PURPOSE_PROBE && m->is_tower) {
        redact_foreign(k->api_version, sizeof k->api_version, m->api_version);
        redact_foreign(k->server_version, sizeof k->server_version, m->message);
    }
    attempt_judge(&a, core, s->purpose, m);
    switch (a.verdict) {
    case ATTEMPT_OK:
        if (s->purpose == PURPOSE_AGENT) {
            become_online(core);
        } else {
            session_end(s);
            next_step(core, s->purpose);
        }
        break;
    case ATTEMPT_RETRY:
        retry(core, a.kind, a.reason, a.retry_after_ms);
        break;
    case ATTEMPT_FATAL:
        log_error("%s", a.reason);
        link_note_error(core, a.reason);
        core_finish(core, a.exit_code);
        break;
    }
    return VERDICT_OK;
}

void link_session_ended(struct session *s, const struct msg_ended *m)
{
    struct core *core = s->core;
    struct attempt a;
    bool current = is_current(s);
    if (core->link.state == LINK_STOPPING && current) {
        core_finish(core, 0);
        return;
    }
    attempt_explain(&a, core, m);
    if (current)
        retry(core, a.kind, a.reason, 0);
    else
        session_end(s); /* opened ahead; it is opened again when needed */
}

enum verdict link_session_opened(struct core *core, const struct msg_session_opened *m, int *fd)
{
    struct session *s = &core->link.sessions[m->purpose];
    if (!s->asked_for)
        return VERDICT_HOSTILE;
    int channel_fd = *fd;
    *fd = -1;
    session_attach(s, (uint32_t)m->serial, channel_fd);
    if (is_current(s))
        session_go(s);
    else if (core->link.state >= LINK_ONLINE)
        session_end(s); /* asked for before the wait began */
    return VERDICT_OK;
}

enum verdict link_session_refused(struct core *core, const struct msg_session_refused *m)
{
    struct session *s = &core->link.sessions[m->purpose];
    if (!s->asked_for)
        return VERDICT_HOSTILE;
    s->asked_for = false;
    if (is_current(s))
        retry(core, RETRY_FAILED, "the agent could not start a network session", 0);
    return VERDICT_OK;
}

enum verdict link_heartbeat_reply(struct session *s)
{
    struct link *k = &s->core->link;
    link_heard(s->core);
    k->last_reply = wall_s();
    s->core->counters.beat_replies++;
    /* More replies than heartbeats: Tower's own heartbeats are not proofs. */
    if (k->beats_answered < k->beats_sent) {
        k->beats_answered++;
        delivery_heartbeat_reply(s->core);
    }
    status_answered(s->core);
    return VERDICT_OK;
}

void link_try_now(struct core *core)
{
    enum link_state state = core->link.state;
    if (state == LINK_WAITING || state == LINK_STANDBY || state == LINK_TOKEN_REFUSED)
        begin(core);
}

void link_close(struct core *core)
{
    struct msg_close_session m = {.code = 1000};
    struct channel *channel = link_channel(core);
    bool online = core->link.state == LINK_ONLINE;
    life_end(core);
    set_state(core, LINK_STOPPING);
    if (online && channel && send_close_session(channel, &m, -1) == 0)
        arm(core, CLOSE_MS);
    else
        core_finish(core, 0);
}

struct channel *link_channel(const struct core *core)
{
    return core->link.sessions[PURPOSE_AGENT].channel;
}

int link_start(struct core *core)
{
    struct link *k = &core->link;
    k->timer = evtimer_new(core->base, on_timer, core);
    if (!k->timer || life_init(core) != 0)
        return -1;
    k->state_since_ms = clock_ms();
    k->state_since = wall_s();
    pulse_state(core);
    for (int i = 0; i < PURPOSES; i++)
        k->sessions[i] = (struct session){.core = core, .purpose = (enum purpose)i};
    begin(core);
    /* Connect and shake hands side by side; login and agent wait for go before they ask for the
     * token. */
    session_want(&k->sessions[PURPOSE_LOGIN], false);
    session_want(&k->sessions[PURPOSE_AGENT], false);
    return 0;
}

void link_finish(struct core *core)
{
    struct event *events[] = {core->link.timer, core->link.beat, core->link.life};
    for (int i = 0; i < PURPOSES; i++)
        session_end(&core->link.sessions[i]);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i])
            event_free(events[i]);
}
