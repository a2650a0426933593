/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent with its real handlers, all its peers hostile: core, exec, the launcher and every
 * session. The token leaves it only as one raw packet to a session, once, for a purpose that has a
 * token, and only after that session asked in the right way; nothing else that it sends holds the
 * token; the searches' answers are right; whatever breaks the rules ends the agent, or the session.
 *
 * Input: steps (enum doing).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fds.h"
#include "ipc/memfd.h"
#include "parent/parent.h"
#include "tests/fuzz/descriptors.h"
#include "tests/fuzz/make_message.h"

#define TOKEN         "eyJ0aWQiOiAxfQ.c0ffee"
#define TOKEN_BASE64  "ZXlKMGFXUWlPaUF4ZlEuYzBmZmVl"
#define STEPS_MOST    64
#define SESSIONS_MOST 40

enum doing {
    DO_CHILD,   /* a child says something that it may */
    DO_OTHER,   /* or something else */
    DO_OPEN,    /* core asks for a session */
    DO_SESSION, /* a session says something */
    DO_ASK,     /* it asks for the token */
    DO_LEAVE,   /* it goes */
    DO_DAMAGED, /* a child's frame is broken */
    DO_SEARCH,  /* core lets a text be searched */
    DO_COUNT
};

struct session {
    int fd; /* its end of the token's channel; -1: gone */
    enum purpose purpose;
    unsigned asked, tokens;
    bool spoilt; /* it said something else first */
};

static struct world {
    struct parent p;
    int peers[CHILDREN];
    int manager; /* the service manager's socket */
    struct session sessions[SESSIONS_MOST];
    size_t n_sessions;
    bool finished; /* core said so */
    bool expect_found, searching;
    unsigned searches, answers;
    struct made made;
} w;

static const unsigned to_child[] = {PARENT_TO_CORE, PARENT_TO_EXEC, PARENT_TO_LAUNCHER};
static const unsigned from_child[] = {CORE_TO_PARENT, EXEC_TO_PARENT, LAUNCHER_TO_PARENT};

static bool holds_token(const void *bytes, size_t len)
{
    return memmem(bytes, len, TOKEN, sizeof TOKEN - 1) ||
           memmem(bytes, len, TOKEN_BASE64, sizeof TOKEN_BASE64 - 1);
}

/* ---- what the parent says ---- */

static void take_packet(enum child_id id, struct packet *p)
{
    CHECK(!holds_token(p->bytes, p->len));
    if (p->type == MSG_search_result) {
        CHECK(id == CHILD_CORE && w.searching);
        CHECK(p->message.search_result.found == w.expect_found);
        w.answers++;
    } else if (p->type == MSG_start_session) {
        CHECK(w.n_sessions < SESSIONS_MOST);
        w.sessions[w.n_sessions] =
            (struct session){.fd = -1, .purpose = (enum purpose)p->message.start_session.purpose};
    } else if (p->type == MSG_start_session_token) {
        w.sessions[w.n_sessions++].fd = p->fd;
        p->fd = -1;
    }
}

static void hear_children(void)
{
    static struct packet p;
    const char *why;
    for (int i = 0; i < CHILDREN; i++) {
        enum packet_outcome o;
        while ((o = packet_receive(w.peers[i], &p, to_child[i], PHASE_RUN, &why)) == PACKET_OK) {
            take_packet((enum child_id)i, &p);
            fds_close(&p.fd);
        }
        CHECK(o != PACKET_HOSTILE && o != PACKET_ERROR);
    }
}

