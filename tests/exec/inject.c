/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/exec/inject.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define POLL_MS 50

bool injection_init(struct injection *i, int call, bool of_exec)
{
    uint32_t action = SECCOMP_RET_USER_NOTIF;
    memset(i, 0, sizeof *i);
    i->call = call;
    i->argument = -1;
    i->of_exec = of_exec;
    i->listener = -1;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0) {
        print_message("this kernel's filters cannot ask: no faults can be injected\n");
        return false;
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, i->channel), 0);
    return true;
}

bool injection_enter(struct injection *i)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)i->call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return false;
    long fd =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (fd < 0)
        return false;
    char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    int number = (int)fd;
    memcpy(CMSG_DATA(c), &number, sizeof number);
    return sendmsg(i->channel[1], &m, 0) == 1;
}

static int receive_listener(int channel)
{
    int fd = -1;
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&byte, 1};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    if (recvmsg(channel, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

static bool fails(struct injection *i, const struct seccomp_notif *n)
{
    if (i->left == 0 || (i->of_exec && (pid_t)n->pid != i->pid) ||
        (i->argument >= 0 && !(n->data.args[i->argument] & i->mask)))
        return false;
    if (i->left > 0)
        i->left--;
    i->hits++;
    return true;
}

static void *answer_all(void *argument)
{
    struct injection *i = argument;
    struct pollfd p = {.fd = i->listener, .events = POLLIN};
    while (!i->stop) {
        struct seccomp_notif n = {0};
        struct seccomp_notif_resp r = {0};
        if (poll(&p, 1, POLL_MS) < 1 || !(p.revents & POLLIN))
            continue;
        if (ioctl(i->listener, SECCOMP_IOCTL_NOTIF_RECV, &n) != 0)
            continue; /* the caller was killed meanwhile */
        r.id = n.id;
        if (fails(i, &n))
            r.error = -i->error;
        else
            r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        ioctl(i->listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
    }
    return NULL;
}

void injection_watch(struct injection *i, pid_t exec)
{
    close(i->channel[1]);
    i->pid = exec;
    i->listener = receive_listener(i->channel[0]);
    assert_true(i->listener >= 0);
    assert_int_equal(pthread_create(&i->thread, NULL, answer_all, i), 0);
}

void injection_arm(struct injection *i, int error, int n)
{
    i->error = error;
    i->left = n;
}

int injection_hits(struct injection *i)
{
    return i->hits;
}

void injection_finish(struct injection *i)
{
    i->stop = true;
    if (i->listener >= 0) {
        pthread_join(i->thread, NULL);
        close(i->listener);
    }
    close(i->channel[0]);
}
