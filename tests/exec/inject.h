/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes chosen system calls of exec fail with a chosen errno, by a filter that asks the test
 * (SECCOMP_RET_USER_NOTIF): nothing of exec is replaced, and each fault is counted.
 */
#ifndef TW_TESTS_EXEC_INJECT_H
#define TW_TESTS_EXEC_INJECT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct injection {
    int call;       /* the one system call asked about */
    int argument;   /* only where this argument has a bit of the mask; -1: always */
    uint64_t mask;  /* of that argument; */
    bool of_exec;   /* only by exec itself, not by what it runs */
    int channel[2]; /* the listener's way from exec's process to the test */
    int listener;
    _Atomic pid_t pid; /* exec */
    _Atomic int error;
    _Atomic int left; /* of the faults to come; -1: until told otherwise */
    _Atomic int hits;
    _Atomic bool stop;
    pthread_t thread;
};

/* False: this kernel or user cannot; the reason is printed. */
bool injection_init(struct injection *i, int call, bool of_exec);

/* In the child that becomes exec. False: failed. */
bool injection_enter(struct injection *i);

/* In the test, when the child has been started. */
void injection_watch(struct injection *i, pid_t exec);

/* From now on the next n calls fail with error; n < 0: all. */
void injection_arm(struct injection *i, int error, int n);

/* How many have failed since the start. */
int injection_hits(struct injection *i);

void injection_finish(struct injection *i);

#endif
