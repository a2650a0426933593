/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec runs commands, each in a sandbox domain of its own. It parses nothing: that is its defence.
 *
 *   config.c       takes exec_config, fixes this process's limits, remembers how commands start
 *   workdir.c      resolves and checks the work directory in a child with a deadline
 *   environment.c  composes the environment of commands; capture.c obtains what it is based on
 *   helper.c       a child whose answer is awaited with a deadline
 *   command.c      the life of one command; output.c its output; spawn.c its start
 *   group.c        what is left of its process group
 *   reaper.c       whatever ended
 */
#ifndef TW_EXEC_EXEC_H
#define TW_EXEC_EXEC_H

#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "exec/capture.h"
#include "exec/config.h"
#include "exec/drain.h"
#include "exec/environment.h"
#include "exec/group.h"
#include "exec/helper.h"
#include "exec/spawn.h"
#include "ipc/channel.h"

/* What one read takes from a pipe. */
#define EXEC_SCRATCH 65536

struct command;
TAILQ_HEAD(command_list, command);

enum workdir_state { WORKDIR_CHECKING, WORKDIR_GOOD, WORKDIR_BAD };

struct workdir {
    struct helper helper;
    struct event retry; /* the helper could not be started */
    unsigned attempts;
    enum workdir_state state;
    int error;                 /* why it is bad */
    char path[LIMIT_PATH + 1]; /* resolved; as configured until then */
};

struct exec {
    struct event_base *base;
    struct channel *parent;
    struct channel *core;
    struct exec_config config;
    struct spawner spawner;
    struct start_state initial; /* as saved at the agent's start: what a login shell starts from */
    struct workdir workdir;
    struct capture capture;
    struct environment environment; /* what new commands get */
    bool announced;                 /* exec_ready or exec_unready went out */
    struct command_list commands;   /* whose finished has not been sent */
    size_t n_commands;
    struct groups groups;
    struct drains drains;
    struct event reaper;     /* SIGCHLD */
    struct event resend;     /* a finished that did not go out */
    struct event stop_timer; /* between TERM and KILL */
    bool stopping;
    bool killed; /* the grace of stopping is over */
    int exit_code;
    char scratch[EXEC_SCRATCH];
};

/* Channels, reaper and timers on exec->base. 0 or -1. */
int exec_start(struct exec *exec);

/* Checks the work directory and obtains the environment; commands wait until both are there. */
void exec_prepare(struct exec *exec);

/* Called when the work directory or the environment has settled: announces it, starts who waits. */
void exec_settled(struct exec *exec);

/* True when a command can start now. */
bool exec_ready(const struct exec *exec);

/* Ends the commands' groups, then the loop. */
void exec_stop(struct exec *exec, int code);

/* While stopping: ends the loop when no group is left. */
void exec_check_stopped(struct exec *exec);

void exec_finish(struct exec *exec);

#endif
