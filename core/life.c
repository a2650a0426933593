/* SPDX-License-Identifier: Apache-2.0 */
#include "core/life.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/wall.h"
#include "core/link.h"
#include "core/pulse.h"
#include "core/status.h"

/* Heartbeats ahead of their time: one a second at most. */
#define EXTRA_BEAT_MS 1000
/* Heartbeats that may wait behind results being written: a slow link must not gather them. */
#define BEATS_WAITING_MOST 16
/* The slowest link that is not taken for a dead one, bytes a second. */
#define SLOW_LINK 65536
/* What buffers on the way (proxies, kernels) may have taken from us and not delivered yet. */
#define SWALLOWED_MOST 16777216
/* An answer after we slept; a laptop's network needs some of it to come back. */
#define AWAKE_MS 10000

/* Replies cannot come before the results ahead of their heartbeats are written. */
static bool beats_wait(const struct core *core)
{
    const struct link *k = &core->link;
    return core->delivery.sent > core->delivery.written &&
           k->beats_sent - k->beats_answered >= BEATS_WAITING_MOST;
}

static void send_beat(struct core *core)
{
    struct link *k = &core->link;
    struct msg_heartbeat m = {0};
    struct timeval next = clock_timeval(core->config.heartbeat_ms);
    if (!beats_wait(core) && send_heartbeat(link_channel(core), &m, -1) == 0) {
        k->beats_sent++;
        k->last_beat = wall_s();
        core->counters.beats++;
        k->last_beat_ms = clock_boot_ms();
    }
    k->next_beat_ms = clock_boot_ms() + core->config.heartbeat_ms;
    event_add(k->beat, &next);
}

/*
 * A heartbeat that is long overdue means that the machine was suspended or all of us were stopped.
 * Then neither our timers nor the peer's silence say anything: it is asked at once, and has
 * AWAKE_MS to answer.
 */
static bool overslept(struct core *core)
{
    struct link *k = &core->link;
    uint64_t limit = 2 * core->config.heartbeat_ms, wait = limit < AWAKE_MS ? limit : AWAKE_MS;
    uint64_t now = clock_boot_ms(), due = k->next_beat_ms;
    struct timeval soon = clock_timeval(wait);
    if (now < due + core->config.heartbeat_ms / 2)
        return false;
    log_info("asleep for about %llu s: asking Tower for a sign of life",
             (unsigned long long)(now - due) / 1000);
    send_beat(core);
    k->last_life_ms = clock_ms() - (limit - wait); /* may wrap; differences do not mind */
    event_add(k->life, &soon);
    return true;
}

/*
 * How long the peer may be silent. Results that are written whole may still be on their way when a
 * proxy's or the peer's buffers took them at once, and the reply to a heartbeat comes behind them:
 * they get the time that they take on a slow link.
 */
static uint64_t silence_limit(const struct core *core)
{
    const struct ledger *l = &core->ledger;
    const struct entry *e;
    size_t unwritten = (size_t)(core->delivery.sent - core->delivery.written);
    size_t left = l->counts[ENTRY_SENT];
    uint64_t bytes = 0;
    TAILQ_FOREACH(e, &l->lists[ENTRY_SENT], in_state)
    {
        if (left-- <= unwritten)
            break;
        bytes += (uint64_t)e->output.len * 4 / 3;
    }
    if (bytes > SWALLOWED_MOST)
        bytes = SWALLOWED_MOST;
    return 2 * core->config.heartbeat_ms + bytes * 1000 / SLOW_LINK;
}

/* Of the peer's time, in milliseconds; 0: it is over. */
static uint64_t time_left(const struct core *core)
{
    uint64_t limit = silence_limit(core), quiet = clock_ms() - core->link.last_life_ms;
    return quiet < limit ? limit - quiet : 0;
}

/* The end of the peer's time, if that comes before the next heartbeat. A sign of life takes the
 * timer back, so that an idle agent is not woken to see that all is well. */
static void watch(struct core *core)
{
    uint64_t left = time_left(core);
    struct timeval soon = clock_timeval(left);
    if (left < core->config.heartbeat_ms)
        event_add(core->link.life, &soon);
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    struct core *core = arg;
    (void)fd;
    (void)what;
    if (core->link.state != LINK_ONLINE || overslept(core))
        return;
    watch(core);
    send_beat(core);
    status_beat(core);
    pulse_round(core);
}

static void on_life(evutil_socket_t fd, short what, void *arg)
{
    struct core *core = arg;
    struct link *k = &core->link;
    (void)fd;
    (void)what;
    if (k->state != LINK_ONLINE || overslept(core))
        return;
    uint64_t left = time_left(core);
    struct timeval later = clock_timeval(left);
    if (left == 0)
        link_dead(core);
    else
        event_add(k->life, &later);
}

void life_extra_beat(struct core *core)
{
    struct link *k = &core->link;
    const struct entry *newest = TAILQ_LAST(&core->ledger.lists[ENTRY_SENT], entry_list);
    uint64_t now = clock_boot_ms(), due = k->last_beat_ms + EXTRA_BEAT_MS;
    if (k->state != LINK_ONLINE || due >= k->next_beat_ms)
        return;
    /* The reply to a heartbeat behind the newest result proves them all: one is enough. */
    if (newest && newest->proof <= k->beats_sent)
        return;
    struct timeval wait = clock_timeval(due > now ? due - now : 0);
    k->next_beat_ms = due > now ? due : now;
    event_add(k->beat, &wait);
}

void life_shown(struct core *core)
{
    core->link.last_life_ms = clock_ms();
    event_del(core->link.life);
}

void life_begin(struct core *core)
{
    struct link *k = &core->link;
    struct timeval beat = clock_timeval(core->config.heartbeat_ms);
    k->last_life_ms = clock_ms();
    k->last_beat_ms = 0;
    k->next_beat_ms = clock_boot_ms() + core->config.heartbeat_ms;
    k->beats_sent = k->beats_answered = 0;
    event_add(k->beat, &beat);
}

void life_end(struct core *core)
{
    event_del(core->link.beat);
    event_del(core->link.life);
}

int life_init(struct core *core)
{
    core->link.beat = evtimer_new(core->base, on_beat, core);
    core->link.life = evtimer_new(core->base, on_life, core);
    return core->link.beat && core->link.life ? 0 : -1;
}
