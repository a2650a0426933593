/* SPDX-License-Identifier: Apache-2.0 */
/* One packet on a SOCK_SEQPACKET socket, blocking or not: what the channels and the start-up of a
 * child share. */
#ifndef TW_IPC_PACKET_H
#define TW_IPC_PACKET_H

#include "ipc/message.h"

struct packet {
    char bytes[LIMIT_PACKET + 1]; /* one more, so that an oversized packet shows */
    size_t len;
    int fd; /* the descriptor that came along, or -1; the holder closes it */
    enum ipc_type type;
    union ipc_message message; /* spans point into bytes */
};

enum packet_outcome { PACKET_OK, PACKET_AGAIN, PACKET_EOF, PACKET_HOSTILE, PACKET_ERROR };

/*
 * Receives and decodes one packet that the table permits in this direction and phase. Surplus
 * descriptors are closed, a descriptor of the wrong kind, size or without seals is hostile. On
 * PACKET_HOSTILE *why is a static text and no descriptor is left open; on PACKET_ERROR errno says
 * why.
 */
enum packet_outcome packet_receive(int socket, struct packet *p, unsigned directions,
                                   unsigned phase, const char **why);

/*
 * Sends one encoded frame with fd (or -1). 0, or -1 with errno (EAGAIN and ETOOMANYREFS: try again
 * later).
 */
int packet_send(int socket, const char *frame, size_t len, int fd);

/*
 * For start-up, before any loop: encodes and sends at once. A fresh socket's buffer takes it. The
 * descriptor stays the caller's. 0, or -1 with errno (EMSGSIZE: a field out of its bounds).
 */
int packet_send_message(int socket, enum ipc_type type, const void *message, int fd);

/*
 * For start-up: waits for the one expected message. 0, or -1 with a static text in *why.
 */
int packet_expect(int socket, struct packet *p, unsigned direction, unsigned phase,
                  enum ipc_type type, const char **why);

/* A pair of SOCK_SEQPACKET sockets, close-on-exec, blocking. 0 or -1 with errno. */
int packet_pair(int pair[2]);

#endif
