/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process groups of commands. A group outlives its command's answer by what runs in it in the
 * background: the time limit and the agent's stop still reach that, and nothing else.
 *
 * A group's number is free for any process to take once the last of the group has gone, so a number
 * alone is no right to signal it. While its shell is not reaped, the number is the group's. After
 * that a pidfd of the shell stands for the group itself, not for its number (Linux 6.9). Older
 * kernels have the number alone: it is used as long as a child of ours is in the group, which is
 * looked at whenever a child ends and before a command starts.
 */
#ifndef TW_EXEC_GROUP_H
#define TW_EXEC_GROUP_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

/* Of answered commands, that is. Beyond this the oldest is left alone, and outlives the agent. */
#define GROUPS_MAX 256

struct group;
TAILQ_HEAD(group_list, group);

struct groups {
    struct group_list list;
    size_t n_left; /* those whose command has been answered */
    size_t max_left;
    bool by_number; /* an older kernel */
    bool warned;
    struct event_base *base;
};

void groups_init(struct groups *all, struct event_base *base);

/*
 * A group for a shell that is about to be started. *owner becomes NULL when the group is gone.
 * NULL: no memory.
 */
struct group *group_new(struct groups *all, struct group **owner);

/* Its shell runs; its pidfd (or -1) is taken over. */
void group_started(struct group *group, pid_t shell, int pidfd);

/* Its command is done with it: it is kept while something is left of it. NULL is none. */
void group_release(struct group *group);

/* TERM now, KILL after a while, whatever becomes of its command. */
void group_end(struct group *group);
void group_kill(struct group *group);

/* The reaper's news. */
void groups_exited(struct groups *all, pid_t pid);

/* Forgets those that have come to nothing. */
void groups_check(struct groups *all);

void groups_signal(struct groups *all, int signal);

/* True when nothing is left of any. */
bool groups_gone(struct groups *all);

void groups_finish(struct groups *all);

#endif
