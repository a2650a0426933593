/* SPDX-License-Identifier: Apache-2.0 */
#include "net/session/ws.h"

#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/text.h"

/* Control frames that may wait before reading stops: a peer that pings without reading our pongs
 * stops itself. */
#define CONTROL_WAITING 4096

/* Close codes, RFC 6455 section 7.4.1. */
#define CODE_PROTOCOL    1002
#define CODE_UNSUPPORTED 1003
#define CODE_NONE        1005
#define CODE_BAD_TEXT    1007
#define CODE_TOO_BIG     1009
#define CODE_INTERNAL    1011

/* ---- ends ---- */

static void stop_reading(struct ws *ws)
{
    wslay_event_shutdown_read(ws->wslay);
    buf_finish(&ws->message);
}

void ws_close(struct ws *ws, unsigned code, const char *reason)
{
    if (ws->state != WS_OPEN)
        return;
    ws->state = WS_CLOSING;
    ws->code = code;
    ws->broken |= !frames_close(&ws->frames, code, reason);
}

void ws_fail(struct ws *ws, unsigned code, const char *reason)
{
    stop_reading(ws);
    if (ws->state != WS_OPEN)
        return;
    ws->state = WS_FAILED;
    ws->code = code;
    snprintf(ws->reason, sizeof ws->reason, "%s", reason);
    ws->broken |= !frames_close(&ws->frames, code, "");
}

/* Codes that may stand in a frame: those assigned, and the ranges for libraries and applications
 * (RFC 6455 section 7.4.2). */
static bool is_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static void received_close(struct ws *ws)
{
    const unsigned char *bytes = (const unsigned char *)ws->close;
    unsigned code = CODE_NONE;
    bool ours_first = ws->state == WS_CLOSING;
    ws->closing_frame = false;
    if (ws->close_len >= 2)
        code = (unsigned)bytes[0] << 8 | bytes[1];
    if (ws->close_len == 1 || (ws->close_len >= 2 && !is_code(code))) {
        ws_fail(ws, CODE_PROTOCOL, "bad Close frame");
        return;
    }
    size_t n = ws->close_len >= 2 ? ws->close_len - 2 : 0;
    if (!text_is_utf8(ws->close + 2, n)) {
        ws_fail(ws, CODE_BAD_TEXT, "close reason is not UTF-8");
        return;
    }
    stop_reading(ws);
    if (ws->state == WS_FAILED)
        return;
    ws->state = WS_CLOSED;
    ws->answered = ours_first;
    if (ours_first)
        return;
    ws->code = code;
    memcpy(ws->reason, ws->close + 2, n);
    ws->reason[n] = '\0';
    ws->broken |= !frames_close(&ws->frames, code, "");
}

/* ---- wslay's callbacks ---- */

static bool may_take(const struct ws *ws)
{
    return buf_len(&ws->frames.control) < CONTROL_WAITING &&
           ws->owner.may_receive(ws->owner.context);
}

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *out, size_t len, int flags, void *arg)
{
    struct ws *ws = arg;
    size_t n = ws->in_len - ws->in_at;
    (void)flags;
    if (n == 0 || !may_take(ws)) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (n > len)
        n = len;
    memcpy(out, ws->in + ws->in_at, n);
    ws->in_at += n;
    return (ssize_t)n;
}

/* Whole frames go to a buffer that always has room, so that wslay never has one half sent. */
static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags,
                       void *arg)
{
    struct ws *ws = arg;
    (void)flags;
    if (frames_raw_control(&ws->frames, data, len))
        return (ssize_t)len;
    wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *out, size_t len, void *arg)
{
    (void)ctx;
    (void)arg;
    return RAND_bytes(out, (int)len) == 1 ? 0 : -1;
}

static void on_frame_start(wslay_event_context_ptr ctx,
                           const struct wslay_event_on_frame_recv_start_arg *frame, void *arg)
{
    struct ws *ws = arg;
    (void)ctx;
    ws->opcode = frame->opcode;
    if (frame->opcode == WSLAY_CONNECTION_CLOSE) {
        ws->close_len = (size_t)frame->payload_length;
        ws->close_have = 0;
        return;
    }
    if (wslay_is_ctrl_frame(frame->opcode))
        return;
    if (frame->opcode != WSLAY_CONTINUATION_FRAME) {
        ws->binary = frame->opcode == WSLAY_BINARY_FRAME;
        ws->promised = 0;
    }
    if (ws->binary && !ws->allow_binary)
        ws_fail(ws, CODE_UNSUPPORTED, "binary message");
    else if (frame->payload_length > ws->message_max - ws->promised)
        ws_fail(ws, CODE_TOO_BIG, "message too big");
    else
        ws->promised += frame->payload_length;
}

static void on_frame_chunk(wslay_event_context_ptr ctx,
                           const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *arg)
{
    struct ws *ws = arg;
    if (ws->opcode == WSLAY_CONNECTION_CLOSE) {
        /* From here the Close is read by us: wslay's check of the reason fails where it is split.
         */
        ws->closing_frame = true;
        if (chunk->data_length <= ws->close_len - ws->close_have)
            memcpy(ws->close + ws->close_have, chunk->data, chunk->data_length);
        ws->close_have += chunk->data_length;
        wslay_event_shutdown_read(ctx);
    } else if (!wslay_is_ctrl_frame(ws->opcode) && ws->state == WS_OPEN &&
               !buf_append(&ws->message, chunk->data, chunk->data_length)) {
        ws_fail(ws, CODE_INTERNAL, "no memory for a message");
    }
}

