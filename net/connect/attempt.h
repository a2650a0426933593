/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt to connect: name service, TCP with fallback between address families, proxy. */
#ifndef TW_NET_CONNECT_ATTEMPT_H
#define TW_NET_CONNECT_ATTEMPT_H

#include "net/connect/failure.h"

enum attempt_outcome {
    ATTEMPT_CONNECTED,
    ATTEMPT_FAILED,
    ATTEMPT_ABANDONED /* nobody waits for it any more */
};

/* Lets libcurl and what it links read their own configuration, before the sandbox. False: it
 * failed. */
bool attempt_load(void);

/*
 * Runs until connected, failed or t->timeout_ms have passed; gives up at once when waiter, the
 * channel of whoever waits, becomes readable (its end of file). *socket is ready for use, *failure
 * is filled on ATTEMPT_FAILED. What libcurl holds is not freed: the process ends next.
 */
enum attempt_outcome attempt_run(const struct target *t, int waiter, int *socket,
                                 struct failure *failure);

#endif
