/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_hostile CERTIFICATE KEY key-updates|renegotiations|tickets: a server that answers each
 * request behind a flood of what TLS itself offers. It says its port, and of each connection
 * "request flood=N renegotiated=N" once the request and the flood are over; it answers when it is
 * told to by a line.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#define FLOOD          5000
#define RENEGOTIATIONS 20 /* each waits for the client */
#define HANDSHAKE      22 /* RFC 8446 section 5.1 */
#define CLIENT_HELLO   1

static int hellos;

static void count_hellos(int written, int version, int type, const void *data, size_t len, SSL *ssl,
                         void *context)
{
    (void)version;
    (void)ssl;
    (void)context;
    if (!written && type == HANDSHAKE && len > 0 && *(const unsigned char *)data == CLIENT_HELLO)
        hellos++;
}

static bool one(SSL *ssl, const char *kind)
{
    char nothing;
    if (strcmp(kind, "key-updates") == 0)
        return SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1;
    if (strcmp(kind, "tickets") == 0)
        return SSL_new_session_ticket(ssl) == 1 && SSL_do_handshake(ssl) == 1;
    bool asked = SSL_renegotiate(ssl) == 1 && SSL_do_handshake(ssl) == 1;
    /* The client's part of it, if it takes part. */
    SSL_peek(ssl, &nothing, 1);
    return asked;
}

static void serve(SSL *ssl, const char *kind)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    char request[8192];
    int n = 0, got, flood = 0;
    int most = strcmp(kind, "renegotiations") == 0 ? RENEGOTIATIONS : FLOOD;
    while (n < (int)sizeof request - 1 &&
           (got = SSL_read(ssl, request + n, (int)sizeof request - 1 - n)) > 0) {
        n += got;
        request[n] = '\0';
        if (strstr(request, "\r\n\r\n"))
            break;
    }
    while (flood < most && one(ssl, kind))
        flood++;
    printf("request flood=%d renegotiated=%d\n", flood, hellos - 1);
    getchar();
    SSL_write(ssl, answer, sizeof answer - 1);
    SSL_shutdown(ssl);
    shutdown(SSL_get_fd(ssl), SHUT_WR);
    while (read(SSL_get_fd(ssl), request, sizeof request) > 0)
        ;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (argc != 4 || SSL_CTX_use_certificate_file(context, argv[1], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[2], SSL_FILETYPE_PEM) != 1 ||
        bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        return 1;
    if (strcmp(argv[3], "renegotiations") == 0) {
        SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
        /* SSL_peek is to return when a handshake is over, though no data came behind it. */
        SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    }
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%d\n", ntohs(address.sin_port));
    for (;;) {
        struct timeval most = {.tv_sec = 20};
        int fd = accept(listener, NULL, NULL);
        SSL *ssl = SSL_new(context);
        SSL_set_fd(ssl, fd);
        SSL_set_msg_callback(ssl, count_hellos);
        hellos = 0;
        if (SSL_accept(ssl) == 1) {
            if (strcmp(argv[3], "renegotiations") == 0)
                setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
            serve(ssl, argv[3]);
        }
        SSL_free(ssl);
        close(fd);
    }
}
