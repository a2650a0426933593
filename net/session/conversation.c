/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fds.h"
#include "base/log.h"
#include "net/session/messages.h"
#include "net/session/session.h"

/* Records read, and written, in one turn of the loop. */
#define READS  16
#define WRITES 64
/* One SSL_write: a full TLS record. */
#define RECORD 16384
/* Results and messages that core may have queued here; its window is 8 results. */
#define RESULTS_MAX 64
#define QUEUED_MAX  256
/* Messages of the server's that make no sense, before it is told to go. */
#define REFUSED_MAX 16
/* And well-formed ones of unknown kinds, that are logged on one connection. */
#define UNKNOWN_LOGGED 16
/* Progress is reported this often while bytes flow. */
#define PROGRESS_MS 250
/* From the first Close to the end of the connection. */
#define CLOSE_MS 2000

#define CODE_POLICY 1008

/* ---- from Tower ---- */

static void refuse(struct session *s, size_t len, const struct message *m)
{
    /* Kinds that we do not know are no reason to go; but a flood of them must not fill the log. */
    if (m->harmless && ++s->unknown > UNKNOWN_LOGGED) {
        if (s->unknown == UNKNOWN_LOGGED + 1)
            log_warn("more messages of unknown @type come: passed over, and not logged");
        return;
    }
    log_warn("a message of %zu bytes from the server is refused: %s", len, m->why);
    if (!m->harmless && ++s->refused > REFUSED_MAX)
        ws_fail(&s->ws, CODE_POLICY, "too many senseless messages");
}

static void give_command(struct session *s, const struct message *m)
{
    struct msg_command command = {.id = m->id};
    int fd = -1;
    if (m->command.len <= LIMIT_INLINE_TEXT)
        command.text = m->command;
    else
        fd = memfd_of("command", m->command.data, m->command.len);
    if ((fd < 0 && m->command.len > LIMIT_INLINE_TEXT) ||
        send_command(s->core, &command, fd) != 0) {
        /* Core gone or out of resources: without this command the conversation makes no sense. */
        int saved = errno;
        fds_close(&fd);
        session_ended(s, STAGE_INTERNAL, saved, "cannot pass a command on");
        return;
    }
    fds_close(&fd);
}

static void on_message(void *context, struct span text, bool binary)
{
    struct session *s = context;
    struct message m;
    struct msg_heartbeat_reply reply = {0};
    (void)binary;
    if (s->step != STEP_ONLINE)
        return;
    message_decode(&m, text);
    switch (m.kind) {
    case MESSAGE_HEARTBEAT:
        send_heartbeat_reply(s->core, &reply, -1);
        break;
    case MESSAGE_COMMAND:
        give_command(s, &m);
        break;
    case MESSAGE_REFUSED:
        refuse(s, text.len, &m);
        break;
    }
    message_finish(&m);
}

/* A core that is behind holds the server back: its bytes stay in TCP. */
static bool may_receive(void *context)
{
    const struct session *s = context;
    return s->step == STEP_ONLINE && channel_queued(s->core) == 0;
}

/* ---- to core ---- */

static void report_progress(struct session *s)
{
    const struct frames *f = &s->ws.frames;
    uint64_t now = clock_ms();
    bool results = f->results_written != s->progress_results;
    /* A heartbeat's bytes show nothing: the kernel takes them on a dead link as well. */
    bool written = f->results > 0 && f->written != s->progress_bytes;
    /* A message that comes slowly is a sign of life, and replies wait behind it. */
    size_t coming = ws_message_length(&s->ws);
    bool read = coming > 0 && coming != s->progress_message;
    bool due = now - s->progress_ms >= PROGRESS_MS;
    struct msg_progress m = {.bytes = f->written, .results = f->results_written};
    if ((!results && !(due && (written || read))) || send_progress(s->core, &m, -1) != 0)
        return;
    s->progress_message = coming;
    s->progress_ms = now;
    s->progress_bytes = f->written;
    s->progress_results = f->results_written;
}

/* ---- the end ---- */

static void say_last_word(struct session *s)
{
    session_ended(s, s->word.stage, s->word.code, s->word.detail);
}

static void set_word(struct session *s, enum stage stage)
{
    struct last_word *w = &s->word;
    w->stage = stage;
    w->code = (int)s->ws.code;
    w->detail[0] = '\0';
    if (stage != STAGE_CLOSING)
        text_clean(w->detail, sizeof w->detail, span_of(s->ws.reason));
}

/* Once the WebSocket is no longer open: what to report, and by when. */
static void check_end(struct session *s)
{
    if (s->ws.broken) {
        session_ended(s, STAGE_INTERNAL, ENOMEM, "out of memory or randomness");
        return;
    }
    if (s->ws.state == WS_OPEN || s->ending)
        return;
    s->ending = true;
    session_deadline(s, CLOSE_MS);
    set_word(s, s->ws.state == WS_CLOSING  ? STAGE_CLOSING
                : s->ws.state == WS_CLOSED ? STAGE_CLOSED
                                           : STAGE_PROTOCOL);
}

void conversation_timeout(struct session *s)
{
    if (s->ending)
        say_last_word(s);
}

/* ---- bytes ---- */

static void dropped(struct session *s, enum tls_io how)
{
    if (s->step != STEP_ONLINE)
        return;
    check_end(s); /* a Close may have come just before */
    if (s->ending)
        say_last_word(s);
    else
        session_tls_ended(s, how);
}

