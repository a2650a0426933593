/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tw_bench_tower CERT KEY: the benchmark's Tower, on a port of its own of 127.0.0.1. It answers
 * service-info, user, the upgrade and heartbeats, and does what the lines on standard input say
 * (script.c); one line of JSON on standard output answers each. It ends with its input.
 */
#include "bench/tower.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 128
#define HEAD_MAX        16384
#define LINE_MAX_LEN    16384
#define BUFFER          262144
#define GUID            "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 section 1.3 */

struct connection {
    int fd; /* -1: unused */
    SSL *tls;
    struct tower *tower;
    struct agent *agent; /* once upgraded */
    bool upgraded, closing, lost;
    size_t head_len;
    char head[HEAD_MAX + 1];
    struct ws_reader reader;
};

struct server {
    struct tower tower;
    SSL_CTX *context;
    int listener;
    struct connection connections[CONNECTIONS_MAX];
    char line[LINE_MAX_LEN];
    size_t line_len;
};

struct agent *tower_agent(struct tower *t, const char *id)
{
    for (int i = 0; i < t->n_agents; i++)
        if (strcmp(t->agents[i].id, id) == 0)
            return &t->agents[i];
    if (t->n_agents == AGENTS_MAX || strlen(id) >= AGENT_ID_MAX)
        fail("too many agents, or too long an ID");
    struct agent *a = &t->agents[t->n_agents++];
    memcpy(a->id, id, strlen(id) + 1);
    return a;
}

/* The agent has gone; the descriptor goes when its turn in the loop is over. */
static void lose(struct connection *c)
{
    struct agent *a = c->agent;
    c->lost = true;
    c->agent = NULL;
    if (!a || a->connection != c)
        return;
    a->connection = NULL;
    script_lost(c->tower, a);
}

static void release(struct connection *c)
{
    SSL_free(c->tls);
    close(c->fd);
    c->tls = NULL;
    c->fd = -1;
}

bool tower_send(struct agent *a, unsigned opcode, const void *payload, size_t len)
{
    struct connection *c = a->connection;
    uint8_t frame[WS_HEADER_MAX + HEAD_MAX];
    if (!c || c->lost || len > HEAD_MAX)
        return false;
    size_t n = ws_header(frame, opcode, len, false);
    memcpy(frame + n, payload, len);
    c->closing |= opcode == WS_CLOSE;
    if (!tls_write_all(c->tls, frame, n + len))
        lose(c);
    return !c->lost;
}

void tower_reset(struct agent *a)
{
    struct linger now = {.l_onoff = 1};
    struct connection *c = a->connection;
    if (!c)
        return;
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    lose(c);
    release(c);
}

/* ---- HTTP ---- */

static void reply(struct connection *c, const char *status, const char *body)
{
    char text[1024];
    snprintf(text, sizeof text,
             "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             status, strlen(body), body);
    if (!tls_write_all(c->tls, text, strlen(text)))
        lose(c);
}

static void upgrade(struct connection *c, const char *id, size_t id_len)
{
    const char *key = strcasestr(c->head, "\r\nSec-WebSocket-Key:");
    char joined[128], name[AGENT_ID_MAX], accept[64], text[256];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n;
    if (!key || id_len >= sizeof name) {
        reply(c, "400 Bad Request", "{\"message\":\"no upgrade\"}");
        return;
    }
    key += strlen("\r\nSec-WebSocket-Key:");
    key += strspn(key, " ");
    snprintf(joined, sizeof joined, "%.*s" GUID, (int)strcspn(key, " \r"), key);
    EVP_Digest(joined, strlen(joined), digest, &n, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)accept, digest, (int)n);
    snprintf(text, sizeof text,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             accept);
    snprintf(name, sizeof name, "%.*s", (int)id_len, id);
    c->upgraded = true;
    c->agent = tower_agent(c->tower, name);
    c->agent->connection = c;
    if (!tls_write_all(c->tls, text, strlen(text)))
        lose(c);
}

static void on_request(struct connection *c)
{
    static const char agent[] = "GET /api/agent/", connect[] = "/connect ";
    if (strncmp(c->head, "GET /api/service-info ", 22) == 0) {
        reply(c, "200 OK", "{\"serviceInfo\":{\"version\":\"25.1.0\",\"apiVersion\":\"1.198.0\"}}");
    } else if (strncmp(c->head, "GET /api/user ", 14) == 0) {
        reply(c, "200 OK", "{\"user\":{\"id\":1,\"userName\":\"owner\"}}");
    } else if (strncmp(c->head, agent, sizeof agent - 1) == 0) {
        const char *id = c->head + sizeof agent - 1, *end = strstr(id, connect);
        if (end)
            upgrade(c, id, (size_t)(end - id));
        else
            reply(c, "404 Not Found", "{}");
    } else {
        reply(c, "404 Not Found", "{}");
    }
}