static void on_msg(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *msg,
                   void *arg)
{
    struct ws *ws = arg;
    if (msg->opcode == WSLAY_CONNECTION_CLOSE)
        return;
    if (wslay_is_ctrl_frame(msg->opcode)) {
        /* At once, so that the pong stands before what a later bad frame provokes. */
        if (ws->state == WS_OPEN && wslay_event_send(ctx) != 0)
            ws->broken = true;
        return;
    }
    if (ws->state == WS_OPEN)
        ws->owner.on_message(ws->owner.context,
                             (struct span){buf_len(&ws->message) ? buf_data(&ws->message) : "",
                                           buf_len(&ws->message)},
                             ws->binary);
    buf_consume(&ws->message, buf_len(&ws->message));
}

/* ---- input ---- */

int ws_init(struct ws *ws, const struct ws_owner *owner, size_t message_max, bool allow_binary)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_mask,
        .on_frame_recv_start_callback = on_frame_start,
        .on_frame_recv_chunk_callback = on_frame_chunk,
        .on_msg_recv_callback = on_msg};
    *ws = (struct ws){.owner = *owner, .message_max = message_max, .allow_binary = allow_binary};
    frames_init(&ws->frames);
    buf_init(&ws->message, message_max);
    if (wslay_event_context_client_init(&ws->wslay, &callbacks, ws) != 0)
        return -1;
    wslay_event_config_set_no_buffering(ws->wslay, 1);
    /* Lengths are judged in on_frame_start, over all frames of a message. */
    wslay_event_config_set_max_recv_msg_length(ws->wslay, UINT64_MAX >> 1);
    return 0;
}

void ws_finish(struct ws *ws)
{
    if (ws->wslay)
        wslay_event_context_free(ws->wslay);
    ws->wslay = NULL;
    frames_finish(&ws->frames);
    buf_finish(&ws->message);
}

char *ws_room(struct ws *ws, size_t *size)
{
    if (ws->in_at == ws->in_len)
        ws->in_at = ws->in_len = 0;
    *size = ws->in_len ? 0 : sizeof ws->in;
    return ws->in;
}

void ws_received(struct ws *ws, size_t n)
{
    ws->in_len = n;
}

/* What is still missing of a Close frame. */
static void gather_close(struct ws *ws)
{
    size_t n = ws->in_len - ws->in_at, missing = ws->close_len - ws->close_have;
    if (n > missing)
        n = missing;
    memcpy(ws->close + ws->close_have, ws->in + ws->in_at, n);
    ws->close_have += n;
    ws->in_at += n;
    if (ws->close_have == ws->close_len)
        received_close(ws);
}

/* wslay has ended reading on its own: a broken rule. */
static void wslay_stopped(struct ws *ws, int rc)
{
    if (rc != 0 && ws->state == WS_OPEN) {
        /* Its own Close would be an empty one here. */
        ws_fail(ws, rc == WSLAY_ERR_NOMEM ? CODE_INTERNAL : CODE_PROTOCOL, "bad frame");
        return;
    }
    if (ws->state == WS_CLOSING) {
        ws->state = WS_CLOSED;
        ws->answered = true;
        return;
    }
    ws->broken |= wslay_event_send(ws->wslay) != 0;
    ws->frames.closed = true;
    ws->state = WS_FAILED;
    ws->code = wslay_event_get_status_code_sent(ws->wslay);
    snprintf(ws->reason, sizeof ws->reason, "%s",
             ws->code == CODE_BAD_TEXT ? "text is not UTF-8" : "bad frame");
    buf_finish(&ws->message);
}

void ws_process(struct ws *ws)
{
    int rc = 0;
    if (!ws->closing_frame && wslay_event_get_read_enabled(ws->wslay))
        rc = wslay_event_recv(ws->wslay);
    if (ws->closing_frame && ws->state != WS_FAILED)
        gather_close(ws);
    else if (rc != 0 || (!wslay_event_get_read_enabled(ws->wslay) && ws->state < WS_CLOSED))
        wslay_stopped(ws, rc);
    /* After the end nothing is looked at; reading on drains the connection. */
    if (ws->state >= WS_CLOSED)
        ws->in_at = ws->in_len = 0;
}

bool ws_has_input(const struct ws *ws)
{
    return ws->state < WS_CLOSED && ws->in_at < ws->in_len && may_take(ws);
}

size_t ws_message_length(const struct ws *ws)
{
    return ws->state == WS_OPEN ? buf_len(&ws->message) : 0;
}

bool ws_wants_input(const struct ws *ws)
{
    return ws->state >= WS_CLOSED || (ws->in_at == ws->in_len && may_take(ws));
}

bool ws_flushed(const struct ws *ws)
{
    const struct frames *f = &ws->frames;
    return buf_len(&f->out) == 0 && buf_len(&f->control) == 0 && f->payload == 0 &&
           (f->closed || !f->next);
}
