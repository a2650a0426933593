/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/drain.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"

/* What ended commands may hold of our descriptors: the others are for those that run. */
#define DESCRIPTORS_SHARE 8

struct drain {
    TAILQ_ENTRY(drain) entry;
    struct drains *all;
    struct event readable;
    int pipe;
};

void drains_init(struct drains *d, struct event_base *base, char *scratch, size_t scratch_size)
{
    TAILQ_INIT(&d->list);
    d->n = 0;
    d->max = fds_share(DESCRIPTORS_SHARE, DRAINS_MAX);
    d->base = base;
    d->scratch = scratch;
    d->scratch_size = scratch_size;
}

static void end(struct drain *one)
{
    TAILQ_REMOVE(&one->all->list, one, entry);
    one->all->n--;
    event_del(&one->readable);
    close(one->pipe);
    free(one);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct drain *one = arg;
    (void)what;
    ssize_t n = read(fd, one->all->scratch, one->all->scratch_size);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        end(one);
}

void drains_add(struct drains *d, int pipe)
{
    if (d->n >= d->max) {
        log_line(d->warned ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN,
                 "more than %zu background processes hold the output of ended commands: the "
                 "oldest one's is closed",
                 d->max);
        d->warned = true;
        end(TAILQ_FIRST(&d->list));
    }
    struct drain *one = calloc(1, sizeof *one);
    if (!one) {
        close(pipe);
        return;
    }
    one->all = d;
    one->pipe = pipe;
    event_assign(&one->readable, d->base, pipe, EV_READ | EV_PERSIST, on_readable, one);
    event_add(&one->readable, NULL);
    TAILQ_INSERT_TAIL(&d->list, one, entry);
    d->n++;
}

void drains_finish(struct drains *d)
{
    while (!TAILQ_EMPTY(&d->list))
        end(TAILQ_FIRST(&d->list));
}
