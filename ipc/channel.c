/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Packets handled before other events of the loop get their turn. */
#define BATCH 32
/* ETOOMANYREFS has no readiness event: the kernel forgets descriptors in flight as receivers take
 * them. */
#define RETRY_MS 5

struct waiting {
    struct waiting *next;
    int fd;
    size_t len;
    bool urgent;
    char frame[];
};

struct channel {
    struct channel_setup setup;
    struct event *readable;
    struct event *writable;
    struct event *retry;
    struct waiting *first, **last;
    size_t queued;
    bool seen[MSG_COUNT];
    bool ended;
    int busy; /* handlers under way: freeing waits for them */
    bool doomed;
    struct packet packet;
};

static void destroy(struct channel *c)
{
    struct event *events[] = {c->readable, c->writable, c->retry};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i])
            event_free(events[i]);
    while (c->first) {
        struct waiting *w = c->first;
        c->first = w->next;
        if (w->fd >= 0)
            close(w->fd);
        free(w);
    }
    close(c->setup.fd);
    free(c);
}

static void end(struct channel *c, enum channel_end how, const char *why)
{
    if (c->ended)
        return;
    c->ended = true;
    event_del(c->readable);
    event_del(c->writable);
    event_del(c->retry);
    c->busy++;
    c->setup.on_end(c->setup.context, how, why);
    c->busy--;
}

static void release(struct channel *c)
{
    if (c->doomed && c->busy == 0)
        destroy(c);
}

static enum verdict dispatch(struct channel *c)
{
    struct packet *p = &c->packet;
    const struct channel_handlers *h = c->setup.handlers;
    switch (p->type) {
#define MESSAGE(name, ...)                                                                         \
    case MSG_##name:                                                                               \
        return h->name ? h->name(c->setup.context, &p->message.name, &p->fd) : VERDICT_HOSTILE;
#include "ipc/messages.def"
#undef MESSAGE
    case MSG_COUNT:
        break;
    }
    return VERDICT_HOSTILE;
}

static void handle(struct channel *c)
{
    struct packet *p = &c->packet;
    if (ipc_row(p->type)->frequency == ONCE && c->seen[p->type]) {
        if (p->fd >= 0)
            close(p->fd);
        end(c, CHANNEL_HOSTILE, "message repeated");
        return;
    }
    c->seen[p->type] = true;
    enum verdict v = dispatch(c);
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    if (v != VERDICT_OK && !c->doomed)
        end(c, CHANNEL_HOSTILE, ipc_row(p->type)->name);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct channel *c = arg;
    (void)what;
    c->busy++;
    for (int i = 0; i < BATCH && !c->ended && !c->doomed; i++) {
        const char *why = NULL;
        switch (packet_receive(fd, &c->packet, c->setup.receives, c->setup.phase, &why)) {
        case PACKET_OK:
            handle(c);
            continue;
        case PACKET_AGAIN:
            i = BATCH;
            break;
        case PACKET_EOF:
            end(c, CHANNEL_EOF, "end of file");
            break;
        case PACKET_HOSTILE:
            end(c, CHANNEL_HOSTILE, why);
            break;
        case PACKET_ERROR:
            end(c, CHANNEL_ERROR, strerror(errno));
            break;
        }
    }
    c->busy--;
    release(c);
}

static void wait_to_write(struct channel *c, int why)
{
    struct timeval soon = {.tv_usec = RETRY_MS * 1000};
    if (why == ETOOMANYREFS)
        event_add(c->retry, &soon);
    else
        event_add(c->writable, NULL);
}

static void flush(struct channel *c)
{
    while (c->first) {
        struct waiting *w = c->first;
        if (packet_send(c->setup.fd, w->frame, w->len, w->fd) != 0) {
            if (errno == EAGAIN || errno == ETOOMANYREFS)
                wait_to_write(c, errno);
            /* EPIPE and the like: the read side sees the end. */
            return;
        }
        c->queued -= w->len;
        c->first = w->next;
        if (!c->first)
            c->last = &c->first;
        if (w->fd >= 0)
            close(w->fd);
        free(w);
    }
    if (c->setup.on_drained)
        c->setup.on_drained(c->setup.context);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct channel *c = arg;
    (void)fd;
    (void)what;
    c->busy++;
    flush(c);
    c->busy--;
    release(c);
}

