/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fds.h"
#include "base/log.h"
#include "config/config.h"
#include "config/settings.h"
#include "config/state_place.h"

/* The directory of the only instance of this host below path. */
static bool only_one(const char *path, char *out, size_t size)
{
    char any[STATE_NAME_MAX];
    int found = 0;
    const struct dirent *e;
    if (!state_instance("x", any, sizeof any))
        return false;
    DIR *d = opendir(path);
    while (d && (e = readdir(d))) {
        const char *host = strrchr(e->d_name, '@');
        if (host && strcmp(host, any + 1) == 0 && found++ == 0)
            snprintf(out, size, "%s/%s", path, e->d_name);
    }
    if (d)
        closedir(d);
    return found == 1;
}

bool instance_top(const struct options *o, char *out, size_t size)
{
    static struct settings s;
    static struct users u;
    const char *home = getenv("HOME");
    s.system_mode = geteuid() == 0;
    span_copy(u.home, sizeof u.home, span_of(home ? home : ""));
    if (state_place(o, &s, &u, out, size))
        return true;
    log_error("no place for the state directory: give --state-dir DIR");
    return false;
}

bool instance_place(struct options *o, char *out, size_t size)
{
    char top[LIMIT_PATH + 1], name[STATE_NAME_MAX];
    if (config_read(o) != 0 || !instance_top(o, top, sizeof top))
        return false;
    if (options_connection_id(o)) {
        if (state_instance(options_connection_id(o), name, sizeof name) &&
            (size_t)snprintf(out, size, "%s/%s", top, name) < size)
            return true;
        log_error("AGENT_CONNECTION_ID is too long");
        return false;
    }
    if (only_one(top, out, size))
        return true;
    log_error("%s: not exactly one agent of this host has its state there: give its name, "
              "AGENT_CONNECTION_ID, or --state-dir DIR",
              top);
    return false;
}

bool instance_open(struct instance *i, const char *path)
{
    *i = (struct instance){-1, -1, -1, 0};
    i->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    i->watch = i->dirfd >= 0 ? inotify_init1(IN_CLOEXEC | IN_NONBLOCK) : -1;
    return i->watch >= 0 && inotify_add_watch(i->watch, path, IN_MOVED_TO) >= 0;
}

bool instance_find(struct instance *i, struct options *o)
{
    char path[LIMIT_PATH + STATE_NAME_MAX + 2];
    *i = (struct instance){-1, -1, -1, 0};
    if (!instance_place(o, path, sizeof path))
        return false;
    if (instance_open(i, path))
        return true;
    if (errno == ENOENT && o->connection_id)
        log_error("there is no instance of this name or connection ID: neither its configuration "
                  "file, nor its state directory %s",
                  path);
    else
        log_error("no agent has its state in %s: %s", path, strerror(errno));
    return false;
}

/* In user mode a command can write any number into the lock file: whoever has another name is not
 * asked, since the signal would end him. */
static bool is_agent(pid_t pid)
{
    char path[64], comm[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, comm, sizeof comm - 1) : -1;
    fds_close(&fd);
    return n > 0 && strcmp(comm, "tw-agent\n") == 0;
}

enum instance_lock instance_lock(struct instance *i, char *why, size_t size)
{
    char text[16] = "";
    /* The agent bears it that the lock is tried for a moment (parent/state.c). */
    int lock = openat(i->dirfd, "lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool held = lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ssize_t n = held ? pread(lock, text, sizeof text - 1, 0) : -1;
    fds_close(&lock);
    if (!held)
        return INSTANCE_FREE;
    i->pid = n > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
    i->process = i->pid > 1 ? (int)syscall(SYS_pidfd_open, i->pid, 0) : -1;
    if (i->process >= 0 && is_agent(i->pid))
        return INSTANCE_HELD;
    fds_close(&i->process);
    snprintf(why, size,
             "the lock of its state directory is held, and process %d, which the lock file names, "
             "is not tw-agent",
             (int)i->pid);
    return INSTANCE_FOREIGN;
}

bool instance_running(struct instance *i)
{
    char why[200];
    switch (instance_lock(i, why, sizeof why)) {
    case INSTANCE_HELD:
        return true;
    case INSTANCE_FOREIGN:
        log_error("%s", why);
        return false;
    case INSTANCE_FREE:
        break;
    }
    log_error("the agent does not run: nobody holds the lock of its state directory");
    return false;
}

/* True when one of the events is for this name. */
static bool replaced(int watch, const char *name)
{
    _Alignas(struct inotify_event) char events[4096];
    ssize_t n = read(watch, events, sizeof events);
    for (ssize_t at = 0; n > 0 && at < n;) {
        const struct inotify_event *e = (const struct inotify_event *)(const void *)(events + at);
        if (e->len > 0 && strcmp(e->name, name) == 0)
            return true;
        at += (ssize_t)(sizeof *e + e->len);
    }
    return false;
}

bool instance_ask(struct instance *i, int signal, const char *name, unsigned ms)
{
    uint64_t end = clock_ms() + ms, now;
    if (syscall(SYS_pidfd_send_signal, i->process, signal, NULL, 0) != 0) {
        log_error("the agent (process %d) cannot be asked: %s", (int)i->pid, strerror(errno));
        return false;
    }
    struct pollfd p[] = {{.fd = i->watch, .events = POLLIN}, {.fd = i->process, .events = POLLIN}};
    while ((now = clock_ms()) < end) {
        int n = poll(p, 2, (int)(end - now));
        if (n > 0 && (p[0].revents & POLLIN) && replaced(i->watch, name))
            return true;
        if (n > 0 && (p[1].revents & POLLIN)) {
            log_error("the agent ended");
            return false;
        }
    }
    log_error("the agent did not answer within %u s: see its log", ms / 1000);
    return false;
}

char *instance_load(const struct instance *i, const char *name, size_t max, const char **why)
{
    struct stat st;
    size_t len = 0;
    ssize_t n = 0;
    int fd = openat(i->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool regular = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    char *text = regular ? malloc(max + 1) : NULL;
    while (text && len < max && (n = read(fd, text + len, max - len)) > 0)
        len += (size_t)n;
    *why = fd >= 0 && !regular ? "it is no regular file"
           : text && n > 0     ? "it is too long"
                               : strerror(errno);
    fds_close(&fd);
    if (text && n == 0) {
        *why = NULL;
        text[len] = '\0';
        return text;
    }
    free(text);
    return NULL;
}

char *instance_read(const struct instance *i, const char *name, size_t max)
{
    const char *why;
    char *text = instance_load(i, name, max, &why);
    if (!text)
        log_error("%s cannot be read: %s", name, why);
    return text;
}

void instance_finish(struct instance *i)
{
    fds_close(&i->dirfd);
    fds_close(&i->watch);
    fds_close(&i->process);
}
