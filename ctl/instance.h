/* SPDX-License-Identifier: Apache-2.0 */
/* A running agent: its state directory, its process. */
#ifndef TW_CTL_INSTANCE_H
#define TW_CTL_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/options.h"

struct instance {
    int dirfd;   /* of its state directory; -1: not found */
    int watch;   /* inotify, for files that are replaced there; -1: none */
    int process; /* pidfd; -1: it does not run */
    pid_t pid;
};

/*
 * Reads the options' configuration file, if there is one, and finds the directory of their
 * connection ID on this host, or of the only one there is.
 * False after an error is logged. instance_finish undoes it in either case.
 */
bool instance_find(struct instance *i, struct options *o);

/* The state directory of the options' connection ID (read from their file if need be), or of the
 * only instance there is. False after an error is logged. */
bool instance_place(struct options *o, char *out, size_t size);

/* The directory of all instances' state, whatever they are called. False after an error is logged.
 */
bool instance_top(const struct options *o, char *out, size_t size);

/* Opens and watches a state directory; logs nothing. False with errno; instance_finish undoes it in
 * either case. */
bool instance_open(struct instance *i, const char *path);

enum instance_lock {
    INSTANCE_FREE,   /* no agent runs */
    INSTANCE_HELD,   /* i->process is it */
    INSTANCE_FOREIGN /* held, but not by a tw-agent that can be found */
};

/* Who has its lock; logs nothing. For INSTANCE_FOREIGN, why in why. */
enum instance_lock instance_lock(struct instance *i, char *why, size_t size);

/* Takes hold of the process that has its lock. False after an error is logged: none does, or it is
 * not tw-agent. */
bool instance_running(struct instance *i);

/* Asks it by a signal, and waits until NAME is replaced in its directory, at most ms. False after
 * an error is logged. */
bool instance_ask(struct instance *i, int signal, const char *name, unsigned ms);

/* Reads a file of its directory that is not a link, at most max bytes; NUL added, the caller frees
 * it. NULL after an error is logged. */
char *instance_read(const struct instance *i, const char *name, size_t max);

/* The same without a log line: why it cannot be read in *why, a static or errno text. */
char *instance_load(const struct instance *i, const char *name, size_t max, const char **why);

void instance_finish(struct instance *i);

#endif
