/* SPDX-License-Identifier: Apache-2.0 */
#include "net/launcher/children.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
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
#define CHILD_STACK  32768

static const char *const program_names[] = {"tw-agent-net-connect", "tw-agent-net-session"};
static const char *const role_names[] = {"net-connect", "net-session"};
static const char *const purpose_names[] = {"probe", "login", "agent"};
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
    volatile int error; /* written by the child, which shares our memory until it has started */
};

/* Runs in our memory, on a stack of its own: nothing but system calls. */
static int become_program(void *arg)
{
    struct start *s = arg;
    char *const no_environment[] = {NULL};
    int program = BIRTH_FD_FIRST + s->n - 1;
    /* Signals stay blocked: our handler must not run here. birth_receive lets them in again. */
    if (fds_arrange(BIRTH_FD_FIRST, s->fds, s->n) == 0 && fcntl(program, F_SETFD, FD_CLOEXEC) == 0)
        syscall(SYS_execveat, program, "", s->argv, no_environment, AT_EMPTY_PATH);
    s->error = errno;
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
    _Alignas(16) char stack[CHILD_STACK];
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
    pid_t pid = clone(become_program, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &s);
    int error = pid < 0 ? errno : s.error;
    if (pid > 0 && error != 0)
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        errno = error;
        return -1;
    }
    *slot = *as;
    slot->pid = pid;
    return 0;
}

static void log_end(const struct child *c, int status)
{
    const char *role = role_names[c->program], *purpose = purpose_names[c->purpose];
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
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

void children_reap(struct children *c)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < CHILDREN_MAX; i++)
            if (c->slots[i].pid == pid) {
                log_end(&c->slots[i], status);
                c->slots[i] = (struct child){0};
            }
}
