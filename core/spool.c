/* SPDX-License-Identifier: Apache-2.0 */
#include "core/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/siphash.h"

#define DIGITS 16
#define CHUNK  65536

void spool_name(char name[SPOOL_NAME_SIZE], uint64_t ticket)
{
    snprintf(name, SPOOL_NAME_SIZE, "%016llx.out", (unsigned long long)ticket);
}

bool spool_ticket(const char *name, uint64_t *ticket)
{
    static const char digits[] = "0123456789abcdef";
    char same[SPOOL_NAME_SIZE];
    uint64_t v = 0;
    for (int i = 0; i < DIGITS; i++) {
        const char *d = name[i] ? strchr(digits, name[i]) : NULL;
        if (!d)
            return false;
        v = v << 4 | (uint64_t)(d - digits);
    }
    spool_name(same, v);
    *ticket = v;
    return strcmp(same, name) == 0;
}

static int open_file(int dirfd, uint64_t ticket, int flags)
{
    char name[SPOOL_NAME_SIZE];
    spool_name(name, ticket);
    return openat(dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
}

int spool_write(int dirfd, uint64_t ticket, const struct content *output, const uint64_t key[2],
                uint64_t *sum)
{
    struct memfd_map map;
    int rc = -1;
    if (!content_view(output, &map))
        return -1;
    spool_remove(dirfd, ticket);
    *sum = siphash(key, map.bytes.data, map.bytes.len);
    int fd = open_file(dirfd, ticket, O_WRONLY | O_CREAT | O_EXCL);
    if (fd >= 0)
        rc = fds_write(fd, map.bytes.data, map.bytes.len);
    int saved = errno;
    memfd_unmap(&map);
    if (fd >= 0 && close(fd) != 0 && rc == 0) {
        saved = errno; /* NFS says here that there is no space */
        rc = -1;
    }
    if (fd >= 0 && rc != 0)
        spool_remove(dirfd, ticket);
    errno = saved;
    return rc;
}

static bool is_result(const struct stat *st, size_t len)
{
    return S_ISREG(st->st_mode) && st->st_size == (off_t)len && st->st_uid == geteuid();
}

static int copy_to_memfd(int from, size_t len)
{
    char chunk[CHUNK];
    int fd = memfd_new("output");
    while (fd >= 0 && len > 0) {
        ssize_t n = read(from, chunk, len < CHUNK ? len : CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || fds_write(fd, chunk, (size_t)n) != 0) {
            if (n == 0)
                errno = EBADMSG;
            break;
        }
        len -= (size_t)n;
    }
    if (fd >= 0 && (len > 0 || memfd_seal(fd) != 0)) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

bool spool_read(int dirfd, uint64_t ticket, size_t len, uint64_t sum, const uint64_t key[2],
                struct content *output)
{
    uint64_t found;
    struct stat st;
    int from = open_file(dirfd, ticket, O_RDONLY), fd = -1;
    *output = content_empty();
    if (from < 0)
        return false;
    errno = EBADMSG;
    if (fstat(from, &st) == 0 && is_result(&st, len))
        fd = copy_to_memfd(from, len);
    int saved = errno;
    close(from);
    errno = saved;
    if (fd < 0)
        return false;
    content_take(output, &fd, len);
    if (content_hash(output, key, &found) && found == sum)
        return true;
    content_finish(output);
    errno = EBADMSG;
    return false;
}

bool spool_exists(int dirfd, uint64_t ticket, size_t len)
{
    struct stat st;
    char name[SPOOL_NAME_SIZE];
    spool_name(name, ticket);
    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_result(&st, len);
}

int spool_sync(int dirfd, uint64_t ticket)
{
    int fd = open_file(dirfd, ticket, O_RDONLY);
    int rc = fd >= 0 ? fdatasync(fd) : -1;
    int saved = errno;
    fds_close(&fd);
    errno = saved;
    return rc;
}

void spool_remove(int dirfd, uint64_t ticket)
{
    char name[SPOOL_NAME_SIZE];
    spool_name(name, ticket);
    unlinkat(dirfd, name, 0);
}
