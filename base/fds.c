/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9, all architectures */
#endif

int fds_close_from(int first)
{
    if (syscall(SYS_close_range, (unsigned)first, UINT_MAX, 0) == 0)
        return 0;
    if (errno != ENOSYS && errno != EPERM)
        return -1;
    /* RHEL 8 and SLES 15 kernels lack it. A login shell's limit is what was open; the loop has an
     * end all the same. */
    long max = sysconf(_SC_OPEN_MAX);
    if (max < 0 || max > 1048576)
        max = 1048576;
    for (int fd = first; fd < max; fd++)
        close(fd);
    return 0;
}

int fds_arrange(int first, const int *fds, int n)
{
    int high[8];
    if (n < 0 || n > 8) {
        errno = EINVAL;
        return -1;
    }
    /* First above all targets, so that no target overwrites a source. */
    for (int i = 0; i < n; i++)
        if ((high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, first + n)) < 0)
            return -1;
    for (int i = 0; i < n; i++)
        if (dup2(high[i], first + i) < 0)
            return -1;
    return fds_close_from(first + n);
}

int fds_fill_standard(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        if (open("/dev/null", O_RDWR) != fd)
            return -1;
    }
    return 0;
}

bool fds_is_channel(int fd)
{
    int domain = 0, type = 0;
    socklen_t len = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 || domain != AF_UNIX)
        return false;
    len = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

int fds_set_nonblocking(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -1;
    return fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

size_t fds_share(size_t share, size_t most)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur / share < most)
        return r.rlim_cur / share + 1;
    return most;
}

int fds_write(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

void fds_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