static void write_out(struct session *s)
{
    for (int i = 0; i < WRITES; i++) {
        bool ok;
        size_t n = 0;
        struct span out = frames_output(&s->ws.frames, &ok);
        s->ws.broken |= !ok;
        if (out.len == 0)
            return;
        enum tls_io how = tls_write(&s->tls, out.data, out.len < RECORD ? out.len : RECORD, &n);
        if (how == TLS_WANT_WRITE || how == TLS_WANT_READ)
            break;
        if (how != TLS_OK) {
            dropped(s, how);
            return;
        }
        frames_written(&s->ws.frames, n);
    }
    event_add(s->writable, NULL);
}

/* Output first, since it makes room for what input wants to say; then input that had to wait. */
void conversation_turn(struct session *s)
{
    if (s->step != STEP_ONLINE)
        return;
    size_t at;
    write_out(s);
    /* All input that there is room for: no event would tell of what is left. */
    do {
        at = s->ws.in_at;
        if (s->step == STEP_ONLINE)
            ws_process(&s->ws);
        if (s->step == STEP_ONLINE)
            write_out(s);
    } while (s->step == STEP_ONLINE && ws_has_input(&s->ws) && s->ws.in_at != at);
    if (s->step != STEP_ONLINE)
        return;
    report_progress(s);
    check_end(s);
    if (s->step != STEP_ONLINE || !ws_wants_input(&s->ws))
        return;
    if (tls_pending(&s->tls))
        event_active(s->readable, EV_READ, 0);
    else
        event_add(s->readable, NULL);
}

void conversation_readable(struct session *s)
{
    for (int i = 0; i < READS && s->step == STEP_ONLINE && ws_wants_input(&s->ws); i++) {
        size_t size, n = 0;
        char *room = ws_room(&s->ws, &size);
        enum tls_io how = tls_read(&s->tls, room, size, &n);
        if (how == TLS_WANT_WRITE)
            event_add(s->writable, NULL);
        if (how == TLS_WANT_READ || how == TLS_WANT_WRITE)
            break;
        if (how != TLS_OK) {
            dropped(s, how);
            return;
        }
        ws_received(&s->ws, n);
        ws_process(&s->ws);
        /* A Close is answered before more is read: after an end of file nothing can be written. */
        if (s->ws.state != WS_OPEN)
            break;
    }
    conversation_turn(s);
}

void conversation_begin(struct session *s, const char *rest, size_t len)
{
    struct ws_owner owner = {.context = s, .on_message = on_message, .may_receive = may_receive};
    size_t size;
    event_del(s->deadline);
    s->step = STEP_ONLINE;
    channel_set_phase(s->core, PHASE_ONLINE);
    if (ws_init(&s->ws, &owner, LIMIT_PAYLOAD, false) != 0) {
        session_ended(s, STAGE_INTERNAL, ENOMEM, "no memory for the conversation");
        return;
    }
    char *room = ws_room(&s->ws, &size);
    if (len)
        memcpy(room, rest, len);
    ws_received(&s->ws, len);
    conversation_turn(s);
}

/* ---- from core ---- */

/* Sends what an encoder has put into the buffer. */
static enum verdict send_text(struct session *s, struct buf *text, bool encoded)
{
    enum verdict v = s->ws.frames.queued < QUEUED_MAX ? VERDICT_OK : VERDICT_HOSTILE;
    if (s->ws.state == WS_OPEN && v == VERDICT_OK)
        s->ws.broken |=
            !encoded ||
            !frames_message(&s->ws.frames, (struct span){buf_data(text), buf_len(text)}, false);
    buf_finish(text);
    conversation_turn(s);
    return v;
}

enum verdict conversation_info(void *context, const struct msg_info *m, int *fd)
{
    struct buf text;
    (void)fd;
    buf_init(&text, 6 * (LIMIT_USER + LIMIT_PATH + 32) + 128);
    bool encoded = message_info(&text, m);
    return send_text(context, &text, encoded);
}

enum verdict conversation_heartbeat(void *context, const struct msg_heartbeat *m, int *fd)
{
    struct buf text;
    (void)m;
    (void)fd;
    buf_init(&text, 128);
    bool encoded = message_heartbeat(&text);
    return send_text(context, &text, encoded);
}

enum verdict conversation_result(void *context, const struct msg_result *m, int *fd)
{
    struct session *s = context;
    struct memfd_map body = {0};
    struct buf head;
    const char *tail;
    if (s->ws.frames.results >= RESULTS_MAX || s->ws.frames.queued >= QUEUED_MAX)
        return VERDICT_HOSTILE;
    if (s->ws.state != WS_OPEN)
        return VERDICT_OK;
    if (*fd >= 0 && memfd_map(&body, *fd, LIMIT_OUTPUT) != 0) {
        session_ended(s, STAGE_INTERNAL, errno, "cannot map a result");
        return VERDICT_OK;
    }
    buf_init(&head, 6 * LIMIT_ID + 128);
    s->ws.broken |=
        !message_response(&head, &tail, m, body.bytes.len == 0) ||
        !frames_result(&s->ws.frames, (struct span){buf_data(&head), buf_len(&head)}, &body, tail);
    buf_finish(&head);
    conversation_turn(s);
    return VERDICT_OK;
}

enum verdict conversation_close(void *context, const struct msg_close_session *m, int *fd)
{
    struct session *s = context;
    (void)fd;
    if (m->code < 1000)
        return VERDICT_HOSTILE;
    ws_close(&s->ws, (unsigned)m->code, "");
    conversation_turn(s);
    return VERDICT_OK;
}
