/* SPDX-License-Identifier: Apache-2.0 */
/* A look at the host as another user, from a child with a deadline: file servers hang. */
#ifndef TW_CTL_CHILD_H
#define TW_CTL_CHILD_H

#include <stddef.h>

#include "config/users.h"

/* Bytes of an answer. */
#define CHILD_ANSWER_MAX 65536

enum child_outcome {
    CHILD_ANSWERED,
    CHILD_TIMEOUT, /* killed; a hung one is left to the kernel */
    CHILD_FAILED   /* it could not be started, or could not become the user */
};

/*
 * Forks a child that becomes this user with its groups, calls look(context, answer), and sends the
 * answer of size bytes (at most CHILD_ANSWER_MAX). answer holds it only after CHILD_ANSWERED.
 */
enum child_outcome child_look(const struct identity *as,
                              void (*look)(const void *context, void *answer), const void *context,
                              void *answer, size_t size, unsigned deadline_ms);

#endif
