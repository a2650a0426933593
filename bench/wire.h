/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmark's programs share: the clock, TLS on a socket that does not block, WebSocket.
 */
#ifndef TW_BENCH_WIRE_H
#define TW_BENCH_WIRE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_TEXT  0x1
#define WS_CLOSE 0x8
#define WS_PING  0x9
#define WS_PONG  0xA

#define WS_HEADER_MAX 14
/* Of a message its beginning and its end are kept: nothing else of a response is looked at. */
#define WS_HEAD_MAX 8192
#define WS_TAIL_MAX 256

struct ws_message {
    unsigned opcode;
    uint64_t len;
    const char *head; /* both end with NUL */
    const char *tail;
    size_t head_len;
};

typedef void ws_handler(void *context, const struct ws_message *m);

struct ws_reader {
    uint8_t header[WS_HEADER_MAX];
    size_t header_len;
    bool in_payload, fin;
    unsigned frame_opcode, opcode;
    uint8_t mask[4];
    uint64_t left, at;
    uint64_t size; /* of the message so far */
    size_t tail_len;
    size_t control_len;
    char head[WS_HEAD_MAX + 1], tail[WS_TAIL_MAX + 1], control[126];
};

/* Standard error and exit code 1. */
_Noreturn void fail(const char *what);

int64_t now_ns(void);

/* Takes bytes of a stream of frames, masked or not, and hands over each whole message. */
void ws_feed(struct ws_reader *r, const uint8_t *data, size_t len, ws_handler *on_message,
             void *context);

/* A frame's header; a mask of zeros, which leaves the payload as it is. Its length is returned. */
size_t ws_header(uint8_t out[WS_HEADER_MAX], unsigned opcode, uint64_t len, bool masked);

/* Where the value of "name" begins in JSON; NULL when it is not there. */
const char *json_value(const char *text, const char *name);
const char *message_value(const struct ws_message *m, const char *name);

/* Writes all of it, waiting where the socket is full. False when the peer has gone. */
bool tls_write_all(SSL *tls, const void *data, size_t len);

/* Up to size bytes. 0: nothing now; -1: the connection has ended. */
int tls_read_some(SSL *tls, void *buffer, int size);

void set_nonblocking(int fd);

#endif