/* The first packet is the configuration; the token is the only other one, and the last. */
static void hear_session(struct session *s)
{
    char bytes[LIMIT_PACKET];
    ssize_t n;
    while (s->fd >= 0 && (n = recv(s->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        if (!holds_token(bytes, (size_t)n))
            continue;
        CHECK(n == sizeof TOKEN - 1 && s->purpose != PURPOSE_PROBE && s->purpose != PURPOSE_TRIAL);
        CHECK(s->asked == 1 && !s->spoilt && s->tokens++ == 0);
    }
}

/* Words of our own, whatever the peers said. */
static void hear_notices(void)
{
    char text[1024];
    ssize_t n;
    while ((n = recv(w.manager, text, sizeof text - 1, 0)) > 0) {
        text[n] = '\0';
        CHECK(!holds_token(text, (size_t)n) && strlen(text) == (size_t)n);
        for (char *line = text, *end; *line; line = end + 1) {
            static const char *const known[] = {"READY=1\n", "STOPPING=1\n", "WATCHDOG=1\n",
                                                "STATUS="};
            bool ours = false;
            end = strchr(line, '\n');
            CHECK(end);
            for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                ours = ours || strncmp(line, known[i], strlen(known[i])) == 0;
            CHECK(ours);
        }
    }
}

static void pump(void)
{
    unsigned released = 0;
    event_base_loop(w.p.base, EVLOOP_NONBLOCK);
    hear_children();
    hear_notices();
    for (size_t i = 0; i < w.n_sessions; i++) {
        hear_session(&w.sessions[i]);
        released += w.sessions[i].tokens;
    }
    CHECK(released <= w.p.release.released);
    CHECK(!fuzz_log_has(span_of(TOKEN)));
}

/* ---- what the peers say ---- */

static void child_says(unsigned choice, unsigned directions, struct input *in)
{
    enum child_id id = (enum child_id)(choice % CHILDREN);
    make_message(&w.made, made_type(directions ? directions : from_child[id], input_byte(in)), in);
    if (w.made.type == MSG_search && w.made.valid)
        return; /* DO_SEARCH knows what is in it */
    sent_packet(w.peers[id], w.made.frame, w.made.len, (enum sort)(choice / 3 % SENT_SORTS));
}

static void core_searches(unsigned choice)
{
    static const char *const texts[] = {"no token", ("x" TOKEN "y"), ("ab" TOKEN_BASE64), TOKEN,
                                        "eyJ0aWQiOiAxfQ.c0ffe"};
    struct msg_search m = {.ticket = choice};
    choice %= sizeof texts / sizeof *texts;
    int fd = memfd_of("output", texts[choice], strlen(texts[choice]));
    CHECK(fd >= 0);
    w.expect_found = holds_token(texts[choice], strlen(texts[choice]));
    w.searching = true;
    if (packet_send_message(w.peers[CHILD_CORE], MSG_search, &m, fd) == 0)
        w.searches++;
    close(fd);
    pump();
    CHECK(w.answers == w.searches || w.p.ending);
    w.searching = false;
}

static void session_says(unsigned choice, bool asks, struct input *in)
{
    struct msg_token_request ask = {0};
    struct session *s = w.n_sessions ? &w.sessions[choice % w.n_sessions] : NULL;
    if (!s || s->fd < 0)
        return;
    if (asks) {
        s->asked += packet_send_message(s->fd, MSG_token_request, &ask, -1) == 0;
        return;
    }
    make_message(&w.made, made_type(0, input_byte(in)), in);
    enum sort sort = (enum sort)(input_byte(in) % SENT_SORTS);
    if (w.made.len == 0 || sent_packet(s->fd, w.made.frame, w.made.len, sort) != 0)
        return;
    if (w.made.valid && w.made.type == MSG_token_request && sort == SENT_NONE)
        s->asked++;
    else if (s->tokens == 0)
        s->spoilt = true;
}

static void do_step(struct input *in)
{
    unsigned step = input_byte(in), choice = input_byte(in);
    struct msg_open_session open = {.purpose = choice % 4, .reread = choice & 0x80 ? 1 : 0};
    switch ((enum doing)(step % DO_COUNT)) {
    case DO_CHILD:
        child_says(choice, 0, in);
        break;
    case DO_OTHER:
        child_says(choice, ~0u, in);
        break;
    case DO_OPEN:
        packet_send_message(w.peers[CHILD_CORE], MSG_open_session, &open, -1);
        break;
    case DO_SESSION:
        session_says(choice, false, in);
        break;
    case DO_ASK:
        session_says(choice, true, in);
        break;
    case DO_LEAVE:
        if (w.n_sessions)
            fds_close(&w.sessions[choice % w.n_sessions].fd);
        break;
    case DO_DAMAGED: {
        struct span raw = input_take(in, choice);
        if (raw.len)
            sent_packet(w.peers[choice % CHILDREN], raw.data, raw.len, SENT_NONE);
        break;
    }
    case DO_SEARCH:
        core_searches(choice);
        break;
    default:
        break;
    }
    pump();
}

/* ---- start and end ---- */

static void start(void)
{
    static struct token token;
    static int ca = -1;
    char text[] = TOKEN;
    if (ca < 0) {
        CHECK((ca = memfd_of("ca", "ca", 2)) >= 0 && token_init(&token) == 0);
        token_take_argument(&token, text);
        CHECK(search_set(&token.search, token_bytes(&token)) == 0);
    }
    w.p = (struct parent){.environment = -1, .ca = ca, .token = token, .exit_code = -1};
    w.n_sessions = 0;
    w.searches = w.answers = 0;
    w.finished = w.searching = false;
    release_init(&w.p.release);
    w.p.release.ca = ca;
    w.p.release.session = (struct msg_session_config){
        .host = span_of("h"), .connection_id = span_of("lab"), .port = 443};
    for (int i = 0; i < CHILDREN; i++) {
        int pair[2];
        CHECK(packet_pair(pair) == 0);
        w.p.children[i] = (struct child){.parent = &w.p, .id = (enum child_id)i, .fd = pair[0]};
        w.peers[i] = pair[1];
        fds_set_nonblocking(pair[1], true);
    }
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    w.p.notify = (struct notify){.fd = pair[0], .watchdog_ms = 1000};
    w.manager = pair[1];
    CHECK(supervise_init(&w.p) == 0);
}

static void finish(void)
{
    notify_finish(&w.p.notify);
    fds_close(&w.manager);
    release_finish(&w.p.release);
    for (int i = 0; i < CHILDREN; i++) {
        channel_free(w.p.children[i].channel);
        fds_close(&w.peers[i]);
    }
    for (size_t i = 0; i < w.n_sessions; i++)
        fds_close(&w.sessions[i].fd);
    for (size_t i = 0; i < SIGNALS; i++)
        event_free(w.p.signals[i]);
    event_free(w.p.deadline);
    event_base_free(w.p.base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    fuzz_log_clear();
    start();
    int numbers = sent_numbers();
    for (int i = 0; i < STEPS_MOST && in.left && !w.p.ending; i++)
        do_step(&in);
    if (w.p.ending) {
        for (int i = 0; i < CHILDREN; i++)
            CHECK(!w.p.children[i].channel);
        CHECK(w.p.exit_code >= 0 && w.p.exit_code <= EXIT_CHILD && w.p.exit_code != EXIT_USAGE);
    } else {
        for (size_t i = 0; i < w.n_sessions; i++)
            fds_close(&w.sessions[i].fd);
        pump();
        CHECK(sent_numbers() == numbers);
    }
    finish();
    return 0;
}
