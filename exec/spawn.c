/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fds.h"
#include "base/log.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000 /* Linux 5.2 */
#endif
#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9, all architectures */
#endif

/* Between two log lines about shortages. */
#define NOTE_MS     10000
#define SPAWN_STACK (256 * 1024)
#define SPAWN_GUARD 65536 /* the largest page size in use */

/* A sanitizer's view of the shared stack would outlive a child that has left it by execve. */
#define IN_CHILD __attribute__((noinline, no_sanitize("address"), no_sanitize("undefined")))

int spawner_init(struct spawner *s)
{
    s->domain.ruleset_fd = -1;
    s->null_fd = -1;
    while (s->null_fd < SPAWN_TEXT_FD) {
        s->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (s->null_fd < 0)
            return -1;
    }
    char *p = mmap(NULL, SPAWN_GUARD + SPAWN_STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -1;
    s->stack = p;
    return mprotect(p + SPAWN_GUARD, SPAWN_STACK, PROT_READ | PROT_WRITE);
}

void spawner_finish(struct spawner *s)
{
    if (s->stack)
        munmap(s->stack, SPAWN_GUARD + SPAWN_STACK);
    s->stack = NULL;
    sandbox_command_finish(&s->domain);
}

struct start {
    const struct spawner *spawner;
    const struct spawn *what;
    pid_t parent;
    bool apart;                    /* the child has a copy of our memory */
    volatile enum spawn_step step; /* the child's, which shares our memory until execve */
    volatile int error;
};

/* All of ours are close-on-exec; closing them here as well makes that a second line of defence. */
IN_CHILD static void close_others(int keep)
{
    if (keep > STDERR_FILENO + 1)
        syscall(SYS_close_range, STDERR_FILENO + 1U, (unsigned)keep - 1, 0);
    unsigned from = keep > STDERR_FILENO ? (unsigned)keep + 1 : STDERR_FILENO + 1;
    syscall(SYS_close_range, from, UINT_MAX, 0);
}

IN_CHILD static int put_descriptors(const struct spawn *w)
{
    if (dup2(w->in, STDIN_FILENO) < 0 || dup2(w->out, STDOUT_FILENO) < 0 ||
        dup2(w->out, STDERR_FILENO) < 0)
        return -1;
    return w->extra < 0 || dup2(w->extra, w->extra_at) == w->extra_at ? 0 : -1;
}

IN_CHILD static int set_limits(const struct start_state *s)
{
    for (size_t i = 0; i < s->n_limits; i++)
        if (setrlimit(s->limits[i].resource, &s->limits[i].value) != 0)
            return -1;
    return 0;
}

IN_CHILD static int set_signals(const struct start_state *s)
{
    for (size_t i = 0; i < s->n_signals; i++) {
        struct sigaction action = {.sa_handler = s->signals[i].disposition};
        if (sigaction(s->signals[i].number, &action, NULL) != 0)
            return -1;
    }
    return sigprocmask(SIG_SETMASK, &s->mask, NULL);
}

/* Runs on a stack of its own, and, unless apart, in our memory: system calls and nothing else. */
IN_CHILD static int become_program(void *argument)
{
    struct start *s = argument;
    const struct spawn *w = s->what;
    const struct start_state *state = w->state ? w->state : &s->spawner->state;
    enum spawn_step step = SPAWN_STEP_SESSION;
    /* Should exec be killed, its shells go too: nobody would reap them or report their end. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != s->parent || setsid() < 0)
        goto failed;
    step = SPAWN_STEP_DESCRIPTORS;
    if (put_descriptors(w) != 0)
        goto failed;
    step = SPAWN_STEP_DOMAIN;
    if (sandbox_command_apply(&s->spawner->domain) != 0)
        goto failed;
    close_others(w->extra < 0 ? -1 : w->extra_at);
    step = SPAWN_STEP_DIRECTORY;
    if (w->directory && chdir(w->directory) != 0 && chdir("/") != 0)
        goto failed;
    umask(state->umask);
    step = SPAWN_STEP_LIMITS;
    if (set_limits(state) != 0)
        goto failed;
    step = SPAWN_STEP_SIGNALS;
    if (set_signals(state) != 0)
        goto failed;
    step = SPAWN_STEP_PROGRAM;
    execve(w->path, (char *const *)(uintptr_t)w->argv, w->envp);
failed:
    s->error = errno;
    s->step = step;
    if (s->apart)
        dprintf(STDERR_FILENO, "tw-agent: it was not run: %s: %s\n", spawn_step_text(step),
                strerror(s->error));
    _exit(126);
}

static pid_t start(struct start *s, int flags, struct spawn_failure *failure)
{
    sigset_t all, before;
    sigfillset(&all);
    /* Our handlers must not run in the child, whose memory is ours. */
    sigprocmask(SIG_SETMASK, &all, &before);
    char *top = s->spawner->stack + SPAWN_GUARD + SPAWN_STACK;
    int unwanted = -1, *pidfd = s->what->pidfd ? s->what->pidfd : &unwanted;
    *pidfd = -1;
    flags |= s->what->pidfd ? CLONE_PIDFD : 0;
    pid_t pid = clone(become_program, top, flags | SIGCHLD, s, pidfd);
    *failure = pid < 0 ? (struct spawn_failure){SPAWN_STEP_PROCESS, errno}
                       : (struct spawn_failure){s->step, s->error};
    if (pid > 0 && failure->step != SPAWN_STEP_NONE) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        fds_close(pidfd);
        pid = -1;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

pid_t spawn_program(const struct spawner *spawner, const struct spawn *what,
                    struct spawn_failure *failure)
{
    if (spawner->stoppable)
        return spawn_program_slowly(spawner, what, failure);
    struct start s = {.spawner = spawner, .what = what, .parent = getpid()};
    return start(&s, CLONE_VM | CLONE_VFORK, failure);
}

pid_t spawn_program_slowly(const struct spawner *spawner, const struct spawn *what,
                           struct spawn_failure *failure)
{
    struct start s = {.spawner = spawner, .what = what, .parent = getpid(), .apart = true};
    return start(&s, 0, failure);
}

struct call {
    int (*function)(void *, int);
    void *argument;
    int out;
};

IN_CHILD static int run_function(void *argument)
{
    const struct call *c = argument;
    struct sigaction standard = {.sa_handler = SIG_DFL};
    const int out = STDERR_FILENO + 1;
    setsid();
    sigaction(SIGCHLD, &standard, NULL);
    /* A child that hangs in the kernel must not hold our channels open when we are gone. */
    if (dup2(c->out, out) != out || fds_close_from(out + 1) != 0)
        _exit(127);
    _exit(c->function(c->argument, out));
}

pid_t spawn_function(const struct spawner *s, int (*function)(void *, int), void *argument, int out,
                     bool share_directory)
{
    struct call c = {function, argument, out};
    int flags = share_directory ? CLONE_FS : 0;
    return clone(run_function, s->stack + SPAWN_GUARD + SPAWN_STACK, flags | SIGCHLD, &c);
}

bool spawn_passes(int error)
{
    return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE ||
           error == ENOBUFS || error == ENOSPC || error == EINTR || error == ETXTBSY;
}

void spawn_note_shortage(struct spawner *s, const char *what, int error)
{
    uint64_t now = clock_ms();
    bool quiet = s->noted_ms != 0 && now - s->noted_ms < NOTE_MS;
    log_line(quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "%s: %s; trying again", what,
             strerror(error));
    if (!quiet)
        s->noted_ms = now;
}

const char *spawn_step_text(enum spawn_step step)
{
    static const char *const texts[] = {
        [SPAWN_STEP_NONE] = "nothing",
        [SPAWN_STEP_MEMORY] = "no pipe or memory for it",
        [SPAWN_STEP_PROCESS] = "no process for it",
        [SPAWN_STEP_SESSION] = "no session for it",
        [SPAWN_STEP_DESCRIPTORS] = "its descriptors could not be set",
        [SPAWN_STEP_DIRECTORY] = "the work directory could not be entered",
        [SPAWN_STEP_LIMITS] = "its limits could not be set",
        [SPAWN_STEP_SIGNALS] = "its signals could not be set",
        [SPAWN_STEP_DOMAIN] = "its sandbox could not be entered",
        [SPAWN_STEP_PROGRAM] = "/bin/sh could not be run",
    };
    return texts[step];
}
