/* SPDX-License-Identifier: Apache-2.0 */
/* Channels: directions, phases, frequency, descriptors, bounded queues, ends. */
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/channel.h"
#include "ipc/memfd.h"

struct fixture {
    struct event_base *base;
    struct channel *channel; /* core's end of a session's channel */
    int peer;                /* the raw other end: the attacker's */
    int ends;
    enum channel_end how;
    char why[80];
    int replies, commands;
    size_t fd_size;
};

static enum verdict on_reply(void *context, const struct msg_heartbeat_reply *m, int *fd)
{
    struct fixture *f = context;
    (void)m;
    (void)fd;
    f->replies++;
    return VERDICT_OK;
}

static enum verdict on_command(void *context, const struct msg_command *m, int *fd)
{
    struct fixture *f = context;
    (void)m;
    f->commands++;
    if (*fd >= 0)
        memfd_check(*fd, LIMIT_PAYLOAD, &f->fd_size);
    return VERDICT_OK;
}

static enum verdict on_ready(void *context, const struct msg_session_ready *m, int *fd)
{
    (void)context;
    (void)m;
    (void)fd;
    return VERDICT_OK;
}

static const struct channel_handlers handlers = {
    .heartbeat_reply = on_reply, .command = on_command, .session_ready = on_ready};

static void on_end(void *context, enum channel_end end, const char *why)
{
    struct fixture *f = context;
    f->ends++;
    f->how = end;
    snprintf(f->why, sizeof f->why, "%s", why);
}

static int open_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void start(struct fixture *f, enum ipc_phase phase)
{
    int pair[2];
    memset(f, 0, sizeof *f);
    f->base = event_base_new();
    assert_int_equal(packet_pair(pair), 0);
    f->peer = pair[1];
    struct channel_setup setup = {.base = f->base,
                                  .fd = pair[0],
                                  .receives = SESSION_TO_CORE,
                                  .sends = CORE_TO_SESSION,
                                  .phase = phase,
                                  .queue_max = 100000,
                                  .handlers = &handlers,
                                  .context = f,
                                  .on_end = on_end};
    f->channel = channel_new(&setup);
    assert_non_null(f->channel);
}

static void stop(struct fixture *f)
{
    channel_free(f->channel);
    if (f->peer >= 0)
        close(f->peer);
    event_base_free(f->base);
}

static void attack(struct fixture *f, enum ipc_type type, const void *m, int fd)
{
    assert_int_equal(packet_send_message(f->peer, type, m, fd), 0);
    event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static void expect_hostile(struct fixture *f, const char *why)
{
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->how, CHANNEL_HOSTILE);
    assert_string_equal(f->why, why);
}

static void permitted(void **state)
{
    struct fixture f;
    struct msg_heartbeat_reply m = {0};
    (void)state;
    start(&f, PHASE_ONLINE);
    attack(&f, MSG_heartbeat_reply, &m, -1);
    attack(&f, MSG_heartbeat_reply, &m, -1);
    assert_int_equal(f.replies, 2);
    assert_int_equal(f.ends, 0);
    stop(&f);
}

static void another_phase(void **state)
{
    struct fixture f;
    struct msg_heartbeat_reply m = {0};
    (void)state;
    start(&f, PHASE_ASKED);
    attack(&f, MSG_heartbeat_reply, &m, -1);
    assert_int_equal(f.replies, 0);
    expect_hostile(&f, "message not permitted in this phase");
    stop(&f);
}

static void another_direction(void **state)
{
    struct fixture f;
    struct msg_run m = {0};
    (void)state;
    start(&f, PHASE_RUN);
    attack(&f, MSG_run, &m, -1);
    expect_hostile(&f, "message of another direction");
    stop(&f);
}

static void once(void **state)
{
    struct fixture f;
    struct msg_session_ready m = {0};
    (void)state;
    start(&f, PHASE_BEFORE_GO);
    attack(&f, MSG_session_ready, &m, -1);
    attack(&f, MSG_session_ready, &m, -1);
    expect_hostile(&f, "message repeated");
    stop(&f);
}

