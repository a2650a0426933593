/* SPDX-License-Identifier: Apache-2.0 */
/* One system call in a process of its own, with or without a sandbox, and what became of it. */
#ifndef TW_DENY_PROBE_H
#define TW_DENY_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sandbox/sandbox.h"

#define NO_ROLE SANDBOX_ROLES

struct outcome {
    bool answered; /* the call returned */
    long result;   /* then: its result, or -errno */
    int signal;    /* ended by this signal; 0: not */
};

/* Runs in the child once it is inside its sandbox; returns a result or -errno. */
typedef long probe_call(const void *argument);

/* role NO_ROLE: no sandbox. */
struct outcome probe_run(enum sandbox_role role, const struct sandbox_access *access,
                         probe_call *call, const void *argument);

struct outcome probe_syscall(enum sandbox_role role, long number, const uint64_t arguments[6]);

/* Arguments that make a call fail or do nothing, whatever it is. */
void probe_bad_arguments(long number, uint64_t arguments[6]);

/* Is this how the sandbox of a role that traps answers? Of one that returns EPERM? */
bool outcome_trapped(const struct outcome *o);
bool outcome_is(const struct outcome *o, int error);
void outcome_print(char *text, size_t size, const struct outcome *o);

/* Counts, and what is printed at the end. */
struct tally {
    const char *what;
    unsigned good, bad, skipped;
};

void tally_good(struct tally *t);
void tally_bad(struct tally *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tally_skip(struct tally *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the line of counts; returns 0 when nothing was bad. */
int tally_end(const struct tally *t);

/* Runs a test as it is, and, when that is root, once more as a plain user. Returns an exit code. */
int as_each_user(int (*test)(void *), void *argument);

/* A new directory under TMPDIR that every user may enter and this one may write. False: printed. */
bool make_directory(char *path, size_t size);

#endif
