/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/memfd.h"

/* Room for more descriptors than the one permitted, so that surplus ones are seen and closed by us.
 */
#define CONTROL_FDS 8

int packet_pair(int pair[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

int packet_send(int socket, const char *frame, size_t len, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)frame, .iov_len = len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        memset(&control, 0, sizeof control);
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t n;
    do
        n = sendmsg(socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)len ? 0 : -1;
}

int packet_send_message(int socket, enum ipc_type type, const void *message, int fd)
{
    char frame[LIMIT_PACKET];
    size_t len = ipc_encode(frame, sizeof frame, type, message);
    if (len == 0) {
        errno = EMSGSIZE;
        return -1;
    }
    return packet_send(socket, frame, len, fd);
}

/* Takes the descriptors out of the control data: the first into *fd, others closed. Returns how
 * many came. */
static int take_descriptors(struct msghdr *m, int *fd)
{
    int count = 0;
    *fd = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int one;
            memcpy(&one, CMSG_DATA(c) + i * sizeof one, sizeof one);
            if (count++ == 0)
                *fd = one;
            else
                close(one);
        }
    }
    return count;
}

static const char *check_descriptor(const struct ipc_row *row, int fd)
{
    struct stat st;
    size_t size;
    if (fd < 0)
        return row->descriptor == NO_FD || row->descriptor == MAYBE_MEMFD ? NULL
                                                                          : "descriptor missing";
    switch (row->descriptor) {
    case NO_FD:
        return "descriptor not expected";
    case MEMFD:
    case MAYBE_MEMFD:
        return memfd_check(fd, row->fd_max, &size)
                   ? NULL
                   : "descriptor is not a sealed memfd within its size";
    case SOCKET:
        return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? NULL : "descriptor is not a socket";
    case DIRECTORY:
        return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? NULL : "descriptor is not a directory";
    case REGULAR_FILE:
        return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? NULL
                                                          : "descriptor is not a regular file";
    }
    return "descriptor";
}

static const char *judge(struct packet *p, unsigned directions, unsigned phase, int fds, int flags)
{
    const char *why = NULL;
    if (p->len > LIMIT_PACKET || (flags & MSG_TRUNC))
        return "packet too long";
    if (fds > 1 || (flags & MSG_CTRUNC))
        return "more than one descriptor";
    int type = ipc_decode(p->bytes, p->len, &p->message, &why);
    if (type < 0)
        return why;
    const struct ipc_row *row = ipc_row((unsigned)type);
    p->type = (enum ipc_type)type;
    if (!(row->directions & directions))
        return "message of another direction";
    if (!(row->phases & phase))
        return "message not permitted in this phase";
    return check_descriptor(row, p->fd);
}

enum packet_outcome packet_receive(int socket, struct packet *p, unsigned directions,
                                   unsigned phase, const char **why)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(CONTROL_FDS * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = p->bytes, .iov_len = sizeof p->bytes};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n = 0;
    p->fd = -1;
    bool reset = false;
    /* ECONNRESET once: the peer closed with unread packets of ours. What it had sent is still
     * there, behind that. */
    do {
        reset = reset || (n < 0 && errno == ECONNRESET);
        n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset)));
    if (n < 0 && errno == ECONNRESET)
        return PACKET_EOF;
    if (n < 0)
        return errno == EAGAIN ? PACKET_AGAIN : PACKET_ERROR;
    p->len = (size_t)n;
    int fds = take_descriptors(&m, &p->fd);
    if (n == 0 && fds == 0)
        return PACKET_EOF;
    /* One came, and the kernel had no number for it: our shortage, not the peer's fault. */
    if (fds == 0 && (m.msg_flags & MSG_CTRUNC)) {
        errno = EMFILE;
        return PACKET_ERROR;
    }
    *why = judge(p, directions, phase, fds, m.msg_flags);
    if (!*why)
        return PACKET_OK;
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    return PACKET_HOSTILE;
}

int packet_expect(int socket, struct packet *p, unsigned direction, unsigned phase,
                  enum ipc_type type, const char **why)
{
    switch (packet_receive(socket, p, direction, phase, why)) {
    case PACKET_OK:
        break;
    case PACKET_EOF:
        *why = "closed before its configuration";
        return -1;
    case PACKET_HOSTILE:
        return -1;
    case PACKET_AGAIN:
    case PACKET_ERROR:
        *why = strerror(errno);
        return -1;
    }
    if (p->type == type)
        return 0;
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    *why = "another message than the configuration";
    return -1;
}
