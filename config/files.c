/* SPDX-License-Identifier: Apache-2.0 */
#include "config/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

long file_drain(int fd, char *out, size_t max)
{
    size_t at = 0;
    while (at < max) {
        ssize_t n = read(fd, out + at, max - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        at += (size_t)n;
    }
    return (long)at;
}

static char *read_whole(int fd, size_t max, size_t *len, struct stat *st, const char **why)
{
    if (fstat(fd, st) != 0) {
        *why = strerror(errno);
        return NULL;
    }
    *why = "it is not a regular file";
    if (!S_ISREG(st->st_mode))
        return NULL;
    *why = "it is too large";
    if (st->st_size < 0 || (unsigned long long)st->st_size > max)
        return NULL;
    size_t size = (size_t)st->st_size;
    char *bytes = malloc(size + 1);
    long n = bytes ? file_drain(fd, bytes, size) : -1;
    if (n < 0) {
        *why = strerror(errno);
        free(bytes);
        return NULL;
    }
    bytes[n] = '\0';
    *len = (size_t)n;
    return bytes;
}

char *file_read(const char *path, size_t max, size_t *len, struct stat *st, const char **why)
{
    /* A FIFO or device in its place must not hold us up. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        *why = strerror(errno);
        return NULL;
    }
    char *bytes = read_whole(fd, max, len, st, why);
    close(fd);
    return bytes;
}