/* ---- bytes ---- */

static void on_message(void *context, const struct ws_message *m)
{
    struct connection *c = context;
    if (!c->agent)
        return;
    if (m->opcode == WS_TEXT) {
        script_message(c->tower, c->agent, m);
    } else if (m->opcode == WS_PING) {
        tower_send(c->agent, WS_PONG, m->head, m->head_len);
    } else if (m->opcode == WS_CLOSE) {
        if (!c->closing)
            tower_send(c->agent, WS_CLOSE, m->head, m->head_len);
        SSL_shutdown(c->tls);
        lose(c);
    }
}

/* Gathers a request's head; what follows an upgrade is the conversation. */
static void take_request(struct connection *c, const uint8_t *data, size_t len)
{
    if (len > HEAD_MAX - c->head_len) {
        lose(c);
        return;
    }
    memcpy(c->head + c->head_len, data, len);
    c->head_len += len;
    c->head[c->head_len] = '\0';
    const char *end = strstr(c->head, "\r\n\r\n");
    if (!end)
        return;
    size_t head = (size_t)(end - c->head) + 4, rest = c->head_len - head;
    on_request(c);
    c->head_len = 0;
    if (c->upgraded && !c->lost)
        ws_feed(&c->reader, (const uint8_t *)c->head + head, rest, on_message, c);
}

static void receive(struct connection *c)
{
    static uint8_t buffer[BUFFER];
    int n;
    while (!c->lost && (n = tls_read_some(c->tls, buffer, sizeof buffer)) != 0) {
        c->tower->received_ns = now_ns();
        if (n < 0)
            lose(c);
        else if (c->upgraded)
            ws_feed(&c->reader, buffer, (size_t)n, on_message, c);
        else
            take_request(c, buffer, (size_t)n);
    }
}

static void accept_one(struct server *s)
{
    int one = 1, fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct connection *c = s->connections;
    if (fd < 0)
        return;
    while (c->fd >= 0)
        if (++c == s->connections + CONNECTIONS_MAX)
            fail("too many connections");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    memset(c, 0, sizeof *c);
    c->fd = fd;
    c->tower = &s->tower;
    c->tls = SSL_new(s->context);
    if (!c->tls || SSL_set_fd(c->tls, fd) != 1)
        fail("no TLS for a connection");
    SSL_set_accept_state(c->tls);
}

/* ---- the loop ---- */

static void read_lines(struct server *s)
{
    ssize_t n = read(STDIN_FILENO, s->line + s->line_len, sizeof s->line - s->line_len - 1);
    if (n <= 0)
        exit(0);
    s->line_len += (size_t)n;
    s->line[s->line_len] = '\0';
    for (char *end; (end = strchr(s->line, '\n'));) {
        *end = '\0';
        script_line(&s->tower, s->line);
        s->line_len -= (size_t)(end + 1 - s->line);
        memmove(s->line, end + 1, s->line_len + 1);
    }
}

static void turn(struct server *s)
{
    struct pollfd fds[2 + CONNECTIONS_MAX] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                              {.fd = s->listener, .events = POLLIN}};
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        fds[2 + i] = (struct pollfd){.fd = s->connections[i].fd, .events = POLLIN};
    poll(fds, 2 + CONNECTIONS_MAX, -1);
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = &s->connections[i];
        if (c->fd >= 0 && fds[2 + i].revents)
            receive(c);
        if (c->fd >= 0 && c->lost)
            release(c);
    }
    if (fds[0].revents)
        read_lines(s);
    if (fds[1].revents)
        accept_one(s);
}

static uint16_t listen_here(struct server *s)
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    socklen_t len = sizeof here;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&here, sizeof here) != 0 ||
        listen(s->listener, 64) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&here, &len) != 0)
        fail("cannot listen");
    return ntohs(here.sin_port);
}

int main(int argc, char **argv)
{
    static struct server s;
    if (argc != 3)
        fail("usage: tw_bench_tower CERT KEY");
    signal(SIGPIPE, SIG_IGN);
    s.context = SSL_CTX_new(TLS_server_method());
    if (!s.context || SSL_CTX_use_certificate_chain_file(s.context, argv[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(s.context, argv[2], SSL_FILETYPE_PEM) != 1)
        fail("cannot load the certificate or its key");
    SSL_CTX_set_mode(s.context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(s.context, 1);
    SSL_CTX_set_default_read_buffer_len(s.context, BUFFER);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        s.connections[i].fd = -1;
    printf("{\"port\":%u}\n", (unsigned)listen_here(&s));
    fflush(stdout);
    for (;;)
        turn(&s);
}
