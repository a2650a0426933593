/* SPDX-License-Identifier: Apache-2.0 */
/* A child that answers on a pipe and may hang (NFS, a profile): awaited with a deadline. */
#ifndef TW_EXEC_HELPER_H
#define TW_EXEC_HELPER_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/span.h"

enum helper_outcome {
    HELPER_ENDED,   /* it exited: status and answer hold */
    HELPER_TIMEOUT, /* it did not, and was killed */
    HELPER_TOO_LONG /* its answer exceeds the bound */
};

/* answer lives until the callback returns. status is its exit status, 255 when a signal ended it.
 */
typedef void helper_done(void *context, enum helper_outcome outcome, int status,
                         struct span answer);

struct helper {
    pid_t pid; /* 0: none */
    int fd;
    struct event readable;
    struct event deadline;
    struct buf answer;
    helper_done *done;
    void *context;
};

/* A pipe for the child's answer: pipe[0] is non-blocking, both close-on-exec. 0 or -1 with errno.
 */
int helper_pipe(int pipe[2]);

/*
 * Awaits the child pid, whose answer comes on fd (taken over): at most max bytes within
 * deadline_ms. done is called once, from the loop.
 */
void helper_await(struct helper *h, struct event_base *base, pid_t pid, int fd,
                  unsigned deadline_ms, size_t max);

/* The reaper's news. True when the pid was this helper's. */
bool helper_exited(struct helper *h, pid_t pid, int wait_status);

/* Kills a helper that runs; done is not called. */
void helper_cancel(struct helper *h);

#endif
