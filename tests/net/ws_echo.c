/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_echo HOST PORT AGENT: an echo client for a conformance server, over plain TCP, with the
 * session's own handshake, frames and bounds. Runs every case the server has, then asks for the
 * report.
 */
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "net/session/http.h"
#include "net/session/upgrade.h"
#include "net/session/ws.h"

/* The largest case has 16 MiB. */
#define MESSAGE_MAX 33554432
/* The server sends nothing for this long: it hangs. */
#define SILENCE_MS 30000

struct echo {
    int socket;
    bool counting; /* the messages are not cases: keep the last one */
    char last[64];
    struct ws ws;
};

static int die(const char *what)
{
    perror(what);
    exit(1);
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool flush(struct echo *e)
{
    for (;;) {
        bool ok;
        struct span out = frames_output(&e->ws.frames, &ok);
        if (!ok || e->ws.broken)
            return false;
        if (out.len == 0)
            return true;
        if (!write_all(e->socket, out.data, out.len))
            return false;
        frames_written(&e->ws.frames, out.len);
    }
}

static void on_message(void *context, struct span message, bool binary)
{
    struct echo *e = context;
    if (e->counting) {
        span_copy(e->last, sizeof e->last, message);
        return;
    }
    /* Within the callback: an echo behind a later frame's Close would be out of order. */
    if (!frames_message(&e->ws.frames, message, binary) || !flush(e))
        e->ws.broken = true;
}

static bool may_receive(void *context)
{
    (void)context;
    return true;
}

static int dial(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    if (getaddrinfo(host, port, &hints, &list) != 0)
        return -1;
    int fd = socket(list->ai_family, list->ai_socktype | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) != 0) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    return fd;
}

/* Sends the upgrade, reads the answer; what follows it goes to the WebSocket. */
static void shake_hands(struct echo *e, const char *path)
{
    struct upgrade u;
    struct http http;
    char request[512], data[WS_INPUT];
    enum http_verdict v = HTTP_MORE;
    size_t used = 0, size, len = 0;
    if (upgrade_init(&u) != 0)
        die("upgrade");
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
             path, u.key);
    if (!write_all(e->socket, request, strlen(request)))
        die("request");
    http_init(&http);
    while (v == HTTP_MORE) {
        ssize_t n = read(e->socket, data, sizeof data);
        if (n <= 0)
            die("answer");
        len = (size_t)n;
        v = http_feed(&http, data, len, &used);
    }
    const char *why = v == HTTP_UPGRADE ? upgrade_check(&u, &http.headers) : "no 101";
    if (why) {
        fprintf(stderr, "%s: %s\n", path, why);
        exit(1);
    }
    memcpy(ws_room(&e->ws, &size), data + used, len - used);
    ws_received(&e->ws, len - used);
}

/* One connection from handshake to end of file. */
static void run(struct echo *e, const char *host, const char *port, const char *path)
{
    struct ws_owner owner = {e, on_message, may_receive};
    e->socket = dial(host, port);
    if (e->socket < 0 || ws_init(&e->ws, &owner, MESSAGE_MAX, true) != 0)
        die(path);
    shake_hands(e, path);
    for (;;) {
        size_t size;
        struct pollfd p = {.fd = e->socket, .events = POLLIN};
        ws_process(&e->ws);
        if (!flush(e) || poll(&p, 1, SILENCE_MS) != 1)
            break;
        char *room = ws_room(&e->ws, &size);
        ssize_t n = read(e->socket, room, size);
        if (n <= 0)
            break;
        ws_received(&e->ws, (size_t)n);
    }
    ws_finish(&e->ws);
    close(e->socket);
}

int main(int argc, char **argv)
{
    static struct echo e;
    char path[256];
    uint64_t cases;
    if (argc != 4) {
        fprintf(stderr, "usage: ws_echo HOST PORT AGENT\n");
        return 2;
    }
    e.counting = true;
    run(&e, argv[1], argv[2], "/getCaseCount");
    if (!text_number(e.last, 10000, &cases))
        return 1;
    e.counting = false;
    for (uint64_t i = 1; i <= cases; i++) {
        snprintf(path, sizeof path, "/runCase?case=%u&agent=%s", (unsigned)i, argv[3]);
        run(&e, argv[1], argv[2], path);
    }
    e.counting = true;
    snprintf(path, sizeof path, "/updateReports?agent=%s", argv[3]);
    run(&e, argv[1], argv[2], path);
    return 0;
}
