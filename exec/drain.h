/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes of commands that were answered while a background child holds the other end: read to
 * nowhere, so that the child neither blocks nor dies of SIGPIPE.
 */
#ifndef TW_EXEC_DRAIN_H
#define TW_EXEC_DRAIN_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <sys/queue.h>

/* Beyond this the oldest is closed; beyond an eighth of our descriptors, where these are few. */
#define DRAINS_MAX 64

struct drain;
TAILQ_HEAD(drain_list, drain);

struct drains {
    struct drain_list list;
    size_t n, max;
    bool warned;
    struct event_base *base;
    char *scratch;
    size_t scratch_size;
};

void drains_init(struct drains *d, struct event_base *base, char *scratch, size_t scratch_size);

/* Takes the pipe over. */
void drains_add(struct drains *d, int pipe);

void drains_finish(struct drains *d);

#endif
