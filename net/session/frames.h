/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outgoing WebSocket frames: whole messages, one unfragmented frame each, masked, in order, encoded
 * as the connection takes them. A result's base64 exists only for the 16 KiB being written.
 */
#ifndef TW_NET_SESSION_FRAMES_H
#define TW_NET_SESSION_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/span.h"
#include "ipc/memfd.h"

/* Bytes encoded ahead of the connection. */
#define FRAMES_AHEAD 65536
/* Control frames that wait for the end of a data frame. The reader stops long before. */
#define FRAMES_CONTROL 65536

struct frame {
    STAILQ_ENTRY(frame) next;
    bool binary;
    bool is_result;
    char *head; /* the message, or what goes before its base64 part */
    size_t head_len;
    struct memfd_map body;
    const char *tail;
    uint64_t end; /* its last byte's number in the connection's bytes; 0: not encoded yet */
};

struct frames {
    struct buf out;             /* encoded, in order; the connection writes from here */
    struct buf control;         /* whole control frames, to be put between data frames */
    STAILQ_HEAD(, frame) queue; /* until written whole */
    struct frame *next;         /* first one not encoded yet, or half encoded */
    uint64_t at, payload;       /* within next: bytes encoded, of how many; payload 0: not begun */
    unsigned char mask[4];
    bool closed;               /* a Close frame is in control: nothing begins after it */
    size_t queued, results;    /* messages in the queue, and results among them */
    uint64_t encoded, written; /* bytes since the start of the connection */
    uint64_t results_written;
};

void frames_init(struct frames *f);
void frames_finish(struct frames *f);

/* Queues a copy of a message. False: no memory, or closed. */
bool frames_message(struct frames *f, struct span text, bool binary);

/*
 * Queues head, the base64 of body, and the static tail as one message. Takes the mapping over, also
 * on failure.
 */
bool frames_result(struct frames *f, struct span head, struct memfd_map *body, const char *tail);

/* Queues a whole control frame. False when there is no room or no randomness. */
bool frames_control(struct frames *f, unsigned opcode, const void *payload, size_t len);

/* A Close with this code (1005: none) and reason: the last frame. */
bool frames_close(struct frames *f, unsigned code, const char *reason);

/* Room for a control frame of wslay's own making, already masked. */
bool frames_raw_control(struct frames *f, const void *data, size_t len);

/* The next bytes for the connection; empty when there are none. *ok false: no randomness. */
struct span frames_output(struct frames *f, bool *ok);

/* The connection took n of them. */
void frames_written(struct frames *f, size_t n);

#endif
