/* SPDX-License-Identifier: Apache-2.0 */
#include "net/launcher/launcher.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/fds.h"
#include "base/log.h"
#include "ipc/birth.h"
#include "net/reach.h"

/* started leaves, and a pong for each ping. */
#define QUEUE_MAX 4096
/* For children to end once all channels are closed; the parent waits for two seconds. */
#define GRACE_MS 1000
/* Without room for so long, somebody overstays. */
#define FULL_MS 5000

static void on_child_ended(evutil_socket_t signal, short what, void *arg)
{
    struct launcher *l = arg;
    (void)signal;
    (void)what;
    children_reap(&l->children);
    if (l->ending && children_gone(&l->children))
        event_base_loopbreak(l->base);
}

/* A session that was taken over does not end at the end of its channels. */
static void on_grace_over(evutil_socket_t fd, short what, void *arg)
{
    struct launcher *l = arg;
    (void)fd;
    (void)what;
    children_kill(&l->children, NULL);
    event_base_loopbreak(l->base);
}

static bool keep_target(struct launcher *l, const struct msg_launcher_config *config)
{
    if (!span_copy(l->host, sizeof l->host, config->host) ||
        !span_copy(l->proxy, sizeof l->proxy, config->proxy) ||
        !span_copy(l->proxy_auth, sizeof l->proxy_auth, config->proxy_auth))
        return false;
    l->connect = (struct msg_connect_config){.log_level = config->log_level,
                                             .log_format = config->log_format,
                                             .port = config->port,
                                             .timeout_ms = config->timeout_ms,
                                             .sandbox_log = config->sandbox_log,
                                             .host = span_of(l->host),
                                             .proxy = span_of(l->proxy),
                                             .proxy_auth = span_of(l->proxy_auth)};
    return true;
}

int launcher_init(struct launcher *l, const struct msg_launcher_config *config)
{
    const char *what = "";
    *l = (struct launcher){.order = {.core = -1}, .children = {.program_fds = {-1, -1}}};
    if (!keep_target(l, config)) {
        log_error("its configuration does not fit");
        return -1;
    }
    if (children_init(&l->children, &what) != 0) {
        log_error("cannot find %s: %s", what, strerror(errno));
        return -1;
    }
    l->base = channel_loop_new();
    if (l->base) {
        l->child_ended = evsignal_new(l->base, SIGCHLD, on_child_ended, l);
        l->grace = evtimer_new(l->base, on_grace_over, l);
    }
    if (!l->child_ended || !l->grace || event_add(l->child_ended, NULL) != 0) {
        log_error("cannot make its event loop");
        return -1;
    }
    return 0;
}

int launcher_confine(struct launcher *l, struct sandbox_report *report)
{
    struct reach reach = {0};
    char err[256] = "";
    if (!reach_first_hop(&reach, (uint16_t)l->connect.port, l->connect.proxy)) {
        log_error("the proxy must be given as http://host:port");
        return BIRTH_FAILED;
    }
    reach_add_system(&reach);
    reach_add(&reach, l->children.directory);
    struct sandbox_access access = {.write_dirfd = -1,
                                    .read_dirfd = -1,
                                    .read_paths = reach.paths,
                                    .connect_ports = &reach.port,
                                    .n_connect_ports = 1,
                                    .log_violations = l->connect.sandbox_log};
    if (sandbox_undumpable() == 0 &&
        sandbox_enter(SANDBOX_LAUNCHER, &access, report, err, sizeof err) == 0)
        return 0;
    log_error("cannot enter its sandbox: %s", err[0] ? err : strerror(errno));
    return BIRTH_SANDBOX;
}

/*
 * Orders come when core has given older sessions up. Those that end make room soon; one that was
 * taken over may not, and enough of them would keep the agent offline: after FULL_MS the eldest
 * goes.
 */
static void no_room(struct launcher *l)
{
    uint64_t now = clock_ms();
    log_warn("no session %u: too many processes are alive", l->order.serial);
    if (l->full_since_ms == 0)
        l->full_since_ms = now;
    if (now - l->full_since_ms < FULL_MS)
        return;
    uint32_t eldest = children_eldest(&l->children);
    children_kill(&l->children, &eldest);
}

