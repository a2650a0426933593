/* SPDX-License-Identifier: Apache-2.0 */
#include "net/launcher/children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "ipc/birth.h"

/* Channels that a program gets, at most: the session's three. */
#define CHANNELS_MAX 3

static const char *const program_names[] = {"tw-agent-net-connect", "tw-agent-net-session"};
static const char *const role_names[] = {"net-connect", "net-session"};
static const char *const purpose_names[] = {"probe", "login", "agent", "trial"};
_Static_assert(sizeof purpose_names / sizeof *purpose_names == PURPOSE_MAX + 1, "one name each");

int children_init(struct children *c, const char **what)
{
    *c = (struct children){.program_fds = {-1, -1}};
    *what = "/proc/self/exe";
    ssize_t n = readlink(*what, c->directory, sizeof c->directory - 1);
    if (n < 0)
        return -1;
    c->directory[n] = '\0';
    char *slash = strrchr(c->directory, '/');
    if (!slash) {
        errno = ENOENT;
        return -1;
    }
    *(slash == c->directory ? slash + 1 : slash) = '\0';
    int dir = open(c->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    for (int i = 0; i < PROGRAMS; i++) {
        *what = program_names[i];
        c->program_fds[i] = openat(dir, program_names[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (c->program_fds[i] < 0) {
            fds_close(&dir);
            return -1;
        }
    }
    fds_close(&dir);
    return 0;
}

void children_finish(struct children *c)
{
    for (int i = 0; i < PROGRAMS; i++)
        fds_close(&c->program_fds[i]);
}

bool children_room(const struct children *c, size_t n)
{
    size_t free_slots = 0;
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        free_slots += c->slots[i].pid == 0;
    return free_slots >= n;
}

struct start {
    const char *argv[3];
    int fds[CHANNELS_MAX + 1]; /* the last is the program itself */
    int n;
};

static _Noreturn void become_program(const struct start *s)
{
    char *const no_environment[] = {NULL};
    int program = BIRTH_FD_FIRST + s->n - 1;
    /* Signals stay blocked: our handler must not run here. birth_receive lets them in again. */
    if (fds_arrange(BIRTH_FD_FIRST, s->fds, s->n) == 0 && fcntl(program, F_SETFD, FD_CLOEXEC) == 0)
        syscall(SYS_execveat, program, "", s->argv, no_environment, AT_EMPTY_PATH);
    log_error("cannot start %s: %s", s->argv[0], strerror(errno));
    _exit(127);
}

static struct child *free_slot(struct children *c)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (c->slots[i].pid == 0)
            return &c->slots[i];
    return NULL;
}

int children_start(struct children *c, const struct child *as, const int *fds, int n)
{
    struct child *slot = free_slot(c);
    sigset_t all, before;
    if (!slot || n > CHANNELS_MAX) {
        errno = EAGAIN;
        return -1;
    }
    struct start s = {.argv = {program_names[as->program]}, .n = n + 1};
    if (as->program == PROGRAM_SESSION)
        s.argv[1] = purpose_names[as->purpose];
    memcpy(s.fds, fds, (size_t)n * sizeof *fds);
    s.fds[n] = c->program_fds[as->program];
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    /* Not vfork, which would wait for ever for a child that somebody stops in its first moments. */
    pid_t pid = fork();
    if (pid == 0)
        become_program(&s);
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    if (pid < 0)
        return -1;
    *slot = *as;
    slot->pid = pid;
    return 0;
}

bool children_gone(const struct children *c)
{
    return children_room(c, CHILDREN_MAX);
}

void children_kill(const struct children *c, const uint32_t *serial)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        const struct child *one = &c->slots[i];
        if (one->pid == 0 || (serial && one->serial != *serial))
            continue;
        log_warn("%s (%s, serial %u) did not end when it was told to: killed",
                 role_names[one->program], purpose_names[one->purpose], one->serial);
        kill(one->pid, SIGKILL);
    }
}

uint32_t children_eldest(const struct children *c)
{
    uint32_t eldest = UINT32_MAX;
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (c->slots[i].pid != 0 && c->slots[i].serial < eldest)
            eldest = c->slots[i].serial;
    return eldest;
}

static void log_end(const struct child *c, int status)
{
    const char *role = role_names[c->program], *purpose = purpose_names[c->purpose];
    if (c->purpose == PURPOSE_TRIAL)
        log_debug("%s (%s, serial %u) ended, as it may", role, purpose, c->serial);
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        log_error("%s (%s, serial %u) was ended by its sandbox (SIGSYS)", role, purpose, c->serial);
    else if (WIFSIGNALED(status))
        log_error("%s (%s, serial %u) was ended by signal %d (%s)", role, purpose, c->serial,
                  WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        log_warn("%s (%s, serial %u) ended with code %d", role, purpose, c->serial,
                 WEXITSTATUS(status));
    else
        log_debug("%s (%s, serial %u) ended", role, purpose, c->serial);
}

/* Nothing here stops for good reasons. It would hold its slot, and outlive the agent. */
static void end_stopped(const struct child *c, int signal)
{
    log_warn("%s (%s, serial %u) was stopped by signal %d: it is ended", role_names[c->program],
             purpose_names[c->purpose], c->serial, signal);
    kill(c->pid, SIGKILL);
}

void children_reap(struct children *c)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0)
        for (size_t i = 0; i < CHILDREN_MAX; i++) {
            struct child *child = &c->slots[i];
            if (child->pid != pid)
                continue;
            if (WIFSTOPPED(status)) {
                end_stopped(child, WSTOPSIG(status));
                continue;
            }
            log_end(child, status);
            *child = (struct child){0};
        }
}
