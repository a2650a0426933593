/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/run.h"

ssize_t __real_write(int fd, const void *data, size_t len);
int __real_openat(int dirfd, const char *name, int flags, ...);
int __real_renameat(int from_dirfd, const char *from, int to_dirfd, const char *to);
int __real_unlinkat(int dirfd, const char *name, int flags);
int __real_ftruncate(int fd, off_t len);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_openat(int dirfd, const char *name, int flags, ...);
int __wrap_renameat(int from_dirfd, const char *from, int to_dirfd, const char *to);
int __wrap_unlinkat(int dirfd, const char *name, int flags);
int __wrap_ftruncate(int fd, off_t len);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);

unsigned disk_failures;
static enum disk_mood mood;
static size_t full_at;        /* bytes of all files, where the disk is full */
static unsigned changes_left; /* 0: no kill is planned */
static bool killed;

static size_t used(void)
{
    char path[96];
    struct stat st;
    size_t sum = 0;
    snprintf(path, sizeof path, "%s/results", run_directory);
    DIR *dir = opendir(path);
    for (const struct dirent *d; dir && (d = readdir(dir));)
        if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            sum += (size_t)st.st_size;
    if (dir)
        closedir(dir);
    return sum;
}

void disk_set(enum disk_mood m, size_t room)
{
    mood = m;
    full_at = m == DISK_FULL ? used() + room : 0;
}

enum disk_mood disk_get(void)
{
    return mood;
}

void disk_kill_after(unsigned changes)
{
    changes_left = changes + 1;
}

bool disk_killed(void)
{
    return killed;
}

void disk_revive(void)
{
    killed = false;
    changes_left = 0;
}

/* A change begins. True: it is not to be made. */
static bool dead(void)
{
    if (changes_left > 0 && --changes_left == 0)
        killed = true;
    return killed;
}

/* Memfds and the log are no files of this disk. */
static bool on_disk(int fd)
{
    struct stat st, dir;
    return fd > 2 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fstat(run_dirfd, &dir) == 0 &&
           st.st_dev == dir.st_dev;
}

static int failed(int error)
{
    disk_failures++;
    errno = error;
    return -1;
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    size_t room = len;
    bool was_dead = killed;
    if (!on_disk(fd))
        return __real_write(fd, data, len);
    if (dead()) {
        if (!was_dead && __real_write(fd, data, len / 2) < 0)
            return -1;
        return (ssize_t)len;
    }
    if (mood == DISK_FULL) {
        size_t now = used();
        room = full_at > now ? full_at - now : 0;
        if (room == 0)
            return failed(ENOSPC);
    }
    return __real_write(fd, data, len < room ? len : room);
}

int __wrap_openat(int dirfd, const char *name, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if ((flags & O_CREAT) && dead())
        return __real_openat(AT_FDCWD, "/dev/null", O_WRONLY | O_CLOEXEC);
    return __real_openat(dirfd, name, flags, mode);
}

int __wrap_renameat(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
    return dead() ? 0 : __real_renameat(from_dirfd, from, to_dirfd, to);
}

int __wrap_unlinkat(int dirfd, const char *name, int flags)
{
    return dead() ? 0 : __real_unlinkat(dirfd, name, flags);
}

int __wrap_ftruncate(int fd, off_t len)
{
    return on_disk(fd) && dead() ? 0 : __real_ftruncate(fd, len);
}

/* No test crashes the host: these need not wait for the device. */
static int synced(void)
{
    return mood == DISK_UNSYNCED && !killed ? failed(EIO) : 0;
}

int __wrap_fdatasync(int fd)
{
    (void)fd;
    return synced();
}

int __wrap_fsync(int fd)
{
    (void)fd;
    return synced();
}
