/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "base/text.h"

/* In the order in which they go out; a reload and its end are two datagrams. */
enum {
    PENDING_RELOADING = 1 << 0,
    PENDING_READY = 1 << 1,
    PENDING_STOPPING = 1 << 2,
    PENDING_STATUS = 1 << 3,
    PENDING_ALIVE = 1 << 4
};

void notify_take_environment(struct notify *n)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t value = 0, whose = (uint64_t)getpid();
    *n = (struct notify){.fd = -1, .path = getenv("NOTIFY_SOCKET")};
    bool ours = !pid || (text_number(pid, INT32_MAX, &whose) && whose == (uint64_t)getpid());
    if (n->path && usec && ours && text_number(usec, UINT64_MAX, &value))
        n->watchdog_ms = value / 1000;
    /* The strings stay where they are. */
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

/* A path, or with @ in front an abstract name. Its length, or 0: neither, or too long. */
static socklen_t address_of(const char *path, struct sockaddr_un *a)
{
    size_t len = strlen(path);
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof a->sun_path)
        return 0;
    memcpy(a->sun_path, path, len);
    if (path[0] == '@')
        a->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'));
}

void notify_open(struct notify *n)
{
    struct sockaddr_un a;
    if (!n->path)
        return;
    socklen_t len = address_of(n->path, &a);
    n->fd = len ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (n->fd >= 0 && connect(n->fd, (const struct sockaddr *)&a, len) == 0)
        return;
    log_warn("NOTIFY_SOCKET=%s cannot be used, so the service manager hears nothing: %s", n->path,
             len ? strerror(errno) : "neither a path nor @ and a name, of at most 107 bytes");
    fds_close(&n->fd);
}

uint64_t notify_pulse_ms(const struct notify *n)
{
    /* Half of it is what sd_watchdog_enabled(3) advises: a third leaves room for a slow turn. */
    uint64_t ms = n->fd >= 0 ? n->watchdog_ms / 3 : 0;
    if (ms == 0)
        return n->fd >= 0 && n->watchdog_ms > 0;
    return ms < UINT32_MAX ? ms : UINT32_MAX;
}

/* False: not now. */
static bool tell(struct notify *n, const char *text)
{
    if (send(n->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        n->failed = false;
        return true;
    }
    if (errno == EAGAIN)
        return event_add(n->writable, NULL) != 0;
    if (!n->failed)
        log_warn("the service manager cannot be told: %s", strerror(errno));
    n->failed = true;
    return true; /* and what it was to hear is gone */
}

static void flush(struct notify *n)
{
    char text[512];
    if (n->fd < 0)
        n->pending = 0;
    if (n->pending & PENDING_RELOADING) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu\n",
                 (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
        if (!tell(n, text))
            return;
        n->pending &= ~(unsigned)PENDING_RELOADING;
    }
    if (!n->pending)
        return;
    bool status = (n->pending & PENDING_STATUS) && n->status;
    snprintf(text, sizeof text, "%s%s%s%s%s%s", n->pending & PENDING_READY ? "READY=1\n" : "",
             n->pending & PENDING_STOPPING ? "STOPPING=1\n" : "", status ? "STATUS=" : "",
             status ? n->status : "", status ? "\n" : "",
             n->pending & PENDING_ALIVE ? "WATCHDOG=1\n" : "");
    if (tell(n, text))
        n->pending = 0;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    flush(arg);
}

int notify_start(struct notify *n, struct event_base *base)
{
    if (n->fd < 0)
        return 0;
    n->writable = event_new(base, n->fd, EV_WRITE, on_writable, n);
    return n->writable ? 0 : -1;
}

static void add(struct notify *n, unsigned what)
{
    n->pending |= what;
    flush(n);
}

void notify_ready(struct notify *n)
{
    if (n->ready || n->stopping)
        return;
    n->ready = true;
    add(n, PENDING_READY);
}

void notify_state(struct notify *n, enum link_state state)
{
    static const char *const words[] = {
        [LINK_PROBING] = "connecting: asking Tower for its version",
        [LINK_LOGGING_IN] = "connecting: presenting the access token",
        [LINK_CONNECTING] = "connecting: opening the agent's connection",
        [LINK_ONLINE] = "online",
        [LINK_WAITING] = "not online, trying again soon; the log says why",
        [LINK_STANDBY] = "standby: another agent with this connection ID is connected",
        [LINK_TOKEN_REFUSED] = "ALARM: the access token is refused now: replace it",
        [LINK_STOPPING] = "stopping"};
    if (n->status == words[state])
        return;
    n->status = words[state];
    add(n, PENDING_STATUS);
}

void notify_alive(struct notify *n)
{
    if (n->watchdog_ms > 0)
        add(n, PENDING_ALIVE);
}

void notify_reloaded(struct notify *n)
{
    /* Before it was ready, a reload is part of the start. */
    if (n->ready && !n->stopping)
        add(n, PENDING_RELOADING | PENDING_READY);
}

void notify_stopping(struct notify *n)
{
    if (n->stopping)
        return;
    n->stopping = true;
    n->pending &= ~(unsigned)(PENDING_READY | PENDING_RELOADING);
    add(n, PENDING_STOPPING);
}

void notify_finish(struct notify *n)
{
    if (n->writable)
        event_free(n->writable);
    n->writable = NULL;
    fds_close(&n->fd);
}
