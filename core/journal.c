/* SPDX-License-Identifier: Apache-2.0 */
#include "core/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/siphash.h"
#include "core/set_aside.h"

#define VERSION 1

struct file_head {
    char magic[16];
    uint32_t version;
    uint32_t zero;
    uint64_t key[2];
    uint64_t owner, boot;
};

static const char magic[16] = {'t', 'w', '-', 'a', 'g', 'e', 'n', 't',
                               ' ', 'j', 'o', 'u', 'r', 'n', 'a', 'l'};

_Static_assert(sizeof(struct journal_record) == 24 && sizeof(struct file_head) == 56,
               "no padding: these are what the file holds");
_Static_assert(sizeof(struct journal_record) + JOURNAL_PAYLOAD_MAX <= JOURNAL_BUFFER,
               "a record fits the buffer");

int journal_init(struct journal *j, int dirfd)
{
    *j = (struct journal){.dirfd = dirfd, .fd = -1};
    j->buffer = malloc(JOURNAL_BUFFER);
    return j->buffer && getrandom(j->key, sizeof j->key, 0) == (ssize_t)sizeof j->key ? 0 : -1;
}

void journal_finish(struct journal *j)
{
    fds_close(&j->fd);
    free(j->buffer);
    j->buffer = NULL;
}

/* Puts the record's head in front of the payload that stands at whole + sizeof r, and gives the
 * checksum of both. */
static uint64_t sum_of(const struct journal *j, struct journal_record r, char *whole)
{
    r.checksum = 0;
    memcpy(whole, &r, sizeof r);
    return siphash(j->key, whole, sizeof r + r.size);
}