/* The connector's end of handover goes to it; without one the session sees end of file there. */
static int start_connector(struct launcher *l, int handover[2])
{
    struct child child = {
        .program = PROGRAM_CONNECT, .purpose = l->order.purpose, .serial = l->order.serial};
    /* The connector finds its configuration waiting: it goes in at the session's end. */
    return packet_send_message(handover[1], MSG_connect_config, &l->connect, -1) == 0
               ? children_start(&l->children, &child, &handover[0], 1)
               : -1;
}

/* Starts both programs of an order; a trial has no connection. Whatever fails, the peers see end of
 * file. */
static void start_both(struct launcher *l, int token)
{
    int handover[2] = {-1, -1};
    struct child child = {
        .program = PROGRAM_SESSION, .purpose = l->order.purpose, .serial = l->order.serial};
    if (!children_room(&l->children, PROGRAMS)) {
        no_room(l);
        return;
    }
    l->full_since_ms = 0;
    if (packet_pair(handover) != 0 ||
        (l->order.purpose != PURPOSE_TRIAL && start_connector(l, handover) != 0)) {
        log_error("cannot start a connector: %s", strerror(errno));
        goto out;
    }
    int channels[] = {token, l->order.core, handover[1]};
    if (children_start(&l->children, &child, channels, 3) != 0)
        log_error("cannot start a session: %s", strerror(errno));
out:
    fds_close(&handover[0]);
    fds_close(&handover[1]);
}

static enum verdict on_start_session(void *context, const struct msg_start_session *m, int *fd)
{
    struct launcher *l = context;
    if (l->order.pending || !fds_is_channel(*fd))
        return VERDICT_HOSTILE;
    l->order = (struct order){.pending = true,
                              .serial = (uint32_t)m->serial,
                              .purpose = (enum purpose)m->purpose,
                              .core = *fd};
    *fd = -1;
    return VERDICT_OK;
}

static enum verdict on_start_session_token(void *context, const struct msg_start_session_token *m,
                                           int *fd)
{
    struct launcher *l = context;
    if (!l->order.pending || m->serial != l->order.serial || !fds_is_channel(*fd))
        return VERDICT_HOSTILE;
    l->order.pending = false;
    start_both(l, *fd);
    fds_close(&l->order.core);
    return VERDICT_OK;
}

static enum verdict on_ping(void *context, const struct msg_ping *m, int *fd)
{
    struct launcher *l = context;
    struct msg_pong pong = {0};
    (void)m;
    (void)fd;
    send_pong(l->parent, &pong, -1);
    return VERDICT_OK;
}

static void on_parent_end(void *context, enum channel_end end, const char *why)
{
    struct launcher *l = context;
    if (end != CHANNEL_EOF) {
        log_error("its parent's channel: %s", why);
        l->exit_code = 1;
    }
    struct timeval grace = clock_timeval(GRACE_MS);
    l->ending = true;
    if (children_gone(&l->children) || event_add(l->grace, &grace) != 0)
        event_base_loopbreak(l->base);
}

int launcher_run(struct launcher *l, int parent, const struct sandbox_report *report)
{
    static const struct channel_handlers handlers = {.start_session = on_start_session,
                                                     .start_session_token = on_start_session_token,
                                                     .ping = on_ping};
    struct channel_setup setup = {.base = l->base,
                                  .fd = parent,
                                  .receives = PARENT_TO_LAUNCHER,
                                  .sends = LAUNCHER_TO_PARENT,
                                  .phase = PHASE_RUN,
                                  .queue_max = QUEUE_MAX,
                                  .handlers = &handlers,
                                  .context = l,
                                  .on_end = on_parent_end};
    struct msg_started started = {.landlock_abi = (uint64_t)report->landlock_abi,
                                  .landlock_scoped = report->landlock_scoped,
                                  .seccomp = report->seccomp,
                                  .syscalls = report->syscalls};
    l->parent = channel_new(&setup);
    if (!l->parent) {
        log_error("cannot serve its parent: %s", strerror(errno));
        return 1;
    }
    if (send_started(l->parent, &started, -1) != 0 && errno != EPIPE) {
        log_error("cannot report to its parent: %s", strerror(errno));
        return 1;
    }
    event_base_dispatch(l->base);
    return l->exit_code;
}

void launcher_finish(struct launcher *l)
{
    channel_free(l->parent);
    if (l->child_ended)
        event_free(l->child_ended);
    if (l->grace)
        event_free(l->grace);
    if (l->base)
        event_base_free(l->base);
    fds_close(&l->order.core);
    children_finish(&l->children);
    explicit_bzero(l, sizeof *l);
}
