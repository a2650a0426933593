/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/compromised/puppet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS_MAX  8
#define PATIENCE 60000 /* ms, for what has to come */
#define ROOM     60000
#define SHRINKS  24

struct shot {
    int channel;
    char *frame;
    size_t len;
    int fds[FDS_MAX];
    int n_fds;
    int made; /* a memfd among them, to be closed; -1: none */
};

static bool is_directory(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int seals_of(const char *kind)
{
    static const struct {
        const char *kind;
        int seals;
    } known[] = {{"sealed", F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL},
                 {"unsealed", 0},
                 {"shrinkable", F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SEAL},
                 {"growable", F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL},
                 {"writable", F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL},
                 {"unsealing", F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(kind, known[i].kind, strcspn(kind, ":")) == 0)
            return known[i].seals;
    return -1;
}

/* SEALS:SIZE, "null" (a device), "channel" (a socket), "directory". */
static int descriptor_of(struct shot *s, const char *kind)
{
    if (strcmp(kind, "null") == 0)
        return STDIN_FILENO;
    if (strcmp(kind, "channel") == 0)
        return s->channel;
    if (strcmp(kind, "directory") == 0)
        return puppet_own(is_directory);
    int seals = seals_of(kind);
    int fd = seals < 0 ? -1 : memfd_create("puppet", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, atoll(strchr(kind, ':') + 1)) != 0 ||
        (seals && fcntl(fd, F_ADD_SEALS, seals) != 0))
        return -1;
    return s->made = fd;
}

/* A number of eight such letters in the frame becomes this one. */
static void put_number(char *frame, size_t len, const char *letters, uint64_t n)
{
    char *at = memmem(frame, len, letters, 8);
    for (int i = 0; at && i < 8; i++)
        at[i] = (char)(n >> (56 - 8 * i));
}

/* Hexadecimal digits; "-" for an empty packet; "+N:" before them for N zeroes behind. */
static void make_frame(struct shot *s, char *word)
{
    static char padded[131072];
    size_t zeroes = 0;
    if (*word == '+')
        zeroes = strtoul(word + 1, &word, 10), word++;
    s->len = puppet_unhex(word);
    memset(padded, 0, sizeof padded);
    memcpy(padded, word, s->len);
    s->frame = padded;
    s->len += zeroes < sizeof padded - s->len ? zeroes : 0;
}

/* WORD CHANNEL … FRAME [DESCRIPTOR…]: `at` is where the frame stands. */
static int aim(struct shot *s, struct puppet_order *o, int at)
{
    *s = (struct shot){.channel = atoi(o->words[1]), .made = -1};
    make_frame(s, o->words[at]);
    put_number(s->frame, s->len, "TTTTTTTT", o->puppet->ticket);
    for (int i = at + 1; i < o->n && s->n_fds < FDS_MAX; i++) {
        int fd = descriptor_of(s, o->words[i]);
        if (fd < 0)
            return -1;
        s->fds[s->n_fds++] = fd;
    }
    return 0;
}

static ssize_t fire(const struct shot *s)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control = {.bytes = {0}};
    size_t size = (size_t)s->n_fds * sizeof(int);
    struct iovec iov = {s->frame, s->len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (s->n_fds > 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(size);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(c), s->fds, size);
    }
    return sendmsg(s->channel, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Waits for room, if that is what is missing. False: there will be none. */
static bool may_go_on(const struct shot *s)
{
    struct pollfd p = {.fd = s->channel, .events = POLLOUT};
    if (errno == ETOOMANYREFS)
        return poll(NULL, 0, 1) == 0;
    return errno == EAGAIN && poll(&p, 1, ROOM) == 1;
}

static void done(struct shot *s)
{
    if (s->made >= 0)
        close(s->made);
}

long packet_raw(struct puppet_order *o)
{
    struct shot s;
    if (aim(&s, o, 2) != 0)
        return -errno;
    ssize_t n;
    while ((n = fire(&s)) < 0 && may_go_on(&s))
        ;
    long result = puppet_result(n);
    done(&s);
    return result;
}

/* Takes one packet within the time, and closes what comes with it: 1, 0 at the end, or an errno. */
static long take(int channel, int ms, ssize_t *len)
{
    static char data[65536];
    char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
    struct pollfd p = {.fd = channel, .events = POLLIN};
    struct iovec iov = {data, sizeof data};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (poll(&p, 1, ms) != 1)
        return -ETIMEDOUT;
    *len = recvmsg(channel, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = *len < 0 ? NULL : CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_type == SCM_RIGHTS)
        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++)
            close(((int *)(void *)CMSG_DATA(c))[i]);
    explicit_bzero(data, sizeof data);
    return *len < 0 ? -errno : *len > 0;
}

/* How many bytes answer the packet; 0: the channel was closed. */
long packet_ask(struct puppet_order *o)
{
    ssize_t len = 0;
    long sent = packet_raw(o);
    if (sent < 0)
        return sent;
    long rc = take(atoi(o->words[1]), PATIENCE, &len);
    return rc < 0 ? rc : len;
}

/*
 * flood CHANNEL COUNT FRAME …: the letters ######## count. What comes meanwhile is read and thrown
 * away, unless the word is "deaf"; its number is the outcome.
 */
long packet_flood(struct puppet_order *o)
{
    struct shot s;
    ssize_t len;
    long answers = 0;
    bool deaf = strcmp(o->words[0], "deaf") == 0;
    uint64_t count = strtoull(o->words[2], NULL, 10);
    if (aim(&s, o, 3) != 0)
        return -errno;
    char *number = memmem(s.frame, s.len, "########", 8);
    for (uint64_t i = 0; i < count; i++) {
        for (int k = 0; number && k < 8; k++)
            number[k] = "0123456789abcdef"[i >> (28 - 4 * k) & 15];
        while (fire(&s) < 0) {
            while (!deaf && take(s.channel, 0, &len) == 1)
                answers++;
            if ((errno = 0, fire(&s)) >= 0)
                break;
            if (!may_go_on(&s)) {
                long why = -errno;
                done(&s);
                return why;
            }
        }
    }
    done(&s);
    return o->puppet->answers = answers;
}

/* drain CHANNEL MS COUNT: reads what comes, until it was so many, those of a flood before included,
 * and nothing more has come for so long; how many. */
long packet_drain(struct puppet_order *o)
{
    ssize_t len;
    long n = 0, count = atol(o->words[3]) - o->puppet->answers;
    while (take(atoi(o->words[1]), n < count ? PATIENCE : atoi(o->words[2]), &len) == 1)
        n++;
    return n;
}

/* shrink CHANNEL FRAME DESCRIPTOR: memfds that lose their content while their receiver may be
 * looking into it, a moment later each time. */
long packet_shrink(struct puppet_order *o)
{
    struct shot first;
    long outcome = -ENODATA;
    for (int i = 0; i < SHRINKS && (i == 0 || outcome == 0); i++) {
        struct shot s = {.channel = atoi(o->words[1]), .n_fds = 1};
        s.fds[0] = descriptor_of(&s, o->words[3]);
        if (i == 0)
            make_frame(&first, o->words[2]);
        s.frame = first.frame;
        s.len = first.len;
        if (s.fds[0] < 0)
            return -errno;
        while (fire(&s) < 0)
            if (!may_go_on(&s)) {
                done(&s);
                return i > 0 ? outcome : -errno;
            }
        poll(NULL, 0, 5 - i % 6);
        outcome = puppet_result(ftruncate(s.made, 0));
        done(&s);
    }
    return outcome;
}
