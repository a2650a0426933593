/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that are tried: the agent's, and another member's command. */
#ifndef TW_PROBE_TARGET_H
#define TW_PROBE_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The launcher's children beside the four that are named: more are not looked at. */
#define TARGETS_MAX 32

struct target {
    pid_t pid;
    char letter; /* of PROBE_TARGETS */
};

struct targets {
    struct target list[TARGETS_MAX];
    size_t n;
};

/* Adds one. Without room it is left out. */
void targets_add(struct targets *t, pid_t pid, char letter);

/* Adds the living children of that process. */
void targets_add_children(struct targets *t, pid_t parent, char letter);

#define UMASK_ANY (-1)

/* Our user's tw-agent-probe with these two arguments and this umask, waiting for it at most ms; 0:
 * none. */
pid_t target_find(const char *what, const char *pair, int umask, unsigned ms);

/* Returns when the process has ended, at most ms later. */
void target_wait_end(pid_t pid, unsigned ms);

/* False: it has ended. One that may not be signalled lives. */
bool target_lives(pid_t pid);

/* The numeric value of a line of /proc/PID/status ("PPid:"), in this base; -1: cannot be read. */
long long target_status(pid_t pid, const char *name, int base);

/* Reads /proc/PID/NAME; the length, NUL added; -1 with errno. */
ssize_t target_read(pid_t pid, const char *name, char *out, size_t size);

#endif
