/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/descriptors.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fds.h"
#include "ipc/memfd.h"
#include "ipc/packet.h"
#include "tests/fuzz/fuzz.h"

/* Where ours are kept: out of the way of the numbers that the code under test gets. */
#define HIGH 200

/* Sparse: a size without pages. */
static int sized(size_t size, int seals)
{
    int fd = memfd_new("fuzz");
    CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

static int new_one(enum sort sort)
{
    const int all = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
    int pair[2];
    switch (sort) {
    case SENT_SEALED:
    case SENT_TWO:
        return memfd_of("fuzz", SENT_BYTES, sizeof SENT_BYTES - 1);
    case SENT_SEALED_EMPTY:
        return sized(0, all);
    case SENT_SEALED_4M:
        return sized(LIMIT_CA_BUNDLE + 1, all);
    case SENT_SEALED_MOST:
        return sized(LIMIT_OUTPUT, all);
    case SENT_SEALED_OVER:
        return sized(LIMIT_OUTPUT + 1, all);
    case SENT_UNSEALED:
        return sized(3, 0);
    case SENT_HALF_SEALED:
        return sized(3, F_SEAL_WRITE | F_SEAL_SHRINK);
    case SENT_SOCKET:
        CHECK(packet_pair(pair) == 0);
        close(pair[1]);
        return pair[0];
    case SENT_DIRECTORY:
        return open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    case SENT_PIPE:
        CHECK(pipe2(pair, O_CLOEXEC) == 0);
        close(pair[1]);
        return pair[0];
    case SENT_FILE:
        return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    default:
        return -1;
    }
}

static int kept(enum sort sort)
{
    static int fds[SENT_SORTS];
    if (fds[sort] == 0) {
        int fd = new_one(sort);
        CHECK(fd >= 0 && (fds[sort] = fcntl(fd, F_DUPFD_CLOEXEC, HIGH)) >= HIGH);
        close(fd);
    }
    return fds[sort];
}

int sent_packet(int socket, const void *frame, size_t len, enum sort sort)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)frame, .iov_len = len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (sort != SENT_NONE) {
        size_t n = sort == SENT_TWO ? 2 : 1;
        int fds[2] = {kept(sort), kept(sort)};
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(n * sizeof *fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof *fds);
        memcpy(CMSG_DATA(c), fds, n * sizeof *fds);
    }
    return sendmsg(socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

static size_t sealed_size(enum sort sort)
{
    switch (sort) {
    case SENT_SEALED:
        return sizeof SENT_BYTES - 1;
    case SENT_SEALED_EMPTY:
        return 0;
    case SENT_SEALED_4M:
        return LIMIT_CA_BUNDLE + 1;
    case SENT_SEALED_MOST:
        return LIMIT_OUTPUT;
    case SENT_SEALED_OVER:
        return LIMIT_OUTPUT + 1;
    default:
        return SIZE_MAX;
    }
}

bool sent_fits(const struct ipc_row *row, enum sort sort)
{
    switch (row->descriptor) {
    case NO_FD:
        return sort == SENT_NONE;
    case MEMFD:
        return sealed_size(sort) <= row->fd_max;
    case MAYBE_MEMFD:
        return sort == SENT_NONE || sealed_size(sort) <= row->fd_max;
    case SOCKET:
        return sort == SENT_SOCKET;
    case DIRECTORY:
        return sort == SENT_DIRECTORY;
    case REGULAR_FILE: /* which a memfd is as well */
        return sort == SENT_FILE || sort == SENT_UNSEALED || sort == SENT_HALF_SEALED ||
               sealed_size(sort) != SIZE_MAX;
    }
    return false;
}

int sent_peer(int number)
{
    int pair[2];
    CHECK(packet_pair(pair) == 0);
    int ours = fcntl(pair[1], F_DUPFD_CLOEXEC, HIGH),
        theirs = fcntl(pair[0], F_DUPFD_CLOEXEC, HIGH);
    close(pair[0]);
    close(pair[1]);
    CHECK(ours >= HIGH && dup2(theirs, number) == number && fds_set_nonblocking(ours, true) == 0);
    close(theirs);
    return ours;
}

int sent_numbers(void)
{
    int fds[4], last = 0;
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        CHECK((last = fds[i] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) >= 0);
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        close(fds[i]);
    return last;
}
