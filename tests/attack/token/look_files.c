/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/token/look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LARGEST  (64U << 20) /* of a file's content */
#define PIPE_MAX (1U << 20)

static void give(struct look *l, const char *place, const uint8_t *data, size_t len)
{
    l->bytes += len;
    l->block(l->context, place, data, len, len);
}

static void file_content(struct look *l, const char *place, int fd, uint8_t *buffer)
{
    size_t len = 0;
    ssize_t n;
    while (len < LARGEST && (n = pread(fd, buffer + len, LARGEST - len, (off_t)len)) > 0)
        len += (size_t)n;
    give(l, place, buffer, len);
}

/* What waits in a pipe stays there: tee(2) copies. */
static void pipe_content(struct look *l, const char *place, int fd, uint8_t *buffer)
{
    int copy[2];
    if (pipe2(copy, O_CLOEXEC | O_NONBLOCK) != 0)
        return;
    fcntl(copy[1], F_SETPIPE_SZ, PIPE_MAX);
    ssize_t n = tee(fd, copy[1], PIPE_MAX, SPLICE_F_NONBLOCK);
    if (n > 0 && (n = read(copy[0], buffer, (size_t)n)) > 0)
        give(l, place, buffer, (size_t)n);
    close(copy[0]);
    close(copy[1]);
}

/* The first packet, or the bytes, that wait in a socket. */
static void socket_content(struct look *l, const char *place, int fd, uint8_t *buffer)
{
    ssize_t n = recv(fd, buffer, LARGEST, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0)
        give(l, place, buffer, (size_t)n);
}

static int duplicate(pid_t pid, int number)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return -1;
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    close(pidfd);
    return fd;
}

static void look_at_one(struct look *l, pid_t pid, int number, uint8_t *buffer)
{
    char path[64], target[256] = "", place[400];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, number);
    if (readlink(path, target, sizeof target - 1) < 0 || stat(path, &st) != 0)
        return;
    l->descriptors++;
    snprintf(place, sizeof place, "descriptor %d %s", number, target);
    if (S_ISSOCK(st.st_mode)) {
        int fd = duplicate(pid, number);
        if (fd >= 0) {
            socket_content(l, place, fd, buffer);
            close(fd);
        }
        return;
    }
    if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
        return;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (S_ISREG(st.st_mode))
        file_content(l, place, fd, buffer);
    else
        pipe_content(l, place, fd, buffer);
    close(fd);
}

int look_at_descriptors(struct look *l, pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    uint8_t *buffer = malloc(LARGEST);
    DIR *dir = opendir(path);
    int rc = buffer && dir ? 0 : -1, saved = errno;
    for (struct dirent *e; rc == 0 && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            look_at_one(l, pid, (int)strtol(e->d_name, NULL, 10), buffer);
    if (dir)
        closedir(dir);
    free(buffer);
    errno = saved;
    return rc;
}
