/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/states/world.h"

#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "core/commands.h"
#include "core/delivery.h"
#include "core/life.h"
#include "core/link.h"
#include "core/session.h"
#include "core/status.h"

struct world world;

/* ---- the clock ----
 * The C library's, for libevent as well: what an executable defines comes first. */

static uint64_t running_ms, suspended_ms; /* of CLOCK_MONOTONIC; more of CLOCK_BOOTTIME */
static int64_t wall_s;

static void set_timespec(struct timespec *t, uint64_t ms, int64_t more_s)
{
    t->tv_sec = (time_t)((int64_t)(ms / 1000) + more_s);
    t->tv_nsec = (long)(ms % 1000) * 1000000;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    if (id == CLOCK_BOOTTIME)
        set_timespec(t, running_ms + suspended_ms, 0);
    else if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
        set_timespec(t, running_ms + suspended_ms, wall_s);
    else
        set_timespec(t, running_ms, 0);
    return 0;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

uint64_t world_now(void)
{
    return running_ms;
}

/* ---- the rest of core ---- */

uint32_t core_random(void)
{
    return world.random;
}

void core_finish(struct core *core, int code)
{
    core->finishing = true;
    if (world.finished < 0)
        world.finished = code;
}

void core_check_stop(struct core *core)
{
    (void)core;
}

void status_write(struct core *core)
{
    (void)core;
}

void status_answered(struct core *core)
{
    (void)core;
}

void status_beat(struct core *core)
{
    (void)core;
}

void delivery_online(struct core *core)
{
    core->delivery = (struct delivery){0};
    world.online++;
}

void delivery_dropped(struct core *core, bool counted)
{
    struct entry *e;
    while ((e = TAILQ_FIRST(&core->ledger.lists[ENTRY_SENT]))) {
        TAILQ_REMOVE(&core->ledger.lists[ENTRY_SENT], e, in_state);
        free(e);
    }
    core->ledger.counts[ENTRY_SENT] = 0;
    core->delivery = (struct delivery){0};
    world.dropped++;
    world.dropped_uncounted += !counted;
}

void delivery_heartbeat_reply(struct core *core)
{
    (void)core;
    world.proofs++;
}

enum verdict delivery_progress(struct core *core, const struct msg_progress *m)
{
    core->delivery.written = m->results;
    return VERDICT_OK;
}

enum verdict commands_request(struct core *core, const struct msg_command *m, int *fd)
{
    (void)core;
    (void)m;
    (void)fd;
    return VERDICT_OK;
}

/* ---- the parent ---- */

static enum verdict on_session_opened(void *context, const struct msg_session_opened *m, int *fd)
{
    return link_session_opened(context, m, fd);
}

static enum verdict on_session_refused(void *context, const struct msg_session_refused *m, int *fd)
{
    (void)fd;
    return link_session_refused(context, m);
}

static void on_end(void *context, enum channel_end end, const char *why)
{
    (void)context;
    (void)end;
    fail_msg("core's channel ended: %s", why);
}

static void close_session(enum purpose purpose)
{
    if (world.session[purpose] >= 0)
        close(world.session[purpose]);
    world.session[purpose] = -1;
}

static void open_session(const struct msg_open_session *m)
{
    int pair[2];
    struct msg_session_opened opened = {.serial = ++world.opened, .purpose = m->purpose};
    struct msg_session_refused refused = {.purpose = m->purpose};
    world.opened_reread += m->reread ? 1 : 0;
    if (world.deaf_parent)
        return;
    if (world.refuse_sessions) {
        assert_int_equal(packet_send_message(world.parent, MSG_session_refused, &refused, -1), 0);
        return;
    }
    close_session((enum purpose)m->purpose);
    assert_int_equal(packet_pair(pair), 0);
    assert_int_equal(packet_send_message(world.parent, MSG_session_opened, &opened, pair[0]), 0);
    close(pair[0]);
    fds_set_nonblocking(pair[1], true);
    world.session[m->purpose] = pair[1];
}

static bool play_parent(void)
{
    static struct packet p;
    const char *why;
    if (packet_receive(world.parent, &p, CORE_TO_PARENT, PHASE_RUN, &why) != PACKET_OK)
        return false;
    assert_int_equal(p.type, MSG_open_session);
    open_session(&p.message.open_session);
    return true;
}

/* ---- the sessions ---- */

static void say(enum purpose purpose, enum ipc_type type, const void *message)
{
    /* Core may just have closed its end. */
    packet_send_message(world.session[purpose], type, message, -1);
}

static void answer(enum purpose purpose)
{
    const struct answer *a = &world.answers[purpose];
    struct msg_session_ready ready = {.tls_version = 0x0304};
    struct msg_ended ended = {
        .stage = a->stage, .code = a->code, .detail = span_of(a->text ? a->text : "")};
    struct msg_response response = {.status = a->status,
                                    .retry_after_s = a->retry_after,
                                    .is_tower = purpose == PURPOSE_PROBE,
                                    .api_version = span_of(a->text ? a->text : "1.9"),
                                    .message = span_of("")};
    if (a->silent)
        return;
    if (a->fails) {
        say(purpose, MSG_ended, &ended);
        return;
    }
    say(purpose, MSG_session_ready, &ready);
    say(purpose, MSG_response, &response);
}

static bool play_session(enum purpose purpose)
{
    static struct packet p;
    const char *why;
    struct msg_heartbeat_reply reply = {0};
    if (world.session[purpose] < 0)
        return false;
    enum packet_outcome o = packet_receive(world.session[purpose], &p, CORE_TO_SESSION,
                                           PHASE_BEFORE_GO | PHASE_ASKED | PHASE_ONLINE, &why);
    if (o == PACKET_EOF || o == PACKET_ERROR)
        close_session(purpose);
    if (o != PACKET_OK)
        return false;
    if (p.fd >= 0)
        close(p.fd);
    if (p.type == MSG_go)
        answer(purpose);
    if (p.type == MSG_close_session)
        world.close_asked = true;
    if (p.type == MSG_heartbeat) {
        world.beats++;
        if (world.reply)
            say(purpose, MSG_heartbeat_reply, &reply);
    }
    return true;
}

/* Everything that needs no time. */
static void settle(void)
{
    for (bool more = true; more;) {
        event_base_loop(world.core.base, EVLOOP_NONBLOCK);
        more = play_parent();
        for (int i = 0; i < PURPOSES; i++)
            more |= play_session((enum purpose)i);
    }
}

/* ---- */

void world_start(uint64_t heartbeat_ms)
{
    static const struct channel_handlers handlers = {.session_opened = on_session_opened,
                                                     .session_refused = on_session_refused};
    static const unsigned right[] = {200, 200, 101};
    int pair[2];
    running_ms = 1500; /* as if the machine had just started: times before zero must not matter */
    suspended_ms = 0;
    wall_s = 1700000000;
    log_init("core", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    world = (struct world){.step = STEP, .reply = true, .finished = -1};
    struct core *core = &world.core;
    for (int i = 0; i < PURPOSES; i++) {
        world.session[i] = -1;
        world.answers[i].status = right[i];
    }
    for (int i = 0; i < ENTRY_STATES; i++)
        TAILQ_INIT(&core->ledger.lists[i]);
    snprintf(core->config.url, sizeof core->config.url, "https://tower.test/api");
    snprintf(core->config.connection_id, sizeof core->config.connection_id, "lab");
    snprintf(core->config.user_name, sizeof core->config.user_name, "ann");
    snprintf(core->work_dir, sizeof core->work_dir, "/work");
    core->config.heartbeat_ms = heartbeat_ms;
    core->exec_ready = true;
    assert_non_null(core->base = channel_loop_new());
    assert_int_equal(packet_pair(pair), 0);
    struct channel_setup setup = {.base = core->base,
                                  .fd = pair[0],
                                  .receives = PARENT_TO_CORE,
                                  .sends = CORE_TO_PARENT,
                                  .phase = PHASE_RUN,
                                  .queue_max = 65536,
                                  .handlers = &handlers,
                                  .context = core,
                                  .on_end = on_end};
    assert_non_null(core->parent = channel_new(&setup));
    fds_set_nonblocking(pair[1], true);
    world.parent = pair[1];
    assert_int_equal(link_start(core), 0);
}

void world_start_online(uint64_t heartbeat_ms)
{
    world_start(heartbeat_ms);
    assert_true(world_until(LINK_ONLINE, 0) == 0);
}

void world_assert_about(uint64_t ms, uint64_t expected)
{
    assert_in_range(ms, expected > STEP ? expected - STEP : 0, expected + 2 * STEP);
}

void world_end(void)
{
    delivery_dropped(&world.core, true);
    link_finish(&world.core);
    channel_free(world.core.parent);
    close(world.parent);
    for (int i = 0; i < PURPOSES; i++)
        close_session((enum purpose)i);
    event_base_free(world.core.base);
}

void world_pass(uint64_t ms)
{
    settle();
    while (ms > 0) {
        uint64_t step = ms < world.step ? ms : world.step;
        running_ms += step;
        ms -= step;
        settle();
    }
}

uint64_t world_until(enum link_state state, uint64_t most)
{
    uint64_t start = running_ms;
    settle();
    while (world.core.link.state != state) {
        if (running_ms - start > most)
            fail_msg("state %s after %d ms, not %s", link_state_name(world.core.link.state),
                     (int)most, link_state_name(state));
        world_pass(world.step);
    }
    return running_ms - start;
}

uint64_t world_until_attempt(uint64_t most)
{
    uint64_t start = running_ms;
    unsigned before = world.opened;
    while (world.opened == before) {
        if (running_ms - start > most)
            fail_msg("no attempt within %d ms", (int)most);
        world_pass(world.step);
    }
    return running_ms - start;
}

void world_suspend(uint64_t ms)
{
    suspended_ms += ms;
}

void world_stop(uint64_t ms)
{
    running_ms += ms;
}

void world_set_clock(int64_t seconds)
{
    wall_s += seconds;
}

void world_session_ends(enum stage stage, int code, const char *text)
{
    struct msg_ended m = {.stage = stage, .code = code, .detail = span_of(text)};
    say(PURPOSE_AGENT, MSG_ended, &m);
    settle();
}

void world_progress(uint64_t bytes, uint64_t results)
{
    struct msg_progress m = {.bytes = bytes, .results = results};
    say(PURPOSE_AGENT, MSG_progress, &m);
    settle();
}

void world_send_result(size_t size, bool written)
{
    struct core *core = &world.core;
    struct entry *e = calloc(1, sizeof *e + 1);
    assert_non_null(e);
    e->output = content_empty();
    e->output.len = size;
    e->proof = core->link.beats_sent + 1;
    TAILQ_INSERT_TAIL(&core->ledger.lists[ENTRY_SENT], e, in_state);
    core->ledger.counts[ENTRY_SENT]++;
    core->delivery.sent++;
    core->delivery.written += written;
    life_extra_beat(core);
    settle();
}
