/* SPDX-License-Identifier: Apache-2.0 */
#include "net/session/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/fds.h"
#include "base/log.h"
#include "ipc/birth.h"
#include "net/session/messages.h"
#include "net/session/trial.h"

/* What may wait for a core that does not read: what one input buffer of the WebSocket can still
 * bring after reading has stopped. */
#define CORE_QUEUE 1048576
/* A core that does not take the last word. */
#define LEAVE_MS 2000

/* ---- ends ---- */

void session_deadline(struct session *s, uint64_t ms)
{
    struct timeval t = clock_timeval(ms);
    event_add(s->deadline, &t);
}

static void forget_socket(struct session *s)
{
    struct event **events[] = {&s->readable, &s->writable, &s->closed, &s->token_readable};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        if (*events[i])
            event_free(*events[i]);
        *events[i] = NULL;
    }
}

void session_leave(struct session *s)
{
    s->step = STEP_OVER;
    forget_socket(s);
    token_finish(&s->token);
    tls_goodbye(&s->tls);
    fds_close(&s->socket);
    if (channel_queued(s->core) == 0)
        event_base_loopbreak(s->base);
    else
        session_deadline(s, LEAVE_MS);
}

void session_ended(struct session *s, enum stage stage, int code, const char *detail)
{
    struct msg_ended m = {.stage = stage, .code = code, .detail = span_of(detail)};
    if (s->step == STEP_OVER)
        return;
    send_ended(s->core, &m, -1);
    session_leave(s);
}

void session_tls_ended(struct session *s, enum tls_io how)
{
    if (how == TLS_EOF)
        session_ended(s, STAGE_DROPPED, 0, "the server ended the connection");
    else
        session_ended(s, s->tls.stage, s->tls.code, s->tls.detail);
}

/* ---- core ---- */

static enum verdict on_go(void *context, const struct msg_go *m, int *fd)
{
    struct session *s = context;
    (void)m;
    (void)fd;
    s->gone = true;
    channel_set_phase(s->core, PHASE_ASKED);
    if (s->step == STEP_READY)
        exchange_begin(s);
    return VERDICT_OK;
}

static void on_core_end(void *context, enum channel_end end, const char *why)
{
    struct session *s = context;
    if (end == CHANNEL_HOSTILE) {
        log_error("core broke the rules of its channel (%s)", why);
        s->code = 1;
    }
    event_base_loopbreak(s->base);
}

static void on_core_drained(void *context)
{
    struct session *s = context;
    if (s->step == STEP_OVER)
        event_base_loopbreak(s->base);
    else if (s->step == STEP_ONLINE)
        conversation_turn(s);
}

static const struct channel_handlers core_handlers = {.go = on_go,
                                                      .info = conversation_info,
                                                      .heartbeat = conversation_heartbeat,
                                                      .result = conversation_result,
                                                      .close_session = conversation_close,
                                                      .digest = trial_digest,
                                                      .trial = trial_try};

/* ---- the connector ---- */

static void on_socket(evutil_socket_t fd, short what, void *arg);

static void handshake(struct session *s)
{
    enum tls_io how = tls_handshake(&s->tls);
    if (how == TLS_WANT_READ || how == TLS_WANT_WRITE) {
        event_add(how == TLS_WANT_READ ? s->readable : s->writable, NULL);
        return;
    }
    if (how != TLS_OK) {
        session_tls_ended(s, how);
        return;
    }
    struct msg_session_ready m = {.tls_version = tls_version(&s->tls)};
    send_session_ready(s->core, &m, -1);
    s->step = STEP_READY;
    event_del(s->deadline);
    if (s->gone)
        exchange_begin(s);
    else
        event_add(s->closed, NULL);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct session *s = arg;
    (void)fd;
    if (what & EV_CLOSED)
        session_ended(s, STAGE_DROPPED, 0, "the server ended the connection before the request");
    else if (s->step == STEP_HANDSHAKE)
        handshake(s);
    else if (s->step == STEP_ONLINE && (what & EV_READ))
        conversation_readable(s);
    else if (s->step == STEP_ONLINE)
        conversation_turn(s);
    else if (what & EV_READ)
        exchange_readable(s);
    else
        exchange_writable(s);
}

static enum verdict on_connected(void *context, const struct msg_connected *m, int *fd)
{
    struct session *s = context;
    (void)m;
    s->socket = *fd;
    *fd = -1;
    s->readable = event_new(s->base, s->socket, EV_READ, on_socket, s);
    s->writable = event_new(s->base, s->socket, EV_WRITE, on_socket, s);
    s->closed = event_new(s->base, s->socket, EV_CLOSED, on_socket, s);
    if (fds_set_nonblocking(s->socket, true) != 0 || tls_attach(&s->tls, s->socket) != 0 ||
        !s->readable || !s->writable || !s->closed) {
        session_ended(s, STAGE_INTERNAL, errno, "cannot use the connection");
        return VERDICT_OK;
    }
    s->step = STEP_HANDSHAKE;
    session_deadline(s, s->timeout_ms);
    channel_free(s->handover);
    s->handover = NULL;
    handshake(s);
    return VERDICT_OK;
}

static enum verdict on_connect_failed(void *context, const struct msg_connect_failed *m, int *fd)
{
    struct session *s = context;
    char detail[LIMIT_DETAIL + 1];
    (void)fd;
    span_copy(detail, sizeof detail, m->detail);
    session_ended(s, (enum stage)m->stage, (int)m->code, detail);
    return VERDICT_OK;
}

