/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The privileged parent: takes the token, starts the other programs, gives root up, and then
 * answers requests of fixed size.
 *
 *   state.c                       what config/ asks for, on this system
 *   token.c, search.c, release.c  the token
 *   start.c, children.c           the start
 *   attest.c                      what core needs to attack the agent
 *   notify.c                      what the service manager is told
 *   metrics.c                     where core writes the metrics
 *   supervise.c                   the loop
 */
#ifndef TW_PARENT_PARENT_H
#define TW_PARENT_PARENT_H

#include "parent/release.h"
#include "config/settings.h"
#include "config/sources.h"
#include "config/spawn.h"
#include "parent/notify.h"
#include "parent/state.h"
#include "config/users.h"
#include "sandbox/sandbox.h"

enum child_id { CHILD_CORE, CHILD_EXEC, CHILD_LAUNCHER, CHILDREN };

#define SIGNALS 6

struct parent;

struct child {
    struct parent *parent;
    enum child_id id;
    pid_t pid; /* 0: ended, or not started */
    int fd;    /* until the channel takes it over */
    struct channel *channel;
    bool started;
};

struct parent {
    struct options options;
    struct settings settings;
    struct start_state start;
    struct users users;
    struct programs programs;
    struct state state;
    struct token token;
    struct facts facts;
    unsigned reduced;              /* guarantees that do not hold in full, as bits */
    struct sandbox_report sandbox; /* of this process */
    struct release release;
    struct notify notify;
    struct bucket pulses; /* core's, that are passed on */
    bool launcher_asked;  /* it has a ping to answer */
    bool commands_ready;  /* core said so */
    int environment;      /* memfds */
    int ca;
    struct child children[CHILDREN];
    struct event_base *base;
    struct event *signals[SIGNALS];
    struct event *deadline;
    const struct child *culprit; /* whose end ends the agent */
    unsigned stops;
    bool ending;
    int exit_code;
};

/* start.c: each 0, or an exit code after an error is logged. */

/* First thing: secrets out of sight, options read. */
int parent_take_arguments(struct parent *p, int argc, char **argv, char **environment);
/* --check-config: judges options, configuration file, users and CA certificates, and says so. */
int parent_check_config(struct parent *p);
/* Everything that is judged before a child exists. */
int parent_prepare(struct parent *p);
/* Children, then the token, then no root any more, then the sandbox. */
int parent_start(struct parent *p);
void parent_finish(struct parent *p);

/* children.c: configures and starts core, exec and the launcher. */
int children_start(struct parent *p);
const char *child_name(enum child_id id);

/* supervise.c */
int supervise_init(struct parent *p);
int supervise_run(struct parent *p);

#endif
