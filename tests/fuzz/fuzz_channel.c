/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sequence of packets in one of the table's directions, through the real receiving end: socket,
 * walk, codec, phases, frequency, descriptors, dispatch. What is known to be right is delivered
 * once and unchanged, what is known to be wrong never, and ends the channel; nothing is delivered
 * after the end, which comes once; no descriptor is left.
 *
 * Input: direction, phase, a byte of flags; then steps (enum step).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/channel.h"
#include "ipc/memfd.h"
#include "tests/fuzz/descriptors.h"
#include "tests/fuzz/make_message.h"

#define DIRECTIONS 14
#define STEPS_MOST 64

enum { FLAG_KEEP_FD = 1, FLAG_FREE_AT_END = 2, FLAG_HOSTILE = 4 };

enum step { STEP_MADE, STEP_ANY_TYPE, STEP_DAMAGED, STEP_RAW, STEP_LONG, STEP_PHASE, STEP_CLOSE };

struct fixture {
    struct channel *channel;
    unsigned direction, phase, flags;
    int peer, ends;
    enum channel_end how;
    unsigned deliveries;
    struct made made; /* what is being sent */
    bool exact;       /* what arrives must be that */
    bool seen[MSG_COUNT];
};

/* ---- the receiving end ---- */

static void check_same(unsigned type, const void *one, const void *other)
{
    const struct ipc_row *row = ipc_row(type);
    for (size_t i = 0; i < row->n_fields; i++) {
        const struct ipc_field *f = &row->fields[i];
        const char *a = (const char *)one + f->offset, *b = (const char *)other + f->offset;
        struct span s, t;
        if (f->kind == KIND_UNSIGNED || f->kind == KIND_SIGNED) {
            CHECK(memcmp(a, b, sizeof(uint64_t)) == 0);
            continue;
        }
        memcpy(&s, a, sizeof s);
        memcpy(&t, b, sizeof t);
        CHECK(span_equal(s, t));
    }
}

/* Encoded and decoded again it is the same. */
static void check_again(unsigned type, const void *message)
{
    static char frame[LIMIT_PACKET];
    union ipc_message again;
    const char *why;
    size_t len = ipc_encode(frame, sizeof frame, (enum ipc_type)type, message);
    CHECK(len > 0 && ipc_decode(frame, len, &again, &why) == (int)type);
    check_same(type, message, &again);
}

static void check_descriptor(const struct ipc_row *row, int fd)
{
    struct stat st;
    size_t size;
    if (fd < 0) {
        CHECK(row->descriptor == NO_FD || row->descriptor == MAYBE_MEMFD);
        return;
    }
    CHECK(row->descriptor != NO_FD && fstat(fd, &st) == 0);
    if (row->descriptor == SOCKET)
        CHECK(S_ISSOCK(st.st_mode));
    else if (row->descriptor == DIRECTORY)
        CHECK(S_ISDIR(st.st_mode));
    else if (row->descriptor == REGULAR_FILE)
        CHECK(S_ISREG(st.st_mode));
    else
        CHECK(memfd_check(fd, row->fd_max, &size));
}

static enum verdict deliver(struct fixture *f, unsigned type, const void *message, int *fd)
{
    const struct ipc_row *row = ipc_row(type);
    union ipc_message sent;
    const char *why;
    CHECK(f->ends == 0);
    CHECK((row->directions & f->direction) && (row->phases & f->phase));
    CHECK(row->frequency == OFTEN || !f->seen[type]);
    f->seen[type] = true;
    f->deliveries++;
    check_descriptor(row, *fd);
    check_again(type, message);
    if (f->exact) {
        CHECK(type == f->made.type);
        CHECK(ipc_decode((char *)f->made.frame, f->made.len, &sent, &why) == (int)type);
        check_same(type, message, &sent);
    }
    if (*fd >= 0 && (f->flags & FLAG_KEEP_FD)) {
        close(*fd);
        *fd = -1;
    }
    return f->flags & FLAG_HOSTILE && f->deliveries == 3 ? VERDICT_HOSTILE : VERDICT_OK;
}

