/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static bool opens(pid_t pid, const char *name, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, flags | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool process_environ(pid_t pid)
{
    return opens(pid, "environ", O_RDONLY);
}

bool process_memory(pid_t pid)
{
    return opens(pid, "mem", O_RDONLY) || opens(pid, "mem", O_RDWR);
}

bool process_descriptors(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    const struct dirent *entry;
    char to[64];
    bool seen = false;
    /* How many there are any process of the user may count; what they are it may not see. */
    while (d && !seen && (entry = readdir(d)))
        seen = readlinkat(dirfd(d), entry->d_name, to, sizeof to) >= 0;
    if (d)
        closedir(d);
    return seen;
}

bool process_trace(pid_t pid)
{
    /* SEIZE does not stop it, and our end detaches. */
    return ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
}

bool process_copy(pid_t pid)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)65536, 1};
    /* Permission is judged before the address, at which there may be nothing. */
    return process_vm_readv(pid, &here, 1, &there, 1, 0) >= 0 || errno == EFAULT;
}

bool process_steal(pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int fd = pidfd >= 0 ? (int)syscall(SYS_pidfd_getfd, pidfd, 2, 0) : -1;
    /* Permission is judged before the descriptor. */
    bool ok = fd >= 0 || (pidfd >= 0 && errno == EBADF);
    if (fd >= 0)
        close(fd);
    if (pidfd >= 0)
        close(pidfd);
    return ok;
}

bool process_signal(pid_t pid)
{
    return kill(pid, 0) == 0;
}

bool process_limits(pid_t pid)
{
    struct rlimit cpu;
    /* Written back as they are. */
    return syscall(SYS_prlimit64, pid, RLIMIT_CPU, NULL, &cpu) == 0 &&
           syscall(SYS_prlimit64, pid, RLIMIT_CPU, &cpu, NULL) == 0;
}

bool process_priority(pid_t pid)
{
    errno = 0;
    int now = getpriority(PRIO_PROCESS, (id_t)pid);
    return errno == 0 && setpriority(PRIO_PROCESS, (id_t)pid, now) == 0;
}

bool process_scheduling(pid_t pid)
{
    struct sched_param p;
    int now = sched_getscheduler(pid);
    return now >= 0 && sched_getparam(pid, &p) == 0 && sched_setscheduler(pid, now, &p) == 0;
}
