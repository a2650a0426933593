/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Core with its real handlers, between a parent that plays by the rules and sessions and an exec
 * that need not. A command runs at most once for one id, with the text that came first; no output
 * reaches a session before the parent has searched it and found nothing, and then unchanged, to its
 * own id; no more results are on their way than the window lets; the ledger's sums stay true; a
 * session that breaks the rules ends alone, an exec that does ends the agent.
 *
 * Input: steps (enum doing), each with a byte that says more. No disk: the store is failing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fds.h"
#include "core/core.h"
#include "core/link.h"
#include "ipc/memfd.h"
#include "tests/fuzz/descriptors.h"
#include "tests/fuzz/make_message.h"

#define STEPS_MOST   128
#define IDS          10
#define TICKETS_MOST (IDS + 1)
#define WINDOW       8 /* of core/delivery.c */
#define OUTPUT       "output of "

enum doing {
    DO_ONLINE, /* each session that was told to go says that all is well */
    DO_COMMAND,
    DO_EXEC_READY,
    DO_FINISH,
    DO_SEARCHED,
    DO_REPLY,
    DO_PROGRESS,
    DO_ENDED,
    DO_DROP,
    DO_TIMER,
    DO_STOP,
    DO_SESSION_SAYS, /* whatever the table has */
    DO_EXEC_SAYS,
    DO_SESSION_DAMAGED,
    DO_COUNT
};

enum life { NEVER, RUNNING, SEARCHING, SEARCHED };

struct known { /* of a ticket */
    enum life life;
    unsigned id, status;
    bool empty, found;
};

static struct world {
    struct core core;
    int parent, exec, sessions[PURPOSES];
    bool went[PURPOSES];
    unsigned phase; /* of the agent's session, at its end */
    uint64_t last_ticket;
    uint64_t results, told; /* on this session: received, and said to be written */
    bool asked[IDS], ran[IDS], spoilt, over;
    unsigned first_text[IDS];
    uint64_t refused; /* requests with another text for a known id */
    struct known known[TICKETS_MOST];
    struct made made;
} w;

/* ---- what core says ---- */

static void text_of(char *out, size_t size, unsigned id, unsigned variant)
{
    snprintf(out, size, "%u.%u", id, variant);
}

/* The text says which id it came with. Tickets grow, whatever was said. */
static void take_run(uint64_t ticket, struct span text)
{
    char right[40];
    CHECK(ticket > w.last_ticket && w.core.exec_ready);
    w.last_ticket = ticket;
    if (w.spoilt)
        return;
    CHECK(text.len > 2 && ticket < TICKETS_MOST);
    unsigned id = (unsigned)(text.data[0] - '0');
    CHECK(id < IDS && w.asked[id] && !w.ran[id] && w.known[ticket].life == NEVER);
    text_of(right, sizeof right, id, w.first_text[id]);
    CHECK(span_is(text, right));
    w.ran[id] = true;
    w.known[ticket] = (struct known){.life = RUNNING, .id = id};
}

static void take_search(uint64_t ticket, struct span output)
{
    char right[40];
    if (w.spoilt)
        return;
    CHECK(ticket < TICKETS_MOST && w.known[ticket].life == RUNNING && !w.known[ticket].empty);
    w.known[ticket].life = SEARCHING;
    snprintf(right, sizeof right, OUTPUT "%u", (unsigned)ticket);
    CHECK(span_is(output, right));
}