static void unhandled(void **state)
{
    struct fixture f;
    struct msg_progress m = {0};
    (void)state;
    start(&f, PHASE_ONLINE);
    attack(&f, MSG_progress, &m, -1);
    expect_hostile(&f, "progress");
    stop(&f);
}

static void too_long(void **state)
{
    struct fixture f;
    static char big[LIMIT_PACKET + 1];
    (void)state;
    start(&f, PHASE_ONLINE);
    int size = 1 << 20;
    setsockopt(f.peer, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    assert_int_equal(send(f.peer, big, sizeof big, 0), (ssize_t)sizeof big);
    event_base_loop(f.base, EVLOOP_NONBLOCK);
    expect_hostile(&f, "packet too long");
    stop(&f);
}

/* Each wrong descriptor is refused, and none stays open. */
static void descriptors(void **state)
{
    struct msg_command m = {.id = span_of("1")};
    struct msg_heartbeat_reply reply = {0};
    int unsealed = memfd_new("t"), sealed = memfd_of("t", "abc", 3), half = memfd_new("t"),
        big = memfd_new("t");
    (void)state;
    fcntl(half, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    assert_int_equal(ftruncate(big, LIMIT_PAYLOAD + 1), 0);
    memfd_seal(big);
    int null = open("/dev/null", O_RDONLY), file = open("/proc/self/exe", O_RDONLY);
    const int wrong[] = {unsealed, half, big, null, file};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fixture f;
        int before = open_fds();
        start(&f, PHASE_ONLINE);
        attack(&f, MSG_command, &m, wrong[i]);
        expect_hostile(&f, "descriptor is not a sealed memfd within its size");
        assert_int_equal(f.commands, 0);
        stop(&f);
        assert_int_equal(open_fds(), before);
    }
    struct fixture f;
    int before = open_fds();
    start(&f, PHASE_ONLINE);
    attack(&f, MSG_command, &m, sealed);
    assert_int_equal(f.commands, 1);
    assert_int_equal(f.fd_size, 3);
    attack(&f, MSG_heartbeat_reply, &reply, sealed);
    expect_hostile(&f, "descriptor not expected");
    stop(&f);
    assert_int_equal(open_fds(), before);
    const int all[] = {unsealed, sealed, half, big, null, file};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        close(all[i]);
}

static void many_descriptors(void **state)
{
    struct fixture f;
    int before = open_fds();
    char frame[64];
    struct msg_heartbeat_reply m = {0};
    (void)state;
    start(&f, PHASE_ONLINE);
    size_t len = ipc_encode(frame, sizeof frame, MSG_heartbeat_reply, &m);
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(20 * sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct iovec iov = {frame, len};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(20 * sizeof(int));
    for (int i = 0; i < 20; i++)
        memcpy(CMSG_DATA(c) + i * sizeof(int), &(int){2}, sizeof(int));
    assert_int_equal(sendmsg(f.peer, &h, 0), (ssize_t)len);
    event_base_loop(f.base, EVLOOP_NONBLOCK);
    expect_hostile(&f, "more than one descriptor");
    stop(&f);
    assert_int_equal(open_fds(), before);
}

static void end_of_file(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, PHASE_ONLINE);
    close(f.peer);
    f.peer = -1;
    event_base_loop(f.base, EVLOOP_NONBLOCK);
    assert_int_equal(f.ends, 1);
    assert_int_equal(f.how, CHANNEL_EOF);
    struct msg_heartbeat m = {0};
    assert_int_equal(send_heartbeat(f.channel, &m, -1), -1);
    assert_int_equal(errno, EPIPE);
    stop(&f);
}

/* A peer that ends with packets of ours unread: the kernel says ECONNRESET before what the peer had
 * sent. */
static void last_word(void **state)
{
    struct fixture f;
    struct msg_heartbeat ours = {0};
    struct msg_heartbeat_reply theirs = {0};
    (void)state;
    start(&f, PHASE_ONLINE);
    assert_int_equal(send_heartbeat(f.channel, &ours, -1), 0);
    assert_int_equal(packet_send_message(f.peer, MSG_heartbeat_reply, &theirs, -1), 0);
    close(f.peer);
    f.peer = -1;
    event_base_loop(f.base, EVLOOP_NONBLOCK);
    assert_int_equal(f.replies, 1);
    assert_int_equal(f.ends, 1);
    assert_int_equal(f.how, CHANNEL_EOF);
    stop(&f);
}

/* A peer that does not read: writes never block, the queue has an end, and everything arrives in
 * order later. */
static void queue(void **state)
{
    struct fixture f;
    struct msg_result m = {.id = span_of("x")};
    int sent = 0, fd = memfd_of("t", "abc", 3), before = open_fds();
    (void)state;
    start(&f, PHASE_ONLINE);
    char id[900];
    memset(id, 'i', sizeof id);
    m.id = (struct span){id, sizeof id};
    while (send_result(f.channel, &m, sent % 2 ? fd : -1) == 0) {
        sent++;
        m.status = sent % 256;
        assert_true(sent < 100000);
    }
    assert_int_equal(errno, ENOBUFS);
    assert_true(channel_queued(f.channel) > 90000 && channel_queued(f.channel) <= 100000);
    static struct packet p;
    const char *why;
    for (int i = 0; i < sent; i++) {
        event_base_loop(f.base, EVLOOP_NONBLOCK);
        assert_int_equal(packet_receive(f.peer, &p, CORE_TO_SESSION, PHASE_ONLINE, &why),
                         PACKET_OK);
        assert_int_equal(p.message.result.status, i % 256);
        assert_true((p.fd >= 0) == (i % 2 == 1));
        if (p.fd >= 0)
            close(p.fd);
    }
    assert_int_equal(channel_queued(f.channel), 0);
    stop(&f);
    assert_int_equal(open_fds(), before);
    close(fd);
}

/* Signs of life overtake what waits, in their own order; the rest keeps its own. */
static void urgent(void **state)
{
    enum { PINGS = 3 };
    struct event_base *base = event_base_new();
    static struct packet p;
    const char *why;
    int pair[2], runs = 0, came = 0;
    (void)state;
    assert_int_equal(packet_pair(pair), 0);
    struct channel_setup setup = {.base = base,
                                  .fd = pair[0],
                                  .receives = EXEC_TO_CORE,
                                  .sends = CORE_TO_EXEC,
                                  .phase = PHASE_RUN,
                                  .queue_max = 100000,
                                  .handlers = &handlers,
                                  .on_end = on_end};
    struct channel *c = channel_new(&setup);
    static char text[LIMIT_INLINE_TEXT];
    struct msg_run run = {.text = {text, sizeof text}};
    struct msg_ping ping = {0};
    while (channel_queued(c) < 2 * sizeof text) {
        run.ticket = (uint64_t)runs++;
        assert_int_equal(send_run(c, &run, -1), 0);
    }
    for (int i = 0; i < PINGS; i++)
        assert_int_equal(send_ping(c, &ping, -1), 0);
    run.ticket = (uint64_t)runs++;
    assert_int_equal(send_run(c, &run, -1), 0);
    for (int i = 0; i < runs + PINGS; i++) {
        assert_int_equal(packet_receive(pair[1], &p, CORE_TO_EXEC, PHASE_RUN, &why), PACKET_OK);
        event_base_loop(base, EVLOOP_NONBLOCK);
        if (p.type == MSG_ping)
            assert_true(came < runs - 2); /* three are behind */
        else
            assert_int_equal(p.message.run.ticket, came++);
    }
    assert_int_equal(came, runs);
    assert_int_equal(channel_queued(c), 0);
    channel_free(c);
    close(pair[1]);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permitted),         cmocka_unit_test(another_phase),
        cmocka_unit_test(another_direction), cmocka_unit_test(once),
        cmocka_unit_test(unhandled),         cmocka_unit_test(too_long),
        cmocka_unit_test(descriptors),       cmocka_unit_test(many_descriptors),
        cmocka_unit_test(end_of_file),       cmocka_unit_test(queue),
        cmocka_unit_test(last_word),         cmocka_unit_test(urgent),
    };
    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
