/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/reduced/reduced.h"

#include <errno.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The ruleset's attributes as of ABI 6, and which part of it older ones know. */
struct attributes {
    uint64_t fs, net, scoped;
};

int real_abi(void)
{
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi < 0 ? 0 : (int)abi;
}

/* By ABI: file rights came one or more at a time, from the lowest bit on. */
static uint64_t known_fs(int abi)
{
    static const unsigned bits[] = {0, 13, 14, 15, 15, 16};
    return (1ULL << bits[abi > 5 ? 5 : abi]) - 1;
}

static size_t known_size(int abi)
{
    return sizeof(uint64_t) * (abi >= 6 ? 3 : abi >= 4 ? 2 : 1);
}

/* 0: let the kernel go on; else the errno of an older one. */
static int judge_ruleset(const struct rules *r, const struct attributes *a, size_t size)
{
    const uint64_t *field = &a->fs;
    for (size_t i = known_size(r->abi) / sizeof *field; i < size / sizeof *field; i++)
        if (field[i] != 0)
            return E2BIG;
    if ((a->fs & ~known_fs(r->abi)) || (a->fs & r->refused_fs))
        return EINVAL;
    return 0;
}

static void reply(const struct seccomp_notif *n, const struct rules *r,
                  struct seccomp_notif_resp *answer)
{
    struct attributes a = {0};
    const __u64 *arg = n->data.args;
    size_t size = arg[1] < sizeof a ? (size_t)arg[1] : sizeof a;
    struct iovec here = {&a, size}, there = {(void *)(uintptr_t)arg[0], size};
    answer->id = n->id;
    if ((uint32_t)arg[2] == LANDLOCK_CREATE_RULESET_VERSION && arg[0] == 0 && arg[1] == 0) {
        answer->val = r->abi;
        return;
    }
    if ((uint32_t)arg[2] != 0)
        answer->error = -EINVAL;
    else if (process_vm_readv((pid_t)n->pid, &here, 1, &there, 1, 0) != (ssize_t)size)
        answer->error = -EFAULT;
    else
        answer->error = -judge_ruleset(r, &a, size);
    if (answer->error == 0)
        answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
}

int judge_give(int channel, int listener)
{
    char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_len = CMSG_LEN(sizeof(int));
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(c), &listener, sizeof listener);
    return sendmsg(channel, &m, 0) == 1 && read(channel, &byte, 1) == 1 ? 0 : -1;
}

static int take(int channel)
{
    char byte, control[CMSG_SPACE(sizeof(int))] = {0};
    int listener = -1;
    struct iovec part = {&byte, 1};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    if (recvmsg(channel, &m, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m))
        return -1;
    memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof listener);
    return write(channel, &byte, 1) == 1 ? listener : -1;
}

int judge(int channel, const struct rules *rules)
{
    int listener = take(channel);
    if (listener < 0)
        return 1;
    /* Nothing of the caller's may stay open here: its readers wait for the end of file. */
    int kept = dup2(listener, 0);
    if (kept != 0 || syscall(SYS_close_range, 1U, ~0U, 0U) != 0)
        return 1;
    struct pollfd p = {.fd = kept, .events = POLLIN};
    for (;;) {
        struct seccomp_notif n;
        struct seccomp_notif_resp answer;
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return 1;
        if (!(p.revents & POLLIN)) {
            if (p.revents & POLLHUP)
                return 0;
            continue;
        }
        memset(&n, 0, sizeof n);
        memset(&answer, 0, sizeof answer);
        if (ioctl(kept, SECCOMP_IOCTL_NOTIF_RECV, &n) != 0)
            continue; /* it was killed meanwhile */
        reply(&n, rules, &answer);
        ioctl(kept, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}
