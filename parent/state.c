/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/state.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "config/state_place.h"

/* Makes the missing directories above the last component. */
static void make_above(const char *path)
{
    char part[LIMIT_PATH + 1];
    for (const char *c = strchr(path + 1, '/'); c; c = strchr(c + 1, '/'))
        if (span_copy(part, sizeof part, (struct span){path, (size_t)(c - path)}))
            mkdir(part, 0700);
}

static int open_directory(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* What to do about an error of the file system. */
static const char *remedy_of(int error)
{
    switch (error) {
    case EROFS:
        return ": mount it for writing, or give another by --state-dir";
    case ENOSPC:
    case EDQUOT:
        return ": make room there, or give another by --state-dir";
    case EACCES:
    case EPERM:
        return ": the agent's user must own it and be able to write in it";
    default:
        return "";
    }
}

static int refuse(const char *path, const char *what)
{
    int error = errno;
    log_error("state directory %s: %s: %s%s", path, what, strerror(error), remedy_of(error));
    return EXIT_CONFIG;
}

/* As root: the top directory, given to the agent's user when it is new. */
static int open_top(const char *path, const struct users *u, bool system_mode)
{
    struct stat st;
    bool made = mkdir(path, 0700) == 0;
    int reason = made ? 0 : errno;
    /* Links above are the site's; the last component must be what was checked. */
    int fd = open_directory(AT_FDCWD, path);
    if (fd < 0 || fstat(fd, &st) != 0 ||
        (made && system_mode && fchown(fd, u->agent.uid, u->agent.gid) != 0)) {
        if (errno == ENOENT && reason)
            errno = reason;
        refuse(path, "it cannot be used");
        fds_close(&fd);
        return -1;
    }
    if (!made && !state_is_private(&st, u)) {
        log_error("state directory %s must belong to %s and be writable by that user alone: "
                  "chown and chmod 0700 it",
                  path, system_mode ? "tw-agent" : "you");
        fds_close(&fd);
        return -1;
    }
    return fd;
}

/* As the agent's user: name may have several components. */
static int open_below(int top, char *name)
{
    int at = fcntl(top, F_DUPFD_CLOEXEC, 3);
    for (char *part = name, *next; part && at >= 0; part = next) {
        next = strchr(part, '/');
        if (next)
            *next++ = '\0';
        int reason = mkdirat(at, part, 0700) == 0 ? 0 : errno;
        int fd = open_directory(at, part);
        if (fd < 0 && errno == ENOENT && reason)
            errno = reason;
        fds_close(&at);
        at = fd;
    }
    return at;
}

static int refuse_second(int lock, const char *id)
{
    char pid[16] = "";
    ssize_t n = pread(lock, pid, sizeof pid - 1, 0);
    pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
    log_error("another tw-agent for connection ID '%s' runs on this host (pid %s): stop it, or use "
              "another connection ID",
              id, pid[0] ? pid : "unknown");
    return EXIT_INSTANCE;
}

/* Core has this directory too: a core that outlives its parent, held up by a slow disk, keeps the
 * next agent out. It has a few seconds to end. */
static bool take_directory(int dirfd)
{
    const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    for (int i = 0; i < 50; i++) {
        if (flock(dirfd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

/* An agent has it exclusively. Whoever looks whether one runs (tw-agentctl) shares it for
 * microseconds, and is waited for. False with errno. */
static bool take_flock(int fd)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK || i == 100 || flock(fd, LOCK_SH | LOCK_NB) != 0)
            return false;
        flock(fd, LOCK_UN);
        nanosleep(&pause, NULL);
    }
    return true;
}

static int take_lock(struct state *st, const char *path, const char *id)
{
    char pid[16];
    st->lock = openat(st->dirfd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (st->lock < 0)
        return refuse(path, "the file \"lock\" cannot be opened");
    if (!take_flock(st->lock)) {
        if (errno == EWOULDBLOCK)
            return refuse_second(st->lock, id);
        /* Some network file systems have no locks; Tower itself refuses a second agent. */
        log_warn("state directory: no lock (%s): a second agent is not noticed", strerror(errno));
    }
    if (!take_directory(st->dirfd)) {
        log_error("tw-agent-core of an earlier run for connection ID '%s' has not ended: end it",
                  id);
        return EXIT_INSTANCE;
    }
    int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    /* In this order, so that on a full disk the block that is there is used again. */
    if (pwrite(st->lock, pid, (size_t)n, 0) != n || ftruncate(st->lock, n) != 0)
        log_warn("state directory: the pid cannot be written: %s", strerror(errno));
    return 0;
}

static int open_and_lock(struct state *st, int top, const char *path, const char *id)
{
    char name[STATE_NAME_MAX];
    if (!state_instance(id, name, sizeof name) || (st->dirfd = open_below(top, name)) < 0)
        return refuse(path, "the part of this connection ID cannot be made");
    return take_lock(st, path, id);
}

int state_open(struct state *st, const struct settings *s, const struct options *o,
               const struct users *u)
{
    char path[LIMIT_PATH + 1];
    const char *given = settings_text(o, OPT_STATE_DIR);
    *st = (struct state){-1, -1, {-1, NULL}};
    if (!state_place(o, s, u, path, sizeof path)) {
        log_error("no place for the state directory: give --state-dir DIR");
        return EXIT_CONFIG;
    }
    if (!*given)
        make_above(path);
    int top = open_top(path, u, s->system_mode);
    if (top < 0)
        return EXIT_CONFIG;
    /* Below it links of the agent's user could lead root astray: act as that user there. */
    int code = EXIT_CONFIG;
    bool became = !s->system_mode || (setgroups(0, NULL) == 0 && setegid(u->agent.gid) == 0 &&
                                      seteuid(u->agent.uid) == 0);
    if (became)
        code = open_and_lock(st, top, path, s->connection_id);
    if (became && code == 0)
        code = metrics_open(&st->metrics, o);
    if (s->system_mode && (seteuid(0) != 0 || setegid(0) != 0))
        code = EXIT_OTHER;
    if (!became || code == EXIT_OTHER)
        log_error("cannot act as tw-agent: %s", strerror(errno));
    close(top);
    return code;
}
