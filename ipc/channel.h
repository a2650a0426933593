/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel: one end of a SOCK_SEQPACKET pair on a libevent loop. Typed senders, typed handlers, a
 * bounded queue of what the socket does not take yet. A peer that breaks the table is hostile: its
 * channel reports the end and falls silent; nothing of the offending packet reaches a handler.
 */
#ifndef TW_IPC_CHANNEL_H
#define TW_IPC_CHANNEL_H

#include <event2/event.h>

#include "ipc/message.h"
#include "ipc/packet.h"

/* A handler's verdict on a message that the table permits. */
enum verdict {
    VERDICT_OK,
    VERDICT_HOSTILE /* the values make no sense here: treated like a broken frame */
};

/*
 * One member per message; unset members make the message hostile. *fd is the descriptor or -1: a
 * handler that keeps it sets *fd to -1, otherwise the channel closes it.
 */
#define MESSAGE(name, ...)                                                                         \
    enum verdict (*name)(void *context, const struct msg_##name *message, int *fd);
struct channel_handlers {
#include "ipc/messages.def"
};
#undef MESSAGE

enum channel_end { CHANNEL_EOF, CHANNEL_HOSTILE, CHANNEL_ERROR };

struct channel;

struct channel_setup {
    struct event_base *base;
    int fd;               /* taken over: channel_free closes it */
    unsigned receives;    /* enum ipc_direction bits this end receives */
    unsigned sends;       /* and those it sends */
    enum ipc_phase phase; /* initial */
    size_t queue_max;     /* bytes that may wait in the queue */
    const struct channel_handlers *handlers;
    void *context;
    /* Called once, at the end of the channel; it may free the channel. why is a static or errno
     * text. */
    void (*on_end)(void *context, enum channel_end end, const char *why);
    /* Called when a queue that was not empty has been written; may be NULL. */
    void (*on_drained)(void *context);
};

/*
 * The loop of a process: without locks (no threads here), without timerfd, deaf to EVENT_*
 * variables. NULL: no memory or descriptors.
 */
struct event_base *channel_loop_new(void);

/* A channel on the loop, or NULL with errno (the descriptor is closed then). */
struct channel *channel_new(const struct channel_setup *setup);

/* Closes the descriptor and drops what is queued. NULL is allowed. Safe within the channel's own
 * handlers. */
void channel_free(struct channel *c);

void channel_set_phase(struct channel *c, enum ipc_phase phase);

/* Bytes that wait for the socket. */
size_t channel_queued(const struct channel *c);

/*
 * Sends or queues; the descriptor is duplicated into the kernel or the queue, and stays the
 * caller's. Messages keep their order, but ping, pong and pulse overtake others. Returns 0, or -1:
 * ENOBUFS, the queue is full; EMSGSIZE, a field out of its bounds; EPIPE, the channel has ended.
 */
int channel_send(struct channel *c, enum ipc_type type, const void *message, int fd);

/* send_NAME(channel, &message, fd): the only way messages leave. */
#define MESSAGE(name, ...)                                                                         \
    static inline int send_##name(struct channel *c, const struct msg_##name *message, int fd)     \
    {                                                                                              \
        return channel_send(c, MSG_##name, message, fd);                                           \
    }
#include "ipc/messages.def"
#undef MESSAGE

#endif
