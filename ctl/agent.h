/* SPDX-License-Identifier: Apache-2.0 */
/* An agent that is started for a while, to see how far it comes. */
#ifndef TW_CTL_AGENT_H
#define TW_CTL_AGENT_H

#include "config/options.h"
#include "ctl/subject.h"

/* Of its log, the last bytes. */
#define AGENT_LOG 4096

struct agent {
    pid_t pid;   /* 0: it ended, or was not started */
    int process; /* pidfd */
    int log;     /* our end of its standard error */
    int status;  /* of wait, once it ended */
    char said[AGENT_LOG];
    size_t len;
};

/*
 * Starts the tw-agent beside this program with these arguments (NULL at the end; argv[0] included),
 * in this environment. False after an error is logged; agent_finish in either case.
 */
bool agent_start(struct agent *a, const struct subject *s, const char *const *argv);

/* Waits at most ms for its end, and takes in what it logs. True when it has ended; false at once
 * when a signal came. */
bool agent_wait(struct agent *a, unsigned ms);

/* A signal handler: whoever ends this program does not leave an agent behind. */
void agent_interrupt(int signal);
bool agent_interrupted(void);

/* Asks it to stop, and ends it when it does not. */
void agent_finish(struct agent *a);

#endif
