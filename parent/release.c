/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/release.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fds.h"
#include "base/log.h"

/* Sessions: 10 at once, 5 a second. */
#define OPEN_BURST       10
#define OPEN_INTERVAL_MS 200
/* The API allows 20 requests a second: a burst of 10 and 10 a second never exceed it. */
#define TOKEN_BURST       10
#define TOKEN_INTERVAL_MS 100
/* A session is sent nothing but its configuration and the token. */
#define QUEUE_MAX LIMIT_PACKET

bool bucket_take(struct bucket *b, uint64_t now)
{
    if (b->until < now)
        b->until = now;
    if (b->until - now > (b->burst - 1) * b->interval_ms)
        return false;
    b->until += b->interval_ms;
    return true;
}

void release_init(struct release *r)
{
    *r = (struct release){.ca = -1,
                          .opens = {.interval_ms = OPEN_INTERVAL_MS, .burst = OPEN_BURST},
                          .tokens = {.interval_ms = TOKEN_INTERVAL_MS, .burst = TOKEN_BURST},
                          .rereads = {.interval_ms = OPEN_INTERVAL_MS, .burst = OPEN_BURST}};
    for (size_t i = 0; i < LIMIT_SESSIONS; i++)
        r->sessions[i].release = r;
}

bool release_may_reread(struct release *r)
{
    return bucket_take(&r->rereads, clock_ms());
}

static void forget(struct granted *g)
{
    channel_free(g->channel);
    g->channel = NULL;
}

static enum verdict on_token_request(void *context, const struct msg_token_request *m, int *fd)
{
    struct granted *g = context;
    struct release *r = g->release;
    (void)m;
    (void)fd;
    if (g->purpose != PURPOSE_LOGIN && g->purpose != PURPOSE_AGENT)
        return VERDICT_HOSTILE;
    if (!bucket_take(&r->tokens, clock_ms())) {
        log_warn("session %u gets no token: too many requests", g->serial);
        forget(g);
        return VERDICT_OK;
    }
    struct span token = token_bytes(r->token);
    ssize_t n = send(g->fd, token.data, token.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    uint32_t serial = g->serial;
    /* Once per process: the channel is closed, whatever came of it. */
    forget(g);
    if (n != (ssize_t)token.len) {
        log_warn("session %u did not get the token: %s", serial, strerror(errno));
        return VERDICT_OK;
    }
    struct msg_token_released released = {.serial = serial, .count = ++r->released};
    send_token_released(r->core, &released, -1);
    log_debug("the token was released to session %u", serial);
    return VERDICT_OK;
}

static void on_session_end(void *context, enum channel_end end, const char *why)
{
    struct granted *g = context;
    if (end == CHANNEL_HOSTILE)
        log_error("session %u broke the rules of its channel (%s)", g->serial, why);
    forget(g);
}

static struct granted *free_slot(struct release *r)
{
    for (size_t i = 0; i < LIMIT_SESSIONS; i++)
        if (!r->sessions[i].channel)
            return &r->sessions[i];
    return NULL;
}

/* fd is taken over. */
static bool listen_to(struct granted *g, int fd)
{
    static const struct channel_handlers handlers = {.token_request = on_token_request};
    struct channel_setup setup = {.base = g->release->base,
                                  .fd = fd,
                                  .receives = SESSION_TO_PARENT,
                                  .sends = PARENT_TO_SESSION,
                                  .phase = PHASE_RUN,
                                  .queue_max = QUEUE_MAX,
                                  .handlers = &handlers,
                                  .context = g,
                                  .on_end = on_session_end};
    g->fd = fd;
    g->channel = channel_new(&setup);
    return g->channel != NULL;
}

/* Both orders or none: half an order would be taken for a broken rule. */
static int announce(struct release *r, const struct granted *g, const int to_core[2], int token)
{
    struct msg_session_opened opened = {.serial = g->serial, .purpose = g->purpose};
    struct msg_start_session start = {.serial = g->serial, .purpose = g->purpose};
    struct msg_start_session_token start_token = {.serial = g->serial};
    if (send_session_opened(r->core, &opened, to_core[0]) != 0 ||
        send_start_session(r->launcher, &start, to_core[1]) != 0 ||
        send_start_session_token(r->launcher, &start_token, token) != 0)
        return -1;
    return 0;
}

void release_add_file(struct release *r, const char *name, const char *path)
{
    int fd = r->n_files < RELEASE_FILES ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd >= 0)
        r->files[r->n_files++] = (struct release_file){name, fd};
}

/* The configuration is queued before the session exists. */
static int configure(struct release *r, int fd)
{
    int rc = packet_send_message(fd, MSG_session_config, &r->session, r->ca);
    if (r->session.purpose != PURPOSE_TRIAL)
        return rc;
    for (size_t i = 0; i < r->n_files && rc == 0; i++) {
        struct msg_program m = {.name = span_of(r->files[i].name)};
        rc = packet_send_message(fd, MSG_program, &m, r->files[i].fd);
    }
    return rc;
}

static int refuse(struct release *r, enum purpose purpose)
{
    struct msg_session_refused m = {.purpose = purpose};
    return send_session_refused(r->core, &m, -1);
}

int release_open(struct release *r, enum purpose purpose)
{
    int to_core[2] = {-1, -1}, to_us[2] = {-1, -1}, rc;
    struct granted *g = free_slot(r);
    if (!g || !bucket_take(&r->opens, clock_ms()))
        return refuse(r, purpose);
    g->serial = ++r->serials;
    g->purpose = purpose;
    r->session.serial = g->serial;
    r->session.purpose = purpose;
    if (packet_pair(to_core) != 0 || packet_pair(to_us) != 0 || configure(r, to_us[0]) != 0) {
        log_warn("no session %u: %s", g->serial, strerror(errno));
        rc = refuse(r, purpose);
    } else {
        int ours = to_us[0];
        to_us[0] = -1;
        rc = listen_to(g, ours) ? announce(r, g, to_core, to_us[1]) : refuse(r, purpose);
    }
    fds_close(&to_core[0]);
    fds_close(&to_core[1]);
    fds_close(&to_us[0]);
    fds_close(&to_us[1]);
    return rc;
}

void release_finish(struct release *r)
{
    for (size_t i = 0; i < LIMIT_SESSIONS; i++)
        forget(&r->sessions[i]);
}
