/* SPDX-License-Identifier: Apache-2.0 */
/* One session: one TLS connection, one request, and for an agent the conversation after it. */
#ifndef TW_NET_SESSION_SESSION_H
#define TW_NET_SESSION_SESSION_H

#include <event2/event.h>

#include "ipc/channel.h"
#include "net/session/http.h"
#include "net/session/tls.h"
#include "net/session/token.h"
#include "net/session/upgrade.h"
#include "net/session/ws.h"
#include "sandbox/sandbox.h"

enum session_step {
    STEP_HANDOVER,  /* waits for the connector's socket */
    STEP_HANDSHAKE, /* TLS */
    STEP_READY,     /* verified; waits for go */
    STEP_TOKEN,     /* asked the parent */
    STEP_REQUEST,   /* the request's record does not fit the socket yet */
    STEP_RESPONSE,
    STEP_ONLINE,
    STEP_OVER /* the last word is said; leaves once core has it */
};

/* What the last word will be, once the connection's end allows it. */
struct last_word {
    enum stage stage;
    int code;
    char detail[LIMIT_DETAIL + 1];
};

struct session {
    struct event_base *base;
    enum purpose purpose;
    unsigned timeout_ms;
    bool sandbox_log;
    enum session_step step;
    bool gone; /* core said go */
    int code;  /* exit code */
    int socket;
    struct channel *core, *handover;
    struct event *readable, *writable, *closed; /* of the socket */
    struct event *token_readable, *deadline;
    struct tls tls;
    struct token token;
    struct upgrade upgrade;
    struct http http;
    /* Of the conversation. */
    struct ws ws;
    bool ending; /* the WebSocket is closing; word says what to report */
    struct last_word word;
    unsigned refused;     /* messages of the server's that made no sense */
    unsigned unknown;     /* and well-formed ones of unknown kinds */
    uint64_t progress_ms; /* when progress was sent last, and what it said */
    uint64_t progress_bytes, progress_results;
    size_t progress_message;
};

/*
 * Reads all that needs files, and takes over the channels at their fixed descriptors. config and
 * ca_fd are the first message's; ca_fd is closed. 0, or -1: session_fail.
 */
int session_init(struct session *s, const struct msg_session_config *config, int *ca_fd);

/* Enters the sandbox. 0, or -1: session_fail. */
int session_confine(struct session *s);

/* Tells core why there will be no session; core logs it once, however often it tries. */
void session_fail(const struct session *s);

/* Runs to the end; the exit code. */
int session_run(struct session *s);

/* ---- between session.c, exchange.c and conversation.c ---- */

/* Arms the one deadline: the step under way must end within ms. */
void session_deadline(struct session *s, uint64_t ms);

/* The last word, and the end. Only the first call counts. */
void session_ended(struct session *s, enum stage stage, int code, const char *detail);

/* The same, from what TLS says. */
void session_tls_ended(struct session *s, enum tls_io how);

/* Leaves the loop as soon as core has taken what is queued for it. */
void session_leave(struct session *s);

/* exchange.c: token, request and answer. */
void exchange_begin(struct session *s);
void exchange_readable(struct session *s);
void exchange_writable(struct session *s);
void exchange_timeout(struct session *s);
void exchange_on_token(evutil_socket_t fd, short what, void *arg);

/* conversation.c: the WebSocket. */
void conversation_begin(struct session *s, const char *rest, size_t len);
void conversation_turn(struct session *s);
void conversation_readable(struct session *s);
void conversation_timeout(struct session *s);
enum verdict conversation_info(void *context, const struct msg_info *m, int *fd);
enum verdict conversation_heartbeat(void *context, const struct msg_heartbeat *m, int *fd);
enum verdict conversation_result(void *context, const struct msg_result *m, int *fd);
enum verdict conversation_close(void *context, const struct msg_close_session *m, int *fd);

#endif