#define MESSAGE(name, ...)                                                                         \
    static enum verdict on_##name(void *context, const struct msg_##name *m, int *fd)              \
    {                                                                                              \
        return deliver(context, MSG_##name, m, fd);                                                \
    }
#include "ipc/messages.def"
#undef MESSAGE

#define MESSAGE(name, ...) .name = on_##name,
static const struct channel_handlers handlers = {
#include "ipc/messages.def"
};
#undef MESSAGE

static void on_end(void *context, enum channel_end end, const char *why)
{
    struct fixture *f = context;
    CHECK(why && *why);
    f->ends++;
    f->how = end;
    if (f->flags & FLAG_FREE_AT_END) {
        channel_free(f->channel);
        f->channel = NULL;
    }
}

/* ---- the sending end ---- */

static bool permitted(const struct fixture *f, enum sort sort)
{
    const struct ipc_row *row = ipc_row(f->made.type);
    return f->made.valid && (row->directions & f->direction) && (row->phases & f->phase) &&
           (row->frequency == OFTEN || !f->seen[f->made.type]) && sent_fits(row, sort);
}

static void send_and_see(struct fixture *f, struct event_base *base, enum sort sort)
{
    unsigned before = f->deliveries;
    bool expected = f->exact && permitted(f, sort);
    if (sent_packet(f->peer, f->made.frame, f->made.len, sort) != 0)
        return; /* beyond what the socket takes */
    event_base_loop(base, EVLOOP_NONBLOCK);
    CHECK(f->ends <= 1 && f->deliveries <= before + 1);
    CHECK(f->ends == 0 || f->deliveries == before || (f->flags & FLAG_HOSTILE));
    CHECK(f->ends == 1 || f->deliveries == before + 1);
    CHECK(f->ends == 1 || !(f->flags & FLAG_HOSTILE) || f->deliveries < 3);
    if (!f->exact)
        return;
    CHECK(f->deliveries == before + expected);
    CHECK(expected || f->how == CHANNEL_HOSTILE);
}

static void make_step(struct fixture *f, struct event_base *base, struct input *in)
{
    unsigned choice = input_byte(in);
    enum step step = (enum step)(choice & 7);
    enum sort sort = (enum sort)((choice >> 3) % SENT_SORTS);
    struct made *m = &f->made;
    f->exact = step == STEP_MADE || step == STEP_ANY_TYPE;
    switch (step) {
    case STEP_MADE:
    case STEP_ANY_TYPE:
    case STEP_DAMAGED:
        make_message(m, made_type(step == STEP_ANY_TYPE ? 0 : f->direction, input_byte(in)), in);
        if (step == STEP_DAMAGED && m->len) {
            m->frame[input_word(in) % m->len] ^= input_byte(in);
            m->len -= input_byte(in) % 3 == 1;
        }
        break;
    case STEP_LONG:
        memset(m->frame, 0, sizeof m->frame);
        m->len = LIMIT_PACKET - 64 + input_byte(in);
        break;
    case STEP_PHASE:
        f->phase = 1u << input_byte(in) % 5;
        if (f->channel)
            channel_set_phase(f->channel, (enum ipc_phase)f->phase);
        return;
    case STEP_CLOSE:
        shutdown(f->peer, SHUT_WR);
        event_base_loop(base, EVLOOP_NONBLOCK);
        CHECK(f->ends == 1);
        return;
    default: {
        struct span raw = input_take(in, input_byte(in));
        m->len = raw.len;
        if (raw.len)
            memcpy(m->frame, raw.data, raw.len);
    }
    }
    if (m->len > 0)
        send_and_see(f, base, sort);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fixture f;
    static struct event_base *base;
    struct input in = {data, size};
    int pair[2], numbers;
    if (!base)
        CHECK((base = channel_loop_new()));
    numbers = sent_numbers();
    CHECK(packet_pair(pair) == 0);
    f.direction = 1u << input_byte(&in) % DIRECTIONS;
    f.phase = 1u << input_byte(&in) % 5;
    f.flags = input_byte(&in);
    f.peer = pair[1];
    f.ends = 0;
    f.deliveries = 0;
    memset(f.seen, 0, sizeof f.seen);
    struct channel_setup setup = {.base = base,
                                  .fd = pair[0],
                                  .receives = f.direction,
                                  .phase = (enum ipc_phase)f.phase,
                                  .queue_max = 1,
                                  .handlers = &handlers,
                                  .context = &f,
                                  .on_end = on_end};
    CHECK((f.channel = channel_new(&setup)));
    for (int i = 0; i < STEPS_MOST && in.left && f.ends == 0; i++)
        make_step(&f, base, &in);
    /* After the end nothing more is heard. */
    if (f.ends)
        sent_packet(f.peer, "\x92\x00\x00", 3, SENT_SEALED);
    event_base_loop(base, EVLOOP_NONBLOCK);
    channel_free(f.channel);
    close(f.peer);
    CHECK(sent_numbers() == numbers);
    return 0;
}
