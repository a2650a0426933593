/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pulse.h"

#include "base/clock.h"

static void say(struct core *core, bool alive)
{
    struct msg_pulse m = {.state = core->link.state, .ready = core->exec_ready, .alive = alive};
    /* A parent that does not take it is gone, or sees that nothing comes. */
    if (core->config.notifies)
        send_pulse(core->parent, &m, -1);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    pulse_round(arg);
}

int pulse_init(struct core *core)
{
    core->pulse_timer = evtimer_new(core->base, on_timer, core);
    return core->pulse_timer ? 0 : -1;
}

void pulse_finish(struct core *core)
{
    if (core->pulse_timer)
        event_free(core->pulse_timer);
}

void pulse_state(struct core *core)
{
    say(core, false);
}

void pulse_ready(struct core *core)
{
    say(core, false);
    pulse_round(core);
}

void pulse_round(struct core *core)
{
    struct msg_ping m = {0};
    struct timeval next = clock_timeval(core->config.pulse_ms);
    if (core->config.pulse_ms == 0 || !core->exec_ready)
        return;
    event_add(core->pulse_timer, &next);
    core->pulse_asked = core->pulse_asked || send_ping(core->exec, &m, -1) == 0;
}

enum verdict pulse_answered(struct core *core)
{
    if (!core->pulse_asked)
        return VERDICT_HOSTILE;
    core->pulse_asked = false;
    say(core, true);
    return VERDICT_OK;
}
