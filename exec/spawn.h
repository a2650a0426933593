/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a program in its own session and sandbox domain, in the state saved at the agent's
 * start. */
#ifndef TW_EXEC_SPAWN_H
#define TW_EXEC_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

#include "exec/config.h"
#include "sandbox/sandbox.h"

/*
 * Where a command finds its text. Numbers up to this are taken from exec's start on, so that no
 * descriptor of ours stands where a command's will be; this one is exec's own /dev/null.
 */
#define SPAWN_TEXT_FD 9

struct spawner {
    struct start_state state;
    struct sandbox_command domain;
    /* Commands can stop a child in its first moments, since no domain scopes their signals: exec
     * does not wait for it then. */
    bool stoppable;
    char *stack; /* of children that share our memory: a guard page and SPAWN_STACK bytes */
    int null_fd;
    uint64_t noted_ms; /* when a shortage was last logged; 0: never */
};

enum spawn_step {
    SPAWN_STEP_NONE,
    SPAWN_STEP_MEMORY, /* a pipe or a memfd could not be made */
    SPAWN_STEP_PROCESS,
    SPAWN_STEP_SESSION,
    SPAWN_STEP_DESCRIPTORS,
    SPAWN_STEP_DIRECTORY,
    SPAWN_STEP_LIMITS,
    SPAWN_STEP_SIGNALS,
    SPAWN_STEP_DOMAIN,
    SPAWN_STEP_PROGRAM
};

struct spawn_failure {
    enum spawn_step step;
    int error;
};

struct spawn {
    const char *path;
    const char *const *argv;
    char *const *envp;
    const char *directory; /* NULL: exec's own, which is the work directory */
    int in;                /* becomes 0 */
    int out;               /* becomes 1 and 2 */
    int extra;             /* becomes extra_at; -1: none */
    int extra_at;
    const struct start_state *state; /* NULL: the spawner's */
    int *pidfd; /* gets a pidfd of it, -1 where the kernel has none; NULL: not wanted */
};

/* Takes the numbers up to SPAWN_TEXT_FD and maps the stack. 0 or -1 with errno. */
int spawner_init(struct spawner *s);

void spawner_finish(struct spawner *s);

/* The started process, which runs the program already (where not stoppable); or -1 with *failure.
 */
pid_t spawn_program(const struct spawner *s, const struct spawn *what,
                    struct spawn_failure *failure);

/* The same by a copy of this process, which may block on the way: *failure knows no step of the
 * child, which says it on its descriptor 2 and ends with 126. */
pid_t spawn_program_slowly(const struct spawner *s, const struct spawn *what,
                           struct spawn_failure *failure);

/*
 * Runs function(argument, out) in a copy of this process, in a session of its own, with no
 * descriptor but the standard ones and out; its value is the exit status. share_directory: its
 * chdir is ours as well. The pid, or -1 with errno.
 */
pid_t spawn_function(const struct spawner *s, int (*function)(void *, int), void *argument, int out,
                     bool share_directory);

/* True for a shortage that passes: of processes, memory, descriptors; a program being replaced. */
bool spawn_passes(int error);

/* Says so in the log, at most once in a while: that something waits is news, how often is not. */
void spawn_note_shortage(struct spawner *s, const char *what, int error);

/* What failed, for people. Static string. */
const char *spawn_step_text(enum spawn_step step);

#endif
