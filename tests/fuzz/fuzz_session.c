/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole session but for TLS (fake_tls.c): parent, connector, core and server are the harness.
 * What it tells core passes core's end of the channel, in order, and comes to a last word; commands
 * arrive as the server sent them; the token is asked for once, after the handshake and core's go,
 * and only for a purpose that has one; a write that had to wait is repeated as it was.
 *
 * Input: purpose, seed; then steps (enum doing).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/text.h"
#include "ipc/birth.h"
#include "ipc/memfd.h"
#include "net/session/session.h"
#include "tests/fuzz/descriptors.h"
#include "tests/fuzz/fake_tls.h"
#include "tests/fuzz/make_message.h"

#define HIGH       100
#define STEPS_MOST 128
#define TOKEN      "eyJ0aWQiOiAxfQ=="
#define ACCEPTED                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

enum doing {
    DO_CONNECT, /* the connector has a connection, or none */
    DO_GO,
    DO_TOKEN, /* the parent's answer */
    DO_ACCEPT,
    DO_BYTES,   /* of the server's, as they stand */
    DO_FRAME,   /* likewise, with a frame's head before them */
    DO_COMMAND, /* a request with this text */
    DO_HEARTBEAT,
    DO_CORE, /* core says something; the rest is not clean from here on */
    DO_STALL,
    DO_EOF,
    DO_DEADLINE,
    DO_CORE_READS, /* or not */
    DO_COUNT
};

static struct world {
    struct session s;
    enum purpose purpose;
    int parent, core, connector, server; /* our ends */
    unsigned phase;                      /* of core's end */
    bool seen[MSG_COUNT];
    bool over, clean, core_deaf, core_left, connected;
    unsigned asked, tokens;     /* for the token */
    size_t lengths[STEPS_MOST]; /* of the commands' texts, as the server sent them */
    unsigned commands, expected_commands, replies, expected_replies;
    struct made made;
} w;

/* The nonce of RFC 6455 section 1.3, and something for masks. */
int __wrap_RAND_bytes(unsigned char *out, int n);
int __wrap_RAND_bytes(unsigned char *out, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = (unsigned char)(i * 37);
    if (n == 16)
        memcpy(out, "the sample nonce", 16);
    return 1;
}

/* ---- core and parent ---- */

static void take_command(const struct msg_command *m, int fd)
{
    struct memfd_map map = {.bytes = m->text};
    CHECK(w.s.purpose == PURPOSE_AGENT && w.seen[MSG_response]);
    CHECK(text_is_utf8(m->id.data, m->id.len) && m->id.len > 0);
    if (fd >= 0)
        CHECK(m->text.len == 0 && memfd_map(&map, fd, LIMIT_PAYLOAD) == 0);
    CHECK(text_is_utf8(map.bytes.data, map.bytes.len));
    CHECK(!map.bytes.len || !memchr(map.bytes.data, '\0', map.bytes.len));
    if (w.clean)
        CHECK(span_is(m->id, "id") && w.commands < w.expected_commands &&
              map.bytes.len == w.lengths[w.commands]);
    w.commands++;
    if (fd >= 0)
        memfd_unmap(&map);
}

static void take_packet(const struct packet *p)
{
    const struct ipc_row *row = ipc_row(p->type);
    CHECK(!w.seen[MSG_ended]);
    CHECK(row->frequency == OFTEN || !w.seen[p->type]);
    w.seen[p->type] = true;
    switch (p->type) {
    case MSG_command:
        take_command(&p->message.command, p->fd);
        break;
    case MSG_heartbeat_reply:
        w.replies++;
        break;
    case MSG_response:
        CHECK(w.asked == (w.purpose != PURPOSE_PROBE));
        CHECK(w.purpose == PURPOSE_AGENT || p->message.response.status != 101);
        if (p->message.response.status == 101)
            w.phase = PHASE_ONLINE;
        break;
    default:
        break;
    }
}

static void hear(void)
{
    static struct packet p;
    const char *why = "";
    enum packet_outcome o = PACKET_AGAIN;
    while (!w.core_deaf &&
           (o = packet_receive(w.core, &p, SESSION_TO_CORE, w.phase, &why)) == PACKET_OK) {
        take_packet(&p);
        fds_close(&p.fd);
    }
    CHECK(o != PACKET_HOSTILE && o != PACKET_ERROR);
    while (w.parent >= 0 &&
           (o = packet_receive(w.parent, &p, SESSION_TO_PARENT, PHASE_RUN, &why)) == PACKET_OK) {
        CHECK(p.type == MSG_token_request && w.purpose != PURPOSE_PROBE && w.asked++ == 0);
        CHECK(w.s.gone && fake_tls.handshaken);
    }
    CHECK(o != PACKET_HOSTILE);
}

