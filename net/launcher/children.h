/* SPDX-License-Identifier: Apache-2.0 */
/* The programs that the launcher starts, and those of their processes that are alive. */
#ifndef TW_NET_LAUNCHER_CHILDREN_H
#define TW_NET_LAUNCHER_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/limits.h"
#include "ipc/message.h"

enum program { PROGRAM_CONNECT, PROGRAM_SESSION, PROGRAMS };

/* A connector and a session each, and one pair that ends while its successor starts. */
#define CHILDREN_MAX (LIMIT_SESSIONS * 2 + 2)

struct child {
    pid_t pid; /* 0: the slot is free */
    enum program program;
    enum purpose purpose;
    uint32_t serial;
};

struct children {
    /* Opened once: an upgrade of the package under a running agent must not mix versions. */
    int program_fds[PROGRAMS];
    char directory[LIMIT_PATH + 1]; /* where the programs are */
    struct child slots[CHILDREN_MAX];
};

/* Finds the programs beside the running one. 0, or -1 with errno; directory or a program's name is
 * in *what. */
int children_init(struct children *c, const char **what);

void children_finish(struct children *c);

/* True when n more may be started. */
bool children_room(const struct children *c, size_t n);

/*
 * Starts a program with fds[0..n-1] as its descriptors from BIRTH_FD_FIRST on, 0 to 2 as ours, no
 * other and no environment. The descriptors stay the caller's. 0, or -1 with errno; a program that
 * cannot be run says so itself, and its peers see end of file.
 */
int children_start(struct children *c, const struct child *as, const int *fds, int n);

/* True when none is alive. */
bool children_gone(const struct children *c);

/*
 * Ends those of one serial, or all, at once. End of file on their channels is their order to stop;
 * this is for those that do not obey it.
 */
void children_kill(const struct children *c, const uint32_t *serial);

/* The serial of those that were started first; there must be one. */
uint32_t children_eldest(const struct children *c);

/* Forgets those that have ended, and logs those that did not end well. Ends those that somebody has
 * stopped. */
void children_reap(struct children *c);

#endif