static ssize_t read_some(int fd, char *out, size_t size)
{
    ssize_t n;
    do
        n = read(fd, out, size);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Moves what is left at the front of the buffer and fills it up. False: an error. */
static bool fill(struct journal *j, int fd, size_t *at, size_t *have)
{
    memmove(j->buffer, j->buffer + *at, *have - *at);
    *have -= *at;
    *at = 0;
    while (*have < JOURNAL_BUFFER) {
        ssize_t n = read_some(fd, j->buffer + *have, JOURNAL_BUFFER - *have);
        if (n <= 0)
            return n == 0;
        *have += (size_t)n;
    }
    return true;
}

/* Until the file's end, or until a record is not whole. */
static enum journal_found read_records(struct journal *j, int fd, journal_reader *reader,
                                       void *context)
{
    size_t at = 0, have = 0;
    for (;;) {
        struct journal_record r;
        if (have - at < sizeof r + JOURNAL_PAYLOAD_MAX && !fill(j, fd, &at, &have))
            return JOURNAL_DAMAGED;
        if (at == have)
            return JOURNAL_WHOLE;
        if (have - at < sizeof r)
            return JOURNAL_TORN;
        memcpy(&r, j->buffer + at, sizeof r);
        if (r.size > JOURNAL_PAYLOAD_MAX)
            return JOURNAL_DAMAGED;
        size_t size = sizeof r + r.size;
        if (have - at < size)
            return JOURNAL_TORN;
        if (sum_of(j, r, j->buffer + at) != r.checksum)
            return JOURNAL_DAMAGED;
        reader(context, &r, (struct span){j->buffer + at + sizeof r, r.size});
        at += size;
    }
}

enum journal_found journal_open(struct journal *j, const char *name, struct span owner,
                                struct span boot, bool *other_boot)
{
    struct file_head head;
    struct stat st;
    enum journal_found found = JOURNAL_FOREIGN;
    /* In user mode commands can put anything here: no link is followed, no pipe waited for. */
    int fd = openat(j->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        found = JOURNAL_NONE;
    else if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
             read_some(fd, (char *)&head, sizeof head) == (ssize_t)sizeof head &&
             memcmp(head.magic, magic, sizeof magic) == 0 && head.version == VERSION &&
             head.zero == 0 && head.owner == siphash(head.key, owner.data, owner.len))
        found = JOURNAL_WHOLE;
    if (found == JOURNAL_WHOLE)
        memcpy(j->key, head.key, sizeof j->key);
    else
        fds_close(&fd);
    j->owner = siphash(j->key, owner.data, owner.len);
    j->boot = siphash(j->key, boot.data, boot.len);
    *other_boot = found == JOURNAL_WHOLE && head.boot != j->boot;
    j->fd = fd;
    return found;
}

enum journal_found journal_read(struct journal *j, journal_reader *reader, void *context)
{
    enum journal_found found = read_records(j, j->fd, reader, context);
    fds_close(&j->fd);
    return found;
}

int journal_begin(struct journal *fresh, const struct journal *j)
{
    struct file_head head = {
        .version = VERSION, .key = {j->key[0], j->key[1]}, .owner = j->owner, .boot = j->boot};
    memcpy(head.magic, magic, sizeof magic);
    *fresh = *j;
    fresh->fd = -1;
    fresh->used = 0;
    fresh->size = sizeof head;
    fresh->unsynced = true;
    fresh->buffer = malloc(JOURNAL_BUFFER);
    char name[SET_ASIDE_NAME];
    if (!fresh->buffer)
        return -1;
    if (unlinkat(j->dirfd, JOURNAL_NEW, 0) != 0 && errno != ENOENT)
        set_aside(j->dirfd, JOURNAL_NEW, name); /* a directory that somebody put there */
    fresh->fd =
        openat(j->dirfd, JOURNAL_NEW, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fresh->fd >= 0 ? fds_write(fresh->fd, &head, sizeof head) : -1;
}

int journal_prepare(struct journal *fresh)
{
    return journal_flush(fresh) == 0 ? journal_sync(fresh) : -1;
}

int journal_commit(struct journal *fresh, struct journal *j)
{
    if (renameat(j->dirfd, JOURNAL_NEW, j->dirfd, JOURNAL_NAME) != 0)
        return -1;
    unlinkat(j->dirfd, JOURNAL_STALE, 0);
    journal_finish(j);
    *j = *fresh;
    return 0;
}

void journal_abandon(struct journal *fresh)
{
    int saved = errno;
    if (fresh->fd >= 0)
        unlinkat(fresh->dirfd, JOURNAL_NEW, 0);
    journal_finish(fresh);
    errno = saved;
}

void journal_fail(struct journal *j)
{
    fds_close(&j->fd);
    j->used = 0;
    /* Needs no space; where even this fails, the old file says too little. */
    renameat(j->dirfd, JOURNAL_NAME, j->dirfd, JOURNAL_STALE);
}

int journal_append(struct journal *j, uint32_t type, uint64_t seq, struct span head,
                   struct span tail)
{
    struct journal_record r = {.size = (uint32_t)(head.len + tail.len), .type = type, .seq = seq};
    size_t size = sizeof r + r.size;
    if (j->fd < 0 || r.size > JOURNAL_PAYLOAD_MAX) {
        errno = j->fd < 0 ? EBADF : EMSGSIZE;
        return -1;
    }
    if (JOURNAL_BUFFER - j->used < size && journal_flush(j) != 0)
        return -1;
    char *whole = j->buffer + j->used;
    if (head.len)
        memcpy(whole + sizeof r, head.data, head.len);
    if (tail.len)
        memcpy(whole + sizeof r + head.len, tail.data, tail.len);
    r.checksum = sum_of(j, r, whole);
    memcpy(whole, &r, sizeof r);
    j->used += size;
    return 0;
}

int journal_flush(struct journal *j)
{
    size_t len = j->used;
    if (len == 0)
        return 0;
    if (j->fd < 0) {
        errno = EBADF;
        return -1;
    }
    if (fds_write(j->fd, j->buffer, len) != 0) {
        int saved = errno;
        /* Half a record must not stand in front of later ones. */
        if (ftruncate(j->fd, (off_t)j->size) != 0 ||
            lseek(j->fd, (off_t)j->size, SEEK_SET) != (off_t)j->size)
            fds_close(&j->fd);
        errno = saved;
        return -1;
    }
    j->used = 0;
    j->size += len;
    j->unsynced = true;
    return 0;
}

int journal_sync(struct journal *j)
{
    if (j->fd < 0 || !j->unsynced)
        return 0;
    j->unsynced = false;
    return fdatasync(j->fd);
}
