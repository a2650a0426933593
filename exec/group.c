/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/group.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fds.h"
#include "base/log.h"

/* Between TERM and KILL. */
#define KILL_MS 5000
/* What groups that are left may have of our descriptors: the others are for commands. */
#define DESCRIPTORS_SHARE 4

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424 /* Linux 5.1, all architectures */
#endif
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2) /* Linux 6.9 */
#endif

struct group {
    TAILQ_ENTRY(group) entry;
    struct groups *all;
    struct group **owner; /* NULL: its command has been answered */
    pid_t id;             /* its shell's as well; 0: not started */
    int pidfd;            /* its shell's; -1: none */
    bool led;             /* its shell has not been reaped */
    struct event kill;
};

void groups_init(struct groups *all, struct event_base *base)
{
    *all = (struct groups){.base = base, .max_left = fds_share(DESCRIPTORS_SHARE, GROUPS_MAX)};
    TAILQ_INIT(&all->list);
}

static void drop(struct group *g)
{
    struct groups *all = g->all;
    if (g->owner)
        *g->owner = NULL;
    else
        all->n_left--;
    TAILQ_REMOVE(&all->list, g, entry);
    event_del(&g->kill);
    fds_close(&g->pidfd);
    free(g);
}

static int signal_by_number(const struct group *g, int signal)
{
    siginfo_t info;
    if (waitid(P_PGID, (id_t)g->id, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
        errno = ESRCH;
        return -1;
    }
    return kill(-g->id, signal);
}

/* As kill(2); ESRCH: nothing is left of it. */
static int signal_group(const struct group *g, int signal)
{
    if (g->led) {
        int rc = kill(-g->id, signal);
        /* Its leader may not have come to make it yet. */
        return rc != 0 && errno == ESRCH ? kill(g->id, signal) : rc;
    }
    if (!g->all->by_number) {
        long rc =
            syscall(SYS_pidfd_send_signal, g->pidfd, signal, NULL, PIDFD_SIGNAL_PROCESS_GROUP);
        if (rc == 0 || errno == ESRCH || errno == EPERM)
            return (int)rc;
        g->all->by_number = true;
        log_debug("this kernel cannot signal a group by descriptor");
    }
    return signal_by_number(g, signal);
}

/* True, and *g is no more, when nothing is left of it. */
static bool drop_if_gone(struct group *g)
{
    if (g->led || signal_group(g, 0) == 0 || errno != ESRCH)
        return false;
    drop(g);
    return true;
}

static void on_kill(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    group_kill(arg);
}

struct group *group_new(struct groups *all, struct group **owner)
{
    struct group *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->all = all;
    g->owner = owner;
    g->pidfd = -1;
    event_assign(&g->kill, all->base, -1, 0, on_kill, g);
    TAILQ_INSERT_TAIL(&all->list, g, entry);
    return g;
}

void group_started(struct group *g, pid_t shell, int pidfd)
{
    g->id = shell;
    g->pidfd = pidfd;
    g->led = true;
}

static void drop_oldest_left(struct groups *all)
{
    struct group *g;
    log_line(all->warned ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN,
             "more than %zu ended commands have left background processes: those of the oldest "
             "will not be ended with the agent",
             all->max_left);
    all->warned = true;
    TAILQ_FOREACH(g, &all->list, entry)
    if (!g->owner && !evtimer_pending(&g->kill, NULL))
        break;
    if (g)
        drop(g);
}

void group_release(struct group *g)
{
    if (!g)
        return;
    if (g->id == 0) {
        drop(g);
        return;
    }
    struct groups *all = g->all;
    if (all->n_left >= all->max_left)
        groups_check(all);
    if (all->n_left >= all->max_left)
        drop_oldest_left(all);
    *g->owner = NULL;
    g->owner = NULL;
    all->n_left++;
    drop_if_gone(g);
}

void group_end(struct group *g)
{
    struct timeval later = clock_timeval(KILL_MS);
    signal_group(g, SIGTERM);
    signal_group(g, SIGCONT); /* what is stopped has its chance as well */
    event_add(&g->kill, &later);
}

void group_kill(struct group *g)
{
    event_del(&g->kill);
    signal_group(g, SIGKILL);
}

void groups_exited(struct groups *all, pid_t pid)
{
    struct group *g;
    TAILQ_FOREACH(g, &all->list, entry)
    if (g->led && g->id == pid) {
        g->led = false;
        drop_if_gone(g);
        return;
    }
}

void groups_check(struct groups *all)
{
    struct group *g, *next;
    for (g = TAILQ_FIRST(&all->list); g; g = next) {
        next = TAILQ_NEXT(g, entry);
        if (g->id)
            drop_if_gone(g);
    }
}

void groups_signal(struct groups *all, int signal)
{
    struct group *g;
    TAILQ_FOREACH(g, &all->list, entry)
    if (g->id)
        signal_group(g, signal);
}

bool groups_gone(struct groups *all)
{
    struct group *g;
    groups_check(all);
    TAILQ_FOREACH(g, &all->list, entry)
    if (g->id)
        return false;
    return true;
}

void groups_finish(struct groups *all)
{
    while (!TAILQ_EMPTY(&all->list))
        drop(TAILQ_FIRST(&all->list));
}
