/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tw_bench_floor PORT CA-FILE TOKEN CONNECTION-ID: the least that an agent could be. One process,
 * no sandbox, no policy: it comes online at a Tower on this host and answers command requests.
 *   echo    at once
 *   spawn   after a posix_spawn of sh -c true with a pipe and a wait; exitStatus is the time that
 *           took, in microseconds
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FIN_TEXT    0x81
#define FIN_CLOSE   0x88
#define MASKED      0x80
#define LENGTH_7    125
#define MESSAGE_MAX 4096

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "tw_bench_floor: %s\n", what);
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static SSL *connect_tls(uint16_t port, const char *ca)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        fail("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_load_verify_locations(context, ca, NULL) != 1)
        fail("cannot load the CA");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL *tls = SSL_new(context);
    char host[] = "localhost";
    if (!tls || SSL_set_fd(tls, fd) != 1 || SSL_set1_host(tls, host) != 1 ||
        SSL_set_tlsext_host_name(tls, host) != 1 || SSL_connect(tls) != 1)
        fail("no TLS");
    return tls;
}

static void read_exactly(SSL *tls, void *buffer, size_t len)
{
    uint8_t *at = buffer;
    size_t n;
    for (; len > 0; at += n, len -= n)
        if (SSL_read_ex(tls, at, len, &n) != 1)
            exit(0); /* the Tower has ended */
}

static void write_all(SSL *tls, const void *data, size_t len)
{
    size_t n;
    if (SSL_write_ex(tls, data, len, &n) != 1 || n != len)
        exit(0);
}

/* One masked frame in one write; a mask of zeros leaves the payload as it is. */
static void send_text(SSL *tls, const char *text)
{
    uint8_t frame[8 + MESSAGE_MAX] = {FIN_TEXT};
    size_t len = strlen(text), head = 2;
    if (len <= LENGTH_7) {
        frame[1] = (uint8_t)(MASKED | len);
    } else {
        frame[1] = MASKED | 126;
        frame[2] = (uint8_t)(len >> 8);
        frame[3] = (uint8_t)len;
        head = 4;
    }
    head += 4;
    memcpy(frame + head, text, len);
    write_all(tls, frame, head + len);
}

static void go_online(SSL *tls, const char *token, const char *id)
{
    char head[MESSAGE_MAX];
    snprintf(head, sizeof head,
             "GET /api/agent/%s/connect HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
             "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
             id, token);
    write_all(tls, head, strlen(head));
    size_t len = 0;
    do {
        if (len == sizeof head - 1)
            fail("the answer is too long");
        read_exactly(tls, head + len++, 1);
        head[len] = '\0';
    } while (!strstr(head, "\r\n\r\n"));
    if (strncmp(head, "HTTP/1.1 101", 12) != 0)
        fail("no upgrade");
    send_text(tls, "{\"@type\":\"info\",\"userName\":\"floor\",\"workDir\":\"/\","
                   "\"agentVersion\":\"0\"}");
}

/* The next message; the Tower's frames here are short, whole and unmasked. */
static void receive_text(SSL *tls, char *text, size_t size)
{
    uint8_t head[2], more[2];
    read_exactly(tls, head, 2);
    size_t len = head[1];
    if (len == 126) {
        read_exactly(tls, more, 2);
        len = (size_t)more[0] << 8 | more[1];
    }
    if (head[0] == FIN_CLOSE)
        exit(0);
    if (head[0] != FIN_TEXT || len >= size)
        fail("a frame of another kind");
    read_exactly(tls, text, len);
    text[len] = '\0';
}

/* The bare minimum of running a command and taking its output. */
static int64_t spawn_and_wait(void)
{
    static char sh[] = "sh", c[] = "-c", text[] = "true", path[] = "PATH=/usr/bin:/bin";
    char *const argv[] = {sh, c, text, NULL}, *const env[] = {path, NULL};
    char output[4096];
    posix_spawn_file_actions_t actions;
    int ends[2], status;
    pid_t pid;
    int64_t begun = now_us();
    if (pipe2(ends, O_CLOEXEC) != 0 || posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, ends[1], 2) != 0 ||
        posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, env) != 0)
        fail("cannot spawn");
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    while (read(ends[0], output, sizeof output) > 0)
        ;
    close(ends[0]);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        fail("sh -c true failed");
    return now_us() - begun;
}

static void answer(SSL *tls, const char *request)
{
    static const char id_name[] = "\"id\": \"";
    char response[MESSAGE_MAX];
    const char *id = strstr(request, id_name);
    if (!id)
        fail("a message without an id");
    id += sizeof id_name - 1;
    int64_t us = strstr(request, "\"spawn\"") ? spawn_and_wait() : 0;
    snprintf(response, sizeof response,
             "{\"@type\":\"command-response\",\"id\":\"%.*s\",\"exitStatus\":%lld}",
             (int)strcspn(id, "\""), id, (long long)us);
    send_text(tls, response);
}

int main(int argc, char **argv)
{
    char message[MESSAGE_MAX];
    if (argc != 5)
        fail("usage: tw_bench_floor PORT CA-FILE TOKEN CONNECTION-ID");
    SSL *tls = connect_tls((uint16_t)strtoul(argv[1], NULL, 10), argv[2]);
    go_online(tls, argv[3], argv[4]);
    for (;;) {
        receive_text(tls, message, sizeof message);
        answer(tls, message);
    }
}