static void pump(void)
{
    size_t before = SIZE_MAX;
    for (int i = 0; i < 6 && !w.over && before != fake_tls.at + fake_tls.writes; i++) {
        before = fake_tls.at + fake_tls.writes;
        event_base_loop(w.s.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        w.over = event_base_got_break(w.s.base);
        hear();
    }
}

/* ---- steps ---- */

static void core_says(struct input *in, unsigned sort)
{
    make_message(&w.made, made_type(CORE_TO_SESSION, input_byte(in)), in);
    sort %= SENT_SORTS;
    w.clean = false;
    if (w.made.len > LIMIT_PACKET)
        return;
    sent_packet(w.core, w.made.frame, w.made.len, (enum sort)sort);
    if (w.made.type == MSG_go && w.made.valid && sort == SENT_NONE && w.phase == PHASE_BEFORE_GO)
        w.phase = PHASE_ASKED;
}

static void server_frame(struct input *in)
{
    unsigned char head[4] = {input_byte(in)};
    struct span payload = input_take(in, input_word(in) & 0x7ff);
    size_t n = payload.len < 126 ? 2 : 4;
    head[1] = (unsigned char)(n == 2 ? payload.len : 126);
    head[2] = (unsigned char)(payload.len >> 8);
    head[3] = (unsigned char)payload.len;
    w.clean = false;
    fake_tls_say((struct span){(char *)head, n});
    fake_tls_say(payload);
}

/* A whole text message in one frame. */
static bool server_text(struct span text)
{
    if (text.len + 16 > sizeof fake_tls.bytes - fake_tls.len)
        return false;
    unsigned char head[10] = {0x81, 127};
    for (size_t i = 0; i < 8; i++)
        head[2 + i] = (unsigned char)((uint64_t)text.len >> (56 - 8 * i));
    size_t n = text.len < 126 ? 2 : text.len < 65536 ? 4 : 10;
    if (n == 2)
        head[1] = (unsigned char)text.len;
    if (n == 4)
        head[1] = 126, head[2] = (unsigned char)(text.len >> 8), head[3] = (unsigned char)text.len;
    fake_tls_say((struct span){(char *)head, n});
    fake_tls_say(text);
    return true;
}

/* Short, or longer than a packet takes. */
static void server_command(struct input *in)
{
    static char text[LIMIT_INLINE_TEXT + 65536];
    size_t len = input_word(in);
    len = len & 0x8000 ? LIMIT_INLINE_TEXT - 64 + (len & 0xff) : len & 0xff;
    int n = snprintf(text, sizeof text,
                     "{\"@type\":\"command-request\",\"id\":\"id\",\"command\":\"%0*d\"}",
                     (int)(len + 1), 0);
    if (server_text((struct span){text, (size_t)n}))
        w.lengths[w.expected_commands++] = len + 1;
}

static void connector_says(unsigned how)
{
    struct msg_connected connected = {0};
    struct msg_connect_failed failed = {
        .stage = STAGE_CONNECT, .code = how, .detail = span_of("refused")};
    int pair[2];
    if (w.connected)
        return;
    w.connected = true;
    if (how == 1) {
        packet_send_message(w.connector, MSG_connect_failed, &failed, -1);
    } else if (how != 2) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        w.server = fcntl(pair[1], F_DUPFD_CLOEXEC, HIGH);
        close(pair[1]);
        CHECK(write(w.server, "", 1) == 1); /* always readable: what there is fake_tls.c says */
        packet_send_message(w.connector, MSG_connected, &connected, pair[0]);
        close(pair[0]);
    }
    fds_close(&w.connector);
}

static void parent_answers(unsigned how)
{
    static const char *const tokens[] = {TOKEN, "a\r\nb", "", "\x7f"};
    char long_one[LIMIT_TOKEN + 2];
    if (!w.asked || w.parent < 0)
        return;
    how %= 5;
    const char *token = tokens[how & 3];
    memset(long_one, 'x', sizeof long_one);
    fake_tls.token = how == 0 ? TOKEN : NULL;
    w.clean = w.clean && how == 0;
    if (how == 4)
        send(w.parent, long_one, sizeof long_one - 1, MSG_NOSIGNAL);
    else if (*token)
        send(w.parent, token, strlen(token), MSG_NOSIGNAL);
    fds_close(&w.parent);
}

