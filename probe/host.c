/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

bool host_opens(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool host_kernel(void)
{
    /* With arguments that would be refused anyway: EPERM or ENOSYS come before that. */
    static const long calls[] = {SYS_bpf, SYS_io_uring_setup, SYS_perf_event_open, SYS_userfaultfd};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        long rc = syscall(calls[i], -1L, 0L, -1L, -1L, -1L);
        if (rc >= 0)
            close((int)rc);
        if (rc >= 0 || (errno != EPERM && errno != ENOSYS))
            return true;
    }
    return false;
}