struct event_base *channel_loop_new(void)
{
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

struct channel *channel_new(const struct channel_setup *setup)
{
    struct channel *c = calloc(1, sizeof *c);
    if (!c) {
        close(setup->fd);
        return NULL;
    }
    c->setup = *setup;
    c->last = &c->first;
    int flags = fcntl(setup->fd, F_GETFL);
    c->readable = event_new(setup->base, setup->fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(setup->base, setup->fd, EV_WRITE, on_writable, c);
    c->retry = event_new(setup->base, -1, 0, on_writable, c);
    if (flags < 0 || fcntl(setup->fd, F_SETFL, flags | O_NONBLOCK) != 0 || !c->readable ||
        !c->writable || !c->retry || event_add(c->readable, NULL) != 0) {
        destroy(c);
        return NULL;
    }
    return c;
}

void channel_free(struct channel *c)
{
    if (!c)
        return;
    c->doomed = true;
    c->ended = true;
    if (c->busy == 0) {
        destroy(c);
        return;
    }
    event_del(c->readable);
    event_del(c->writable);
    event_del(c->retry);
}

void channel_set_phase(struct channel *c, enum ipc_phase phase)
{
    c->setup.phase = phase;
}

size_t channel_queued(const struct channel *c)
{
    return c->queued;
}

/*
 * Signs of life do not wait behind descriptors: how many of those may be in flight is counted for
 * the user, and a command can use it up for as long as it likes (ETOOMANYREFS).
 */
static bool is_urgent(enum ipc_type type)
{
    return type == MSG_ping || type == MSG_pong || type == MSG_pulse;
}

/* Urgent ones stand in front, in their own order. */
static void put_in_queue(struct channel *c, struct waiting *w)
{
    struct waiting **at = w->urgent ? &c->first : c->last;
    while (*at && (*at)->urgent)
        at = &(*at)->next;
    w->next = *at;
    *at = w;
    if (!w->next)
        c->last = &w->next;
}

static int enqueue(struct channel *c, const char *frame, size_t len, int fd, bool urgent)
{
    if (len > c->setup.queue_max || c->queued > c->setup.queue_max - len) {
        errno = ENOBUFS;
        return -1;
    }
    struct waiting *w = malloc(sizeof *w + len);
    if (!w) {
        errno = ENOBUFS;
        return -1;
    }
    *w = (struct waiting){.fd = -1, .len = len, .urgent = urgent};
    if (fd >= 0 && (w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) {
        free(w);
        errno = ENOBUFS;
        return -1;
    }
    memcpy(w->frame, frame, len);
    put_in_queue(c, w);
    c->queued += len;
    return 0;
}

/* A packet's buffer is written before it is read: zeroing all of it would cost more than sending.
 */
#if __has_attribute(uninitialized)
#define NOT_ZEROED __attribute__((uninitialized))
#else
#define NOT_ZEROED
#endif

int channel_send(struct channel *c, enum ipc_type type, const void *message, int fd)
{
    char frame[LIMIT_PACKET] NOT_ZEROED;
    if (c->ended) {
        errno = EPIPE;
        return -1;
    }
    size_t len = ipc_row(type)->directions & c->setup.sends
                     ? ipc_encode(frame, sizeof frame, type, message)
                     : 0;
    if (len == 0) {
        errno = EMSGSIZE;
        return -1;
    }
    bool urgent = is_urgent(type);
    if (c->first && (!urgent || c->first->urgent))
        return enqueue(c, frame, len, fd, urgent);
    if (packet_send(c->setup.fd, frame, len, fd) == 0)
        return 0;
    int why = errno;
    if ((why != EAGAIN && why != ETOOMANYREFS) || enqueue(c, frame, len, fd, urgent) != 0)
        return -1;
    /* The loop tries again, not we: on_drained within a send would find its caller half-way. */
    wait_to_write(c, why);
    return 0;
}
