/* SPDX-License-Identifier: Apache-2.0 */
#include "core/session.h"

#include "base/log.h"
#include "core/commands.h"
#include "core/delivery.h"
#include "core/life.h"
#include "core/link.h"

/* What may wait for a session that does not read: a few results' worth of packets, and heartbeats.
 */
#define QUEUE_MAX 1048576

static const char *const purposes[] = {"probe", "login", "agent"};

void session_want(struct session *s, bool reread)
{
    struct msg_open_session m = {.purpose = s->purpose, .reread = reread};
    if (s->channel || s->asked_for)
        return;
    s->asked_for = send_open_session(s->core->parent, &m, -1) == 0;
}

static enum verdict on_session_ready(void *context, const struct msg_session_ready *m, int *fd)
{
    struct session *s = context;
    (void)fd;
    log_debug("session %u (%s): TLS %s is up and verified", s->serial, purposes[s->purpose],
              m->tls_version == 0x0304 ? "1.3" : "1.2");
    return VERDICT_OK;
}

static enum verdict on_response(void *context, const struct msg_response *m, int *fd)
{
    struct session *s = context;
    (void)fd;
    log_debug("session %u (%s): HTTP status %u", s->serial, purposes[s->purpose],
              (unsigned)m->status);
    if (s->purpose == PURPOSE_AGENT && m->status == 101)
        channel_set_phase(s->channel, PHASE_ONLINE);
    return link_response(s, m);
}

static enum verdict on_heartbeat_reply(void *context, const struct msg_heartbeat_reply *m, int *fd)
{
    (void)m;
    (void)fd;
    return link_heartbeat_reply(context);
}

static enum verdict on_command(void *context, const struct msg_command *m, int *fd)
{
    struct session *s = context;
    link_heard(s->core);
    return commands_request(s->core, m, fd);
}

static enum verdict on_progress(void *context, const struct msg_progress *m, int *fd)
{
    struct session *s = context;
    (void)fd;
    /* Sent only for what the peer took of a result, or sent of a message. */
    life_shown(s->core);
    return delivery_progress(s->core, m);
}

static enum verdict on_ended(void *context, const struct msg_ended *m, int *fd)
{
    (void)fd;
    link_session_ended(context, m);
    return VERDICT_OK;
}

static const struct channel_handlers handlers = {
    .session_ready = on_session_ready,
    .response = on_response,
    .heartbeat_reply = on_heartbeat_reply,
    .command = on_command,
    .progress = on_progress,
    .ended = on_ended,
};

static void on_end(void *context, enum channel_end end, const char *why)
{
    struct session *s = context;
    struct msg_ended m = {.stage = STAGE_DROPPED,
                          .detail = span_of("the network session ended without a word")};
    if (end == CHANNEL_HOSTILE) {
        log_error("session %u (%s) broke the rules of its channel (%s): ended", s->serial,
                  purposes[s->purpose], why);
        m.detail = span_of("the network session broke the rules of its channel");
    }
    link_session_ended(s, &m);
}

void session_attach(struct session *s, uint32_t serial, int fd)
{
    struct channel_setup setup = {.base = s->core->base,
                                  .fd = fd,
                                  .receives = SESSION_TO_CORE,
                                  .sends = CORE_TO_SESSION,
                                  .phase = PHASE_BEFORE_GO,
                                  .queue_max = QUEUE_MAX,
                                  .handlers = &handlers,
                                  .context = s,
                                  .on_end = on_end};
    session_end(s);
    s->asked_for = false;
    s->serial = serial;
    s->channel = channel_new(&setup);
    if (!s->channel)
        log_error("session %u: no memory or descriptor for its channel", serial);
}

void session_go(struct session *s)
{
    struct msg_go m = {0};
    if (!s->channel || s->went)
        return;
    s->went = send_go(s->channel, &m, -1) == 0;
    channel_set_phase(s->channel, PHASE_ASKED);
}

void session_end(struct session *s)
{
    channel_free(s->channel);
    *s = (struct session){
        .core = s->core, .purpose = s->purpose, .asked_for = s->asked_for && !s->channel};
}