static void on_handover_end(void *context, enum channel_end end, const char *why)
{
    struct session *s = context;
    if (end == CHANNEL_HOSTILE)
        log_error("the connector broke the rules of its channel (%s)", why);
    session_ended(s, STAGE_INTERNAL, 0, "the connector ended without a connection");
}

static const struct channel_handlers handover_handlers = {.connected = on_connected,
                                                          .connect_failed = on_connect_failed};

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct session *s = arg;
    (void)fd;
    (void)what;
    switch (s->step) {
    case STEP_HANDSHAKE:
        session_ended(s, STAGE_TIMEOUT, 0, "the TLS handshake is not complete in time");
        break;
    case STEP_ONLINE:
        conversation_timeout(s);
        break;
    case STEP_OVER:
        event_base_loopbreak(s->base);
        break;
    default:
        exchange_timeout(s);
        break;
    }
}

/* ---- start ---- */

static int init_loop(struct session *s)
{
    s->base = channel_loop_new();
    if (!s->base)
        return -1;
    s->deadline = evtimer_new(s->base, on_deadline, s);
    s->token_readable = event_new(s->base, BIRTH_FD_FIRST, EV_READ, exchange_on_token, s);
    struct channel_setup core = {.base = s->base,
                                 .fd = BIRTH_FD_PEER,
                                 .receives = CORE_TO_SESSION,
                                 .sends = SESSION_TO_CORE,
                                 .phase = PHASE_BEFORE_GO,
                                 .queue_max = CORE_QUEUE,
                                 .handlers = &core_handlers,
                                 .context = s,
                                 .on_end = on_core_end,
                                 .on_drained = on_core_drained};
    struct channel_setup handover = {.base = s->base,
                                     .fd = BIRTH_FD_HANDOVER,
                                     .receives = CONNECT_TO_SESSION,
                                     .phase = PHASE_RUN,
                                     .handlers = &handover_handlers,
                                     .context = s,
                                     .on_end = on_handover_end};
    s->core = channel_new(&core);
    bool connects = s->purpose != PURPOSE_TRIAL;
    s->handover = connects ? channel_new(&handover) : NULL;
    return s->deadline && s->token_readable && s->core && (s->handover || !connects) ? 0 : -1;
}

static int init_request(struct session *s, const struct msg_session_config *config)
{
    if (upgrade_init(&s->upgrade) != 0) {
        errno = EIO;
        return -1;
    }
    struct request request = {.purpose = s->purpose,
                              .port = (unsigned)config->port,
                              .host = config->host,
                              .url_path = config->url_path,
                              .connection_id = config->connection_id,
                              .key = s->upgrade.key};
    return token_init(&s->token, &request);
}

/* jansson would open /dev/urandom for it, and take zero for "choose one". */
static void seed_hashes(void)
{
    size_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed || seed == 0)
        seed = (size_t)clock_ms() | 1;
    json_object_seed(seed);
}

/* What session_fail will say. */
static void set_failed(struct session *s, const char *what, const char *why)
{
    snprintf(s->word.detail, sizeof s->word.detail, "cannot set up %s: %s", what, why);
}

void session_fail(const struct session *s)
{
    struct msg_ended m = {.stage = STAGE_INTERNAL, .detail = span_of(s->word.detail)};
    packet_send_message(BIRTH_FD_PEER, MSG_ended, &m, -1);
}

int session_init(struct session *s, const struct msg_session_config *config, int *ca_fd)
{
    struct memfd_map ca = {0};
    *s = (struct session){.purpose = (enum purpose)config->purpose,
                          .timeout_ms = (unsigned)config->timeout_ms,
                          .sandbox_log = config->sandbox_log,
                          .socket = -1};
    tzset(); /* the first use of local time would open a file */
    seed_hashes();
    int rc = memfd_map(&ca, *ca_fd, LIMIT_CA_BUNDLE);
    fds_close(ca_fd);
    if (rc == 0)
        rc = tls_init(&s->tls, config->host, ca.bytes, config->pins);
    else
        snprintf(s->tls.detail, sizeof s->tls.detail, "CA bundle: %s", strerror(errno));
    memfd_unmap(&ca);
    if (rc != 0) {
        set_failed(s, "TLS", s->tls.detail);
        return -1;
    }
    if (s->tls.ca.skipped)
        log_debug("%zu blocks of the CA bundle are no certificates", s->tls.ca.skipped);
    if (init_request(s, config) != 0 || init_loop(s) != 0) {
        set_failed(s, "its loop and request", strerror(errno));
        return -1;
    }
    http_init(&s->http);
    return 0;
}

int session_confine(struct session *s)
{
    struct sandbox_access access = {
        .write_dirfd = -1, .read_dirfd = -1, .log_violations = s->sandbox_log};
    struct sandbox_report report;
    char err[256] = "";
    if (sandbox_undumpable() == 0 &&
        sandbox_enter(SANDBOX_SESSION, &access, &report, err, sizeof err) == 0)
        return 0;
    set_failed(s, "its sandbox", err[0] ? err : strerror(errno));
    return -1;
}

int session_run(struct session *s)
{
    struct msg_session_ready confined = {0};
    if (s->purpose == PURPOSE_TRIAL)
        send_session_ready(s->core, &confined, -1);
    if (event_base_loop(s->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
        s->code = 1;
    return s->code;
}
