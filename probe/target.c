/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/target.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/probes.h"

/* Between two looks at the list of processes: nothing announces a process of another session. */
#define LOOK_MS 5

void targets_add(struct targets *t, pid_t pid, char letter)
{
    if (pid > 1 && t->n < TARGETS_MAX)
        t->list[t->n++] = (struct target){pid, letter};
}

ssize_t target_read(pid_t pid, const char *name, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    close(fd);
    return n;
}

bool target_lives(pid_t pid)
{
    return kill(pid, 0) == 0 || errno != ESRCH;
}

long long target_status(pid_t pid, const char *name, int base)
{
    char text[4096];
    if (target_read(pid, "status", text, sizeof text) <= 0)
        return -1;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, strlen(name)) == 0)
            return strtoll(line + strlen(name), NULL, base);
    }
    return -1;
}

/* Calls look for each process until it says so; 0: it never did. */
static pid_t each_process(bool (*look)(pid_t, void *), void *context)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    pid_t found = 0;
    while (proc && !found && (entry = readdir(proc)))
        if (isdigit((unsigned char)entry->d_name[0]) &&
            look((pid_t)strtol(entry->d_name, NULL, 10), context))
            found = (pid_t)strtol(entry->d_name, NULL, 10);
    if (proc)
        closedir(proc);
    return found;
}

struct children {
    struct targets *targets;
    pid_t parent;
    char letter;
};

static bool add_child(pid_t pid, void *context)
{
    struct children *c = context;
    if (target_status(pid, "PPid:", 10) == c->parent)
        targets_add(c->targets, pid, c->letter);
    return false;
}

void targets_add_children(struct targets *t, pid_t parent, char letter)
{
    struct children c = {t, parent, letter};
    if (parent > 1)
        each_process(add_child, &c);
}

struct wanted {
    const char *words[2];
    int umask;
};

/* argv[0] is the shell's word for the program, a whole path; then the two that were asked for. */
static bool runs_as(pid_t pid, void *context)
{
    char line[512], *end = line + sizeof line;
    const struct wanted *wanted = context;
    ssize_t n = pid == getpid() ? -1 : target_read(pid, "cmdline", line, sizeof line);
    size_t len = n > 0 ? strlen(line) : 0, name = sizeof PROBE_PROGRAM - 1;
    if (n <= 0 || len < name || strcmp(line + len - name, PROBE_PROGRAM) != 0)
        return false;
    const char *word = line;
    for (size_t i = 0; i < 2; i++) {
        word += strlen(word) + 1;
        if (word >= end || word - line >= n || strcmp(word, wanted->words[i]) != 0)
            return false;
    }
    return target_status(pid, "Uid:", 10) == (long long)getuid() &&
           (wanted->umask == UMASK_ANY || target_status(pid, "Umask:", 8) == wanted->umask);
}

pid_t target_find(const char *what, const char *pair, int umask, unsigned ms)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    struct wanted wanted = {{what, pair}, umask};
    uint64_t end = clock_ms() + ms;
    for (;;) {
        pid_t pid = each_process(runs_as, &wanted);
        if (pid || clock_ms() >= end)
            return pid;
        nanosleep(&pause, NULL);
    }
}

void target_wait_end(pid_t pid, unsigned ms)
{
    struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    if (p.fd >= 0) {
        poll(&p, 1, (int)ms);
        close(p.fd);
        return;
    }
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    for (uint64_t end = clock_ms() + ms; clock_ms() < end && target_status(pid, "PPid:", 10) >= 0;)
        nanosleep(&pause, NULL);
}
