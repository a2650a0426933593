/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tw_bench_floor [-u URL] [-w DIR] CONNECTION-ID, token in TOWER_ACCESS_TOKEN, the CA's certificate
 * in SSL_CERT_FILE: the least that an agent could be. One process, no sandbox, no policy, nothing
 * kept. It takes the public agent's command line and runs commands, except for
 *   :echo     answered at once
 *   :spawn    runs sh -c true and waits; exitStatus is the time that took, in microseconds
 *   :big N    answered at once, with N bytes of zeros that were encoded before
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/run.h"
#include "bench/wire.h"

#define AT_ONCE_MAX 64
#define TEXT_MAX    4096
#define ID_MAX      128
#define HEAD_ROOM   512

struct command {
    struct run run;
    char id[ID_MAX];
};

struct floor_agent {
    const char *host, *port, *path, *id, *dir;
    SSL_CTX *context;
    SSL *tls;
    struct ws_reader reader;
    struct command commands[AT_ONCE_MAX];
    int heartbeat_ms;
    bool over;
    char *response; /* head room, then base64 */
    size_t response_size;
    size_t big; /* of the zeros encoded in it */
};

/* ---- connection ---- */

static bool connect_tls(struct floor_agent *a)
{
    struct addrinfo *list, hints = {.ai_socktype = SOCK_STREAM};
    int one = 1, fd = -1;
    if (getaddrinfo(a->host, a->port, &hints, &list) != 0)
        return false;
    for (struct addrinfo *at = list; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    if (fd < 0)
        return false;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    a->tls = SSL_new(a->context);
    if (!a->tls || SSL_set_fd(a->tls, fd) != 1 || SSL_set1_host(a->tls, a->host) != 1 ||
        SSL_set_tlsext_host_name(a->tls, (char *)(uintptr_t)a->host) != 1 ||
        SSL_connect(a->tls) != 1)
        fail("no TLS");
    return true;
}

static void disconnect(struct floor_agent *a)
{
    int fd = SSL_get_fd(a->tls);
    SSL_free(a->tls);
    a->tls = NULL;
    close(fd);
}

/* One request whose answer has this beginning; false when the connection ended. */
static bool ask(struct floor_agent *a, const char *path, const char *headers, const char *status)
{
    char text[TEXT_MAX], *end;
    size_t len = 0, body;
    int n;
    snprintf(text, sizeof text,
             "GET %s%s HTTP/1.1\r\nHost: %s:%s\r\nAuthorization: Bearer %s\r\n%s\r\n", a->path,
             path, a->host, a->port, getenv("TOWER_ACCESS_TOKEN"), headers);
    if (!tls_write_all(a->tls, text, strlen(text)))
        return false;
    do { /* byte by byte up to the head's end: what follows is the conversation's */
        n = SSL_read(a->tls, text + len, 1);
        len += n > 0;
        text[len] = '\0';
    } while (n > 0 && len < sizeof text - 1 && !(end = strstr(text, "\r\n\r\n")));
    if (n <= 0 || strncmp(text, status, strlen(status)) != 0)
        return false;
    const char *length = strstr(text, "Content-Length: ");
    for (body = length ? strtoul(length + 16, NULL, 10) : 0; body > 0; body -= (size_t)n)
        if ((n = SSL_read(a->tls, text, (int)(body < sizeof text ? body : sizeof text))) <= 0)
            return false;
    return true;
}

static void send_text(struct floor_agent *a, const char *text)
{
    uint8_t frame[WS_HEADER_MAX + TEXT_MAX];
    size_t len = strlen(text), head = ws_header(frame, WS_TEXT, len, true);
    memcpy(frame + head, text, len);
    if (!tls_write_all(a->tls, frame, head + len))
        a->over = true;
}

static bool go_online(struct floor_agent *a, bool first)
{
    char path[ID_MAX + 32], info[TEXT_MAX];
    if (!connect_tls(a))
        return false;
    snprintf(path, sizeof path, "/agent/%s/connect", a->id);
    if (first &&
        (!ask(a, "/service-info", "", "HTTP/1.1 200") || !ask(a, "/user", "", "HTTP/1.1 200")))
        fail("no start");
    if (!ask(a, path,
             "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n",
             "HTTP/1.1 101")) {
        disconnect(a);
        return false;
    }
    set_nonblocking(SSL_get_fd(a->tls));
    memset(&a->reader, 0, sizeof a->reader);
    snprintf(
        info, sizeof info,
        "{\"@type\":\"info\",\"userName\":\"floor\",\"workDir\":\"%s\",\"agentVersion\":\"0\"}",
        a->dir);
    a->over = false;
    send_text(a, info);
    return true;
}

/* ---- answers ---- */

static void make_room(struct floor_agent *a, size_t output)
{
    size_t need = HEAD_ROOM + output / 3 * 4 + 16;
    if (need <= a->response_size)
        return;
    a->response = realloc(a->response, need);
    if (!a->response)
        fail("no memory for a response");
    a->response_size = need;
}

/* The base64 stands at HEAD_ROOM already; what goes before it is put right in front. */
static void send_response(struct floor_agent *a, const char *id, int64_t status, size_t base64)
{
    char head[HEAD_ROOM];
    uint8_t frame[WS_HEADER_MAX];
    const char *tail = base64 ? "\"}" : "}";
    int len = snprintf(head, sizeof head,
                       "{\"@type\":\"command-response\",\"id\":\"%s\",\"exitStatus\":%lld%s", id,
                       (long long)status, base64 ? ",\"result\":\"" : "");
    size_t n = (size_t)len, header = ws_header(frame, WS_TEXT, n + base64 + strlen(tail), true);
    char *begin = a->response + HEAD_ROOM - n - header;
    memcpy(begin, frame, header);
    memcpy(begin + header, head, n);
    memcpy(a->response + HEAD_ROOM + base64, tail, strlen(tail));
    if (!tls_write_all(a->tls, begin, header + n + base64 + strlen(tail)))
        a->over = true;
}

static void encode(struct floor_agent *a, const char *data, size_t len)
{
    make_room(a, len);
    EVP_EncodeBlock((unsigned char *)a->response + HEAD_ROOM, (const unsigned char *)data,
                    (int)len);
    a->big = 0;
}

static size_t base64_len(size_t len)
{
    return (len + 2) / 3 * 4;
}

static void answer_big(struct floor_agent *a, const char *id, size_t len)
{
    if (a->big != len) {
        char *zeros = calloc(1, len);
        if (!zeros)
            fail("no memory");
        encode(a, zeros, len);
        free(zeros);
        a->big = len;
    }
    send_response(a, id, 0, base64_len(len));
}

static void answer_spawn(struct floor_agent *a, const char *id)
{
    static struct run r;
    run_start(&r, "true");
    while (!run_read(&r, false))
        ;
    if (run_finish(&r) != 0)
        fail("sh -c true failed");
    send_response(a, id, (now_ns() - r.begun) / 1000, 0);
}

/* A JSON string's content; of escapes those that the benchmark's Tower uses. */
static bool copy_string(char *out, size_t size, const char *from)
{
    size_t n = 0;
    if (!from || *from++ != '"')
        return false;
    for (; *from && *from != '"' && n < size - 1; from++) {
        if (*from == '\\')
            from++;
        out[n++] = *from;
    }
    out[n] = '\0';
    return *from == '"';
}

static void run_command(struct floor_agent *a, const char *id, const char *text)
{
    struct command *c = a->commands;
    while (c->run.pid)
        if (++c == a->commands + AT_ONCE_MAX)
            fail("too many commands at once");
    memcpy(c->id, id, ID_MAX);
    run_start(&c->run, text);
}

static void on_message(void *context, const struct ws_message *m)
{
    struct floor_agent *a = context;
    char id[ID_MAX], text[TEXT_MAX];
    if (m->opcode == WS_CLOSE)
        a->over = true;
    if (m->opcode != WS_TEXT || !copy_string(id, sizeof id, message_value(m, "id")))
        return; /* a reply to a heartbeat */
    if (!copy_string(text, sizeof text, message_value(m, "command")))
        fail("a command that is none");
    if (strcmp(text, ":echo") == 0)
        send_response(a, id, 0, 0);
    else if (strcmp(text, ":spawn") == 0)
        answer_spawn(a, id);
    else if (strncmp(text, ":big ", 5) == 0)
        answer_big(a, id, strtoul(text + 5, NULL, 10));
    else
        run_command(a, id, text);
}

/* ---- the loop ---- */

static void receive(struct floor_agent *a)
{
    static uint8_t buffer[65536];
    int n;
    while (!a->over && (n = tls_read_some(a->tls, buffer, sizeof buffer)) != 0) {
        if (n > 0)
            ws_feed(&a->reader, buffer, (size_t)n, on_message, a);
        else
            a->over = true;
    }
}

static void progress(struct floor_agent *a, struct command *c)
{
    if (!run_read(&c->run, true))
        return;
    int status = run_finish(&c->run);
    if (c->run.len > 0)
        encode(a, c->run.output, c->run.len);
    send_response(a, c->id, status, c->run.len ? base64_len(c->run.len) : 0);
}

static void converse(struct floor_agent *a)
{
    struct pollfd fds[1 + AT_ONCE_MAX];
    int64_t beat = now_ns() / 1000000 + a->heartbeat_ms;
    while (!a->over) {
        fds[0] = (struct pollfd){.fd = SSL_get_fd(a->tls), .events = POLLIN};
        for (int i = 0; i < AT_ONCE_MAX; i++) {
            const struct run *r = &a->commands[i].run;
            fds[1 + i] = (struct pollfd){.fd = r->pid ? r->pipe : -1, .events = POLLIN};
        }
        int64_t left = beat - now_ns() / 1000000;
        if (poll(fds, 1 + AT_ONCE_MAX, left > 0 ? (int)left : 0) == 0) {
            send_text(a, "{\"@type\":\"heartbeat\"}");
            beat += a->heartbeat_ms;
        }
        if (fds[0].revents)
            receive(a);
        for (int i = 0; i < AT_ONCE_MAX && !a->over; i++)
            if (fds[1 + i].revents)
                progress(a, &a->commands[i]);
    }
}

/* https://HOST:PORT/PATH */
static void take_url(struct floor_agent *a, char *url)
{
    char *host = strstr(url, "://"), *port, *path;
    if (!host || !(port = strchr(host + 3, ':')) || !(path = strchr(port, '/')))
        fail("the URL is not https://HOST:PORT/PATH");
    a->path = strdup(path);
    *port = *path = '\0';
    a->host = host + 3;
    a->port = port + 1;
}

int main(int argc, char **argv)
{
    static struct floor_agent a = {.dir = "/", .heartbeat_ms = 45000};
    const char *heartbeat = getenv("TOWER_AGENT_HEARTBEAT");
    for (int option; (option = getopt(argc, argv, "u:w:")) != -1;) {
        if (option == 'u')
            take_url(&a, optarg);
        else if (option == 'w')
            a.dir = optarg;
        else
            return 2;
    }
    if (optind + 1 != argc || !a.host || !getenv("TOWER_ACCESS_TOKEN"))
        fail("usage: TOWER_ACCESS_TOKEN=… tw_bench_floor -u URL [-w DIR] CONNECTION-ID");
    a.id = argv[optind];
    if (heartbeat) { /* 45s, 1500ms */
        char *unit;
        long n = strtol(heartbeat, &unit, 10);
        a.heartbeat_ms = (int)(strcmp(unit, "ms") == 0 ? n : n * 1000);
    }
    a.context = SSL_CTX_new(TLS_client_method());
    if (!a.context || SSL_CTX_set_default_verify_paths(a.context) != 1)
        fail("cannot load the CA");
    SSL_CTX_set_verify(a.context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(a.context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    make_room(&a, 0);
    if (!go_online(&a, true))
        fail("cannot go online");
    for (;;) {
        converse(&a);
        disconnect(&a);
        for (int64_t until = now_ns() + 5000000000; !go_online(&a, false);) {
            if (now_ns() > until)
                return 0; /* the Tower has ended */
            poll(NULL, 0, 20);
        }
    }
}
