/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fds.h"
#include "base/log.h"
#include "config/programs.h"

/* Commands that run may finish within 30 s. */
#define STOP_MS 40000
#define END_MS  5000

static volatile sig_atomic_t interrupted;

void agent_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

bool agent_interrupted(void)
{
    return interrupted;
}

static _Noreturn void be_agent(const char *path, const struct subject *s, const char *const *argv,
                               int log)
{
    union {
        const char *const *given;
        char *const *wanted; /* what execve(2) does not change either */
    } arguments = {argv};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* As this process was started: what commands get is saved at the agent's start. */
    umask((mode_t)s->start.umask);
    signal(SIGPIPE, SIG_DFL);
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 &&
        dup2(log, STDERR_FILENO) >= 0 && fds_close_from(STDERR_FILENO + 1) == 0)
        execv(path, arguments.wanted);
    _exit(127);
}

bool agent_start(struct agent *a, const struct subject *s, const char *const *argv)
{
    char path[LIMIT_PATH + 16];
    int pipe[2] = {-1, -1};
    *a = (struct agent){.process = -1, .log = -1};
    if (!program_beside(path, sizeof path, "tw-agent") || pipe2(pipe, O_CLOEXEC) != 0) {
        log_error("tw-agent cannot be started: %s", strerror(errno));
        return false;
    }
    a->pid = fork();
    if (a->pid == 0)
        be_agent(path, s, argv, pipe[1]);
    close(pipe[1]);
    a->log = pipe[0];
    a->process = a->pid > 0 ? (int)syscall(SYS_pidfd_open, a->pid, 0) : -1;
    if (a->process >= 0 && fds_set_nonblocking(a->log, true) == 0)
        return true;
    log_error("tw-agent cannot be started: %s", strerror(errno));
    return false;
}

/* Keeps the end of what it says. */
static void take_log(struct agent *a)
{
    char piece[1024];
    ssize_t n;
    while ((n = read(a->log, piece, sizeof piece)) > 0) {
        size_t room = sizeof a->said - 1, more = (size_t)n;
        size_t drop = a->len + more > room ? a->len + more - room : 0;
        memmove(a->said, a->said + drop, a->len - drop);
        memcpy(a->said + a->len - drop, piece, more);
        a->len += more - drop;
        a->said[a->len] = '\0';
    }
    if (n == 0)
        fds_close(&a->log);
}

static bool wait_for_end(struct agent *a, unsigned ms, bool to_the_end)
{
    uint64_t end = clock_ms() + ms;
    while (a->pid > 0) {
        if (interrupted && !to_the_end)
            return false;
        struct pollfd p[] = {{.fd = a->process, .events = POLLIN},
                             {.fd = a->log, .events = POLLIN}};
        uint64_t now = clock_ms();
        if (poll(p, 2, now < end ? (int)(end - now) : 0) < 0 && errno != EINTR)
            return false;
        if (a->log >= 0)
            take_log(a);
        if ((p[0].revents & POLLIN) && waitpid(a->pid, &a->status, 0) == a->pid)
            a->pid = 0;
        else if (clock_ms() >= end)
            return false;
    }
    if (a->log >= 0)
        take_log(a);
    return true;
}

bool agent_wait(struct agent *a, unsigned ms)
{
    return wait_for_end(a, ms, false);
}

void agent_finish(struct agent *a)
{
    static const struct {
        int signal;
        unsigned ms;
    } ways[] = {{SIGTERM, STOP_MS}, {SIGTERM, END_MS}, {SIGKILL, END_MS}};
    for (size_t i = 0; a->pid > 0 && i < sizeof ways / sizeof *ways; i++) {
        kill(a->pid, ways[i].signal);
        wait_for_end(a, ways[i].ms, true);
    }
    fds_close(&a->process);
    fds_close(&a->log);
}