/* An output as it came from exec says its ticket; an empty one is the id's. */
static void take_result(const struct msg_result *m, struct span output)
{
    unsigned ticket = 0, id = (unsigned)(m->id.data[0] - 'a');
    w.results++;
    if (w.spoilt)
        return;
    CHECK(w.results - w.told <= WINDOW);
    CHECK(m->id.len == 1 && id < IDS && w.asked[id]);
    if (output.len >= sizeof OUTPUT && memcmp(output.data, OUTPUT, sizeof OUTPUT - 1) == 0)
        for (size_t i = sizeof OUTPUT - 1; i < output.len; i++)
            ticket = ticket * 10 + (unsigned)(output.data[i] - '0');
    for (unsigned i = 0; output.len == 0 && i < TICKETS_MOST; i++)
        if (w.known[i].id == id && w.known[i].life != NEVER)
            ticket = i;
    if (ticket || output.len == 0) {
        const struct known *k = &w.known[ticket];
        CHECK(ticket > 0 && ticket < TICKETS_MOST && k->id == id);
        CHECK(k->life == SEARCHED && !k->found && (uint64_t)m->status == k->status);
    } else {
        CHECK(output.len > 10 && memcmp(output.data, "tw-agent: ", 10) == 0);
    }
}

static void open_session(const struct msg_open_session *m)
{
    struct msg_session_opened opened = {.serial = 1, .purpose = m->purpose};
    struct msg_session_refused refused = {.purpose = m->purpose};
    int pair[2];
    if (m->purpose == PURPOSE_TRIAL) {
        CHECK(packet_send_message(w.parent, MSG_session_refused, &refused, -1) == 0);
        return;
    }
    fds_close(&w.sessions[m->purpose]);
    CHECK(packet_pair(pair) == 0);
    CHECK(packet_send_message(w.parent, MSG_session_opened, &opened, pair[0]) == 0);
    close(pair[0]);
    fds_set_nonblocking(pair[1], true);
    w.sessions[m->purpose] = pair[1];
    w.went[m->purpose] = false;
    if (m->purpose == PURPOSE_AGENT)
        w.phase = PHASE_BEFORE_GO;
}

static bool hear(int fd, unsigned direction, unsigned phase, enum purpose purpose)
{
    static struct packet p;
    const char *why;
    enum packet_outcome o = fd >= 0 ? packet_receive(fd, &p, direction, phase, &why) : PACKET_EOF;
    CHECK(o != PACKET_HOSTILE);
    if (o != PACKET_OK)
        return false;
    struct memfd_map map = {0};
    if (p.fd >= 0)
        CHECK(memfd_map(&map, p.fd, LIMIT_OUTPUT) == 0);
    if (p.type == MSG_open_session)
        open_session(&p.message.open_session);
    else if (p.type == MSG_search)
        take_search(p.message.search.ticket, map.bytes);
    else if (p.type == MSG_run)
        take_run(p.message.run.ticket, p.fd >= 0 ? map.bytes : p.message.run.text);
    else if (p.type == MSG_result)
        take_result(&p.message.result, map.bytes);
    else if (p.type == MSG_go)
        w.went[purpose] = true;
    memfd_unmap(&map);
    fds_close(&p.fd);
    return true;
}

