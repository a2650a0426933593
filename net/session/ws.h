/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The WebSocket conversation, RFC 6455, as a client: bytes in and out, no I/O. wslay checks the
 * frames; what it leaves open (bounds of a message, Close, the order of what goes out) is done
 * here.
 */
#ifndef TW_NET_SESSION_WS_H
#define TW_NET_SESSION_WS_H

#include <wslay/wslay.h>

#include "net/session/frames.h"

#define WS_INPUT 16384 /* one TLS record */

enum ws_state {
    WS_OPEN,
    WS_CLOSING, /* we closed: waits for the peer's Close */
    WS_CLOSED,  /* the peer closed, or answered our Close */
    WS_FAILED   /* the peer broke a rule, and is told so by a Close */
};

struct ws_owner {
    void *context;
    /* A whole message, valid during the call. */
    void (*on_message)(void *context, struct span message, bool binary);
    /* Whether another message may come now; asked before more input is taken. */
    bool (*may_receive)(void *context);
};

struct ws {
    wslay_event_context_ptr wslay;
    struct ws_owner owner;
    size_t message_max;
    bool allow_binary;
    enum ws_state state;
    bool answered;    /* of WS_CLOSED: our Close went first */
    unsigned code;    /* close code received (1005: none), or sent in WS_CLOSING and WS_FAILED */
    char reason[124]; /* received; or a static reason of WS_FAILED */
    bool broken;      /* out of memory or randomness: nothing more can be sent */
    struct frames frames;
    struct buf message; /* the message being received */
    unsigned opcode;    /* of the frame being received */
    bool binary;
    uint64_t promised;  /* bytes of the message as its frames' headers say */
    bool closing_frame; /* a Close is being received */
    size_t close_len, close_have;
    char close[125];
    size_t in_at, in_len;
    char in[WS_INPUT];
};

/* 0, or -1: no memory. ws is big: on the heap, or in the process's one context. */
int ws_init(struct ws *ws, const struct ws_owner *owner, size_t message_max, bool allow_binary);
void ws_finish(struct ws *ws);

/* Where to put received bytes and how many; *size 0 while earlier ones wait. */
char *ws_room(struct ws *ws, size_t *size);

/* n bytes are there; then, and whenever what held input back may be over: ws_process. */
void ws_received(struct ws *ws, size_t n);
void ws_process(struct ws *ws);

/* Whether input that had to wait can be taken now. */
bool ws_has_input(const struct ws *ws);

/* Bytes that have come of a message whose end has not. */
size_t ws_message_length(const struct ws *ws);

/* Whether reading would bring us on: false while output piles up, or after the end. */
bool ws_wants_input(const struct ws *ws);

/* Sends a Close, once; nothing queued after it goes out. */
void ws_close(struct ws *ws, unsigned code, const char *reason);

/* The peer broke a rule that only the owner knows: Close with this code, state WS_FAILED. */
void ws_fail(struct ws *ws, unsigned code, const char *reason);

/* True when all that is to be sent was written. */
bool ws_flushed(const struct ws *ws);

#endif
