/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/compromised/puppet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static long number(const char *word)
{
    return strtol(word, NULL, 10);
}

/* How many bytes of the file could be read. */
long raw_open(struct puppet_order *o)
{
    char data[64];
    long fd = puppet_result(syscall(SYS_openat, AT_FDCWD, o->words[1], O_RDONLY | O_CLOEXEC));
    if (fd < 0)
        return fd;
    long n = puppet_result(read((int)fd, data, sizeof data));
    close((int)fd);
    return n == -EISDIR ? 0 : n;
}

long raw_create(struct puppet_order *o)
{
    long fd = puppet_result(
        syscall(SYS_openat, AT_FDCWD, o->words[1], O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (fd >= 0)
        close((int)fd);
    return fd < 0 ? fd : 0;
}

static long stream_socket(void)
{
    return puppet_result(syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

long raw_socket(struct puppet_order *o)
{
    (void)o;
    long fd = stream_socket();
    if (fd >= 0)
        close((int)fd);
    return fd < 0 ? fd : 0;
}

static bool is_internet(int fd)
{
    int domain = 0;
    socklen_t len = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_INET;
}

/* connect ADDRESS PORT [old]: by a new socket, which is what gets handed over then, or by the one
 * that is there. */
long raw_connect(struct puppet_order *o)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)number(o->words[2]))};
    inet_pton(AF_INET, o->words[1], &to.sin_addr);
    long fd = o->n > 3 ? puppet_own(is_internet) : stream_socket();
    if (fd < 0)
        return fd;
    long rc = puppet_result(syscall(SYS_connect, fd, &to, sizeof to));
    if (rc == 0 && o->n == 3)
        o->puppet->handover = (int)fd;
    return rc;
}

/* The program says by itself that it runs. */
long raw_exec(struct puppet_order *o)
{
    const char *argv[] = {o->words[1], "-c", "echo \"puppet program: exec: ok 0\" >&2", NULL};
    const char *none[] = {NULL};
    return puppet_result(syscall(SYS_execve, o->words[1], argv, none));
}

long raw_fork(struct puppet_order *o)
{
    (void)o;
    long pid = puppet_result(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (pid == 0)
        syscall(SYS_exit_group, 0);
    if (pid > 0)
        syscall(SYS_wait4, pid, NULL, 0, NULL);
    return pid < 0 ? pid : 0;
}

long raw_ptrace(struct puppet_order *o)
{
    long pid = number(o->words[1]);
    return puppet_result(syscall(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0));
}

long raw_kill(struct puppet_order *o)
{
    return puppet_result(syscall(SYS_kill, number(o->words[1]), number(o->words[2])));
}

long raw_memory(struct puppet_order *o)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/mem", number(o->words[1]));
    long fd = puppet_result(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
    if (fd >= 0)
        close((int)fd);
    return fd < 0 ? fd : 0;
}

long raw_vm(struct puppet_order *o)
{
    char data[8];
    struct iovec here = {data, sizeof data};
    struct iovec there = {(void *)(uintptr_t)0x10000, sizeof data};
    long n =
        puppet_result(syscall(SYS_process_vm_readv, number(o->words[1]), &here, 1, &there, 1, 0));
    return n == -EFAULT ? 0 : n; /* let in, and nothing was mapped there */
}

long raw_getfd(struct puppet_order *o)
{
    long pidfd = puppet_result(syscall(SYS_pidfd_open, number(o->words[1]), 0));
    if (pidfd < 0)
        return pidfd;
    long fd = puppet_result(syscall(SYS_pidfd_getfd, pidfd, 0, 0));
    close((int)pidfd);
    if (fd >= 0)
        close((int)fd);
    return fd < 0 ? fd : 0;
}

long raw_code(struct puppet_order *o)
{
    (void)o;
    long page = syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page < 0 ? -errno : 0;
}