static void pump(void)
{
    for (bool more = true; more && !w.over;) {
        event_base_loop(w.core.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        w.over = event_base_got_break(w.core.base) || w.core.finishing;
        more = hear(w.parent, CORE_TO_PARENT, PHASE_RUN, PURPOSE_PROBE);
        more |= hear(w.exec, CORE_TO_EXEC, PHASE_RUN, PURPOSE_PROBE);
        for (int i = 0; i < PURPOSES; i++)
            more |= hear(w.sessions[i], CORE_TO_SESSION,
                         i == PURPOSE_AGENT ? w.phase : PHASE_BEFORE_GO, (enum purpose)i);
    }
}

static void check_ledger(void)
{
    const struct ledger *l = &w.core.ledger;
    size_t texts = 0, outputs = 0, running = 0;
    for (int i = 0; i < ENTRY_STATES; i++) {
        const struct entry *e;
        size_t n = 0;
        TAILQ_FOREACH(e, &l->lists[i], in_state)
        {
            n++;
            CHECK((int)e->state == i);
            texts += content_memory(&e->text);
            outputs += i == ENTRY_DELIVERED ? 0 : content_memory(&e->output);
        }
        CHECK(n == l->counts[i]);
    }
    running = l->counts[ENTRY_RUNNING];
    CHECK(texts == l->text_bytes && outputs == l->output_bytes);
    CHECK(running <= w.core.config.max_commands && l->fds <= l->fds_max);
}

/* ---- what the others say ---- */

static void session_goes_well(enum purpose purpose)
{
    static const unsigned right[] = {200, 200, 101};
    struct msg_session_ready ready = {.tls_version = 0x0304};
    struct msg_response response = {.status = right[purpose],
                                    .is_tower = purpose == PURPOSE_PROBE,
                                    .api_version = span_of("1.9.0")};
    if (!w.went[purpose])
        return;
    w.went[purpose] = false;
    packet_send_message(w.sessions[purpose], MSG_session_ready, &ready, -1);
    packet_send_message(w.sessions[purpose], MSG_response, &response, -1);
    if (purpose == PURPOSE_AGENT) {
        w.phase = PHASE_ONLINE;
        w.results = w.told = 0;
    }
}

static void command(unsigned choice)
{
    char id[2] = {(char)('a' + choice % IDS)}, text[40];
    unsigned n = choice % IDS, variant = choice / IDS & 1;
    struct msg_command m = {.id = span_of(id)};
    text_of(text, sizeof text, n, variant);
    m.text = span_of(text);
    int fd = choice & 0x80 ? memfd_of("text", text, strlen(text)) : -1;
    if (fd >= 0)
        m.text.len = 0;
    if (w.phase == PHASE_ONLINE && w.sessions[PURPOSE_AGENT] >= 0 &&
        packet_send_message(w.sessions[PURPOSE_AGENT], MSG_command, &m, fd) == 0) {
        if (!w.asked[n])
            w.first_text[n] = variant;
        w.asked[n] = true;
        w.refused += variant != w.first_text[n];
        pump();
        CHECK(w.spoilt || w.over || w.core.counters.refused == w.refused);
    }
    fds_close(&fd);
}

static void finish_command(unsigned choice)
{
    unsigned ticket = choice % TICKETS_MOST;
    struct known *k = &w.known[ticket];
    struct msg_finished m = {.ticket = ticket, .status = choice};
    char output[40];
    if (k->life != RUNNING || k->status)
        return;
    snprintf(output, sizeof output, OUTPUT "%u", ticket);
    k->empty = choice & 0x80;
    k->status = choice;
    if (k->empty)
        k->life = SEARCHED; /* there is nothing to search */
    int fd = k->empty ? -1 : memfd_of("output", output, strlen(output));
    packet_send_message(w.exec, MSG_finished, &m, fd);
    fds_close(&fd);
}

static void searched(unsigned choice)
{
    unsigned ticket = choice % TICKETS_MOST;
    struct msg_search_result m = {.ticket = ticket, .found = choice >> 7};
    struct known *k = &w.known[ticket];
    if (k->life != SEARCHING)
        return;
    k->life = SEARCHED;
    k->found = m.found;
    packet_send_message(w.parent, MSG_search_result, &m, -1);
}

static void says(int fd, unsigned choice, unsigned direction, struct input *in)
{
    make_message(&w.made, made_type(choice & 1 ? direction : 0, input_byte(in)), in);
    w.spoilt = true; /* the model knows no more what was said */
    if (fd >= 0)
        sent_packet(fd, w.made.frame, w.made.len, (enum sort)(choice / 2 % SENT_SORTS));
}

static void agent_says(enum ipc_type type, const void *message)
{
    if (w.sessions[PURPOSE_AGENT] >= 0)
        packet_send_message(w.sessions[PURPOSE_AGENT], type, message, -1);
}

static void report_progress(unsigned choice)
{
    uint64_t right = w.told + choice % (w.results - w.told + 1);
    struct msg_progress m = {.bytes = choice, .results = choice & 0x80 ? w.results + 1 : right};
    if (w.phase != PHASE_ONLINE)
        return;
    if (!(choice & 0x80))
        w.told = right;
    agent_says(MSG_progress, &m);
    pump();
    if ((choice & 0x80) && !w.spoilt && !w.over)
        CHECK(!link_channel(&w.core)); /* it was lied to */
}

static void do_step(struct input *in)
{
    unsigned step = input_byte(in) % DO_COUNT, choice = input_byte(in);
    int session = w.sessions[choice % 3];
    struct msg_exec_ready ready = {.work_dir = span_of("/work")};
    struct msg_heartbeat_reply reply = {0};
    struct msg_stop stop = {0};
    struct msg_ended ended = {.stage = choice % (STAGE_MAX + 1), .code = 4000 + choice % 2};
    switch ((enum doing)step) {
    case DO_ONLINE:
        for (int i = 0; i < PURPOSES; i++, pump())
            session_goes_well((enum purpose)i);
        break;
    case DO_COMMAND:
        command(choice);
        break;
    case DO_EXEC_READY:
        if (!w.core.exec_ready)
            packet_send_message(w.exec, MSG_exec_ready, &ready, -1);
        break;
    case DO_FINISH:
        finish_command(choice);
        break;
    case DO_SEARCHED:
        searched(choice);
        break;
    case DO_REPLY:
        if (w.phase == PHASE_ONLINE)
            agent_says(MSG_heartbeat_reply, &reply);
        break;
    case DO_PROGRESS:
        report_progress(choice);
        break;
    case DO_ENDED:
        if (session >= 0)
            packet_send_message(session, MSG_ended, &ended, -1);
        break;
    case DO_DROP:
        fds_close(&w.sessions[choice % 3]);
        break;
    case DO_TIMER: {
        struct event *timers[] = {w.core.link.timer, w.core.link.beat, w.core.link.life,
                                  w.core.stop_timer, w.core.status_timer};
        struct event *one = timers[choice % 5];
        if (one && evtimer_pending(one, NULL))
            event_active(one, EV_TIMEOUT, 1);
        break;
    }
    case DO_STOP:
        packet_send_message(w.parent, MSG_stop, &stop, -1);
        break;
    case DO_SESSION_SAYS:
        says(session, choice / 3, SESSION_TO_CORE, in);
        break;
    case DO_EXEC_SAYS:
        says(w.exec, choice, EXEC_TO_CORE, in);
        break;
    default: {
        struct span raw = input_take(in, choice);
        if (raw.len && session >= 0)
            sent_packet(session, raw.data, raw.len, SENT_NONE);
        w.spoilt = true;
        break;
    }
    }
    pump();
    check_ledger();
}

static void start(void)
{
    w = (struct world){.phase = PHASE_BEFORE_GO, .sessions = {-1, -1, -1}};
    struct core *core = &w.core;
    core->state_dirfd = -1;
    core->fds_max = 16;
    core->config = (struct core_config){.heartbeat_ms = 45000,
                                        .max_commands = 3,
                                        .max_output = LIMIT_OUTPUT_DEFAULT,
                                        .max_results_memory = 1 << 20,
                                        .connection_id = "lab",
                                        .url = "https://tower.test/api",
                                        .user_name = "ann"};
    w.parent = sent_peer(BIRTH_FD_FIRST);
    w.exec = sent_peer(BIRTH_FD_PEER);
    CHECK((core->base = channel_loop_new()) && core_start(core) == 0);
    CHECK(link_start(core) == 0 && core_load(core) == 0);
    pump();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    start();
    for (int i = 0; i < STEPS_MOST && in.left && !w.over; i++)
        do_step(&in);
    core_finish_all(&w.core);
    event_base_free(w.core.base);
    fds_close(&w.parent);
    fds_close(&w.exec);
    for (int i = 0; i < PURPOSES; i++)
        fds_close(&w.sessions[i]);
    return 0;
}
