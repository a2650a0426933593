/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "base/text.h"

#define SYSTEM_DIRECTORY "/var/lib/tw-agent"
#define STATE_NAME_MAX   (4 * LIMIT_CONNECTION_ID)

static bool default_path(const struct users *u, bool system_mode, char *out, size_t size)
{
    const char *xdg = getenv("XDG_STATE_HOME");
    int n;
    if (system_mode)
        n = snprintf(out, size, SYSTEM_DIRECTORY);
    else if (xdg && xdg[0] == '/')
        n = snprintf(out, size, "%s/tw-agent", xdg);
    else
        n = u->home[0] ? snprintf(out, size, "%s/.local/state/tw-agent", u->home) : -1;
    return n > 0 && (size_t)n < size;
}

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
        log_error("state directory %s: %s", path,
                  strerror(errno == ENOENT && reason ? reason : errno));
        fds_close(&fd);
        return -1;
    }
    if (!made && (st.st_uid != u->agent.uid || (st.st_mode & (S_IWGRP | S_IWOTH)))) {
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
        mkdirat(at, part, 0700);
        int fd = open_directory(at, part);
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

static int take_lock(struct state *st, const char *id)
{
    char pid[16];
    st->lock = openat(st->dirfd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (st->lock < 0) {
        log_error("state directory: the lock file cannot be opened: %s", strerror(errno));
        return EXIT_CONFIG;
    }
    if (flock(st->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return refuse_second(st->lock, id);
        /* Some network file systems have no locks; Tower itself refuses a second agent. */
        log_warn("state directory: no lock (%s): a second agent is not noticed", strerror(errno));
    }
    int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(st->lock, 0) != 0 || pwrite(st->lock, pid, (size_t)n, 0) != n)
        log_warn("state directory: the pid cannot be written: %s", strerror(errno));
    return 0;
}

static int open_and_lock(struct state *st, int top, const char *id)
{
    char host[256] = "", name[STATE_NAME_MAX];
    gethostname(host, sizeof host - 1);
    if (!text_state_name(name, sizeof name, id, host) || (st->dirfd = open_below(top, name)) < 0) {
        log_error("state directory: the part of this connection ID cannot be made: %s",
                  strerror(errno));
        return EXIT_CONFIG;
    }
    return take_lock(st, id);
}

int state_open(struct state *st, const struct settings *s, const struct options *o,
               const struct users *u)
{
    char path[LIMIT_PATH + 1];
    const char *given = settings_text(o, OPT_STATE_DIR);
    *st = (struct state){-1, -1};
    if (*given ? !span_copy(path, sizeof path, span_of(given))
               : !default_path(u, s->system_mode, path, sizeof path)) {
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
    bool became = !s->system_mode || (setegid(u->agent.gid) == 0 && seteuid(u->agent.uid) == 0);
    if (became)
        code = open_and_lock(st, top, s->connection_id);
    if (s->system_mode && (seteuid(0) != 0 || setegid(0) != 0))
        code = EXIT_OTHER;
    if (!became || code == EXIT_OTHER)
        log_error("cannot act as tw-agent: %s", strerror(errno));
    close(top);
    return code;
}