static void do_step(struct input *in)
{
    struct msg_go go = {0};
    unsigned choice = input_byte(in), more = choice / DO_COUNT;
    switch ((enum doing)(choice % DO_COUNT)) {
    case DO_CONNECT:
        connector_says(more);
        break;
    case DO_GO:
        packet_send_message(w.core, MSG_go, &go, -1);
        if (w.phase == PHASE_BEFORE_GO)
            w.phase = PHASE_ASKED;
        else
            w.clean = false;
        break;
    case DO_TOKEN:
        parent_answers(more);
        break;
    case DO_ACCEPT:
        w.clean = w.clean && !fake_tls.len;
        fake_tls_say(span_of(ACCEPTED));
        break;
    case DO_BYTES:
        w.clean = false;
        fake_tls_say(input_take(in, input_word(in) & 0xfff));
        break;
    case DO_FRAME:
        server_frame(in);
        break;
    case DO_COMMAND:
        server_command(in);
        break;
    case DO_HEARTBEAT:
        w.expected_replies += server_text(span_of("{\"@type\":\"heartbeat\"}"));
        break;
    case DO_CORE:
        core_says(in, more);
        break;
    case DO_STALL:
        fake_tls.stalled = !fake_tls.stalled;
        break;
    case DO_EOF:
        w.clean = false;
        fake_tls.eof = true;
        break;
    case DO_DEADLINE:
        w.clean = false;
        if (event_pending(w.s.deadline, EV_TIMEOUT, NULL))
            event_active(w.s.deadline, EV_TIMEOUT, 1);
        break;
    case DO_CORE_READS:
        w.core_deaf = !w.core_deaf;
        break;
    default:
        break;
    }
}

/* ---- start and end ---- */

static void start(struct input *in)
{
    struct msg_session_config config = {.purpose = input_byte(in) % 3,
                                        .port = 443,
                                        .timeout_ms = 10000,
                                        .host = span_of("tower.example.org"),
                                        .url_path = span_of("/api"),
                                        .connection_id = span_of("lab 1")};
    w = (struct world){.purpose = (enum purpose)config.purpose,
                       .server = -1,
                       .phase = PHASE_BEFORE_GO,
                       .clean = config.purpose == PURPOSE_AGENT};
    fake_tls_reset(input_word(in));
    w.parent = sent_peer(BIRTH_FD_FIRST);
    w.core = sent_peer(BIRTH_FD_PEER);
    w.connector = sent_peer(BIRTH_FD_HANDOVER);
    int ca = memfd_of("ca", "ca", 2);
    CHECK(ca >= 0 && session_init(&w.s, &config, &ca) == 0 && ca < 0);
}

/* The process would end: nothing of this is in the program. */
static void finish(void)
{
    struct event *events[] = {w.s.readable, w.s.writable, w.s.closed, w.s.token_readable,
                              w.s.deadline};
    channel_free(w.s.core);
    channel_free(w.s.handover);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i])
            event_free(events[i]);
    event_base_free(w.s.base);
    token_finish(&w.s.token);
    http_finish(&w.s.http);
    if (w.s.ws.wslay)
        ws_finish(&w.s.ws);
    fds_close(&w.s.socket);
    close(BIRTH_FD_FIRST);
    fds_close(&w.parent);
    fds_close(&w.core);
    fds_close(&w.connector);
    fds_close(&w.server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    start(&in);
    for (int i = 0; i < STEPS_MOST && in.left && !w.over; i++) {
        do_step(&in);
        pump();
    }
    w.core_deaf = fake_tls.stalled = false;
    for (int quiet = 0; quiet < 20 && !w.over; quiet++) {
        size_t at = fake_tls.at;
        pump();
        quiet = fake_tls.at == at ? quiet : 0;
    }
    hear();
    /* It does not go without a word, unless core broke the rules. */
    if (w.over && w.s.code == 0)
        CHECK(w.seen[MSG_ended] || w.seen[MSG_response]);
    CHECK(w.commands <= w.expected_commands || !w.clean);
    CHECK(!w.clean || !w.seen[MSG_response] || !w.seen[MSG_ended]);
    if (w.clean && w.s.step == STEP_ONLINE) {
        CHECK(w.commands == w.expected_commands && w.replies == w.expected_replies);
        CHECK(w.s.refused == 0 && w.s.unknown == 0);
    }
    finish();
    return 0;
}
