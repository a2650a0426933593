/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/reach.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/child.h"

/* Three name servers of which two do not answer, at resolv.conf's usual timeouts. */
#define RESOLVE_MS 20000
/* What the agent gives to DNS, TCP and a proxy together. */
#define CONNECT_MS 10000

_Static_assert(sizeof(struct reach_answer) <= CHILD_ANSWER_MAX, "an answer of a child");

struct question {
    const char *host;
    char port[8];
};

static void add(struct reach_answer *a, const struct addrinfo *info)
{
    struct reach_address *to = &a->addresses[a->n];
    char host[INET6_ADDRSTRLEN] = "?";
    if (a->n == REACH_ADDRESSES || info->ai_addrlen > sizeof to->name)
        return;
    memcpy(&to->name, info->ai_addr, info->ai_addrlen);
    to->len = info->ai_addrlen;
    getnameinfo(info->ai_addr, info->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    snprintf(to->text, sizeof to->text, "%s", host);
    a->n++;
}

static void resolve(const void *context, void *answer)
{
    const struct question *q = context;
    struct reach_answer *a = answer;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *all = NULL;
    int rc = getaddrinfo(q->host, q->port, &hints, &all);
    if (rc != 0)
        snprintf(a->why, sizeof a->why, "%s",
                 rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    for (const struct addrinfo *i = all; rc == 0 && i; i = i->ai_next)
        add(a, i);
    if (rc == 0)
        freeaddrinfo(all);
}

bool reach_resolve(struct reach_answer *a, const struct identity *as, const char *host,
                   uint16_t port)
{
    struct question q = {.host = host};
    snprintf(q.port, sizeof q.port, "%u", port);
    *a = (struct reach_answer){.n = 0};
    return child_look(as, resolve, &q, a, sizeof *a, RESOLVE_MS) == CHILD_ANSWERED;
}

/* The outcome of a connection that was begun. */
static int error_of(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

static void await(struct reach_answer *a, struct pollfd *p, uint64_t start)
{
    uint64_t now;
    for (;;) {
        size_t open = 0;
        for (size_t i = 0; i < a->n; i++)
            open += p[i].fd >= 0;
        if (open == 0 || (now = clock_ms()) >= start + CONNECT_MS)
            return;
        if (poll(p, (nfds_t)a->n, (int)(start + CONNECT_MS - now)) <= 0)
            continue;
        for (size_t i = 0; i < a->n; i++) {
            if (p[i].fd < 0 || !p[i].revents)
                continue;
            a->addresses[i].error = error_of(p[i].fd);
            a->addresses[i].ms = (unsigned)(clock_ms() - start);
            close(p[i].fd);
            p[i].fd = -1;
        }
    }
}

static void connect_all(const void *context, void *answer)
{
    struct reach_answer *a = answer;
    struct pollfd p[REACH_ADDRESSES];
    uint64_t start = clock_ms();
    *a = *(const struct reach_answer *)context;
    for (size_t i = 0; i < a->n; i++) {
        struct reach_address *to = &a->addresses[i];
        int fd = socket(to->name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        bool begun = fd >= 0 && (connect(fd, &to->name.any, to->len) == 0 || errno == EINPROGRESS);
        to->error = begun ? ETIMEDOUT : errno; /* until it is known */
        to->ms = begun ? CONNECT_MS : 0;
        if (!begun && fd >= 0)
            close(fd);
        p[i] = (struct pollfd){.fd = begun ? fd : -1, .events = POLLOUT};
    }
    await(a, p, start);
}

bool reach_connect(struct reach_answer *a, const struct identity *as)
{
    struct reach_answer question = *a;
    return child_look(as, connect_all, &question, a, sizeof *a, CONNECT_MS + 2000) ==
           CHILD_ANSWERED;
}
