/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of messages.def as C types, and their codec. */
#ifndef TW_IPC_MESSAGE_H
#define TW_IPC_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/span.h"

enum ipc_direction {
    PARENT_TO_CORE = 1 << 0,
    CORE_TO_PARENT = 1 << 1,
    PARENT_TO_EXEC = 1 << 2,
    EXEC_TO_PARENT = 1 << 3,
    PARENT_TO_LAUNCHER = 1 << 4,
    LAUNCHER_TO_PARENT = 1 << 5,
    PARENT_TO_SESSION = 1 << 6,
    SESSION_TO_PARENT = 1 << 7,
    CORE_TO_EXEC = 1 << 8,
    EXEC_TO_CORE = 1 << 9,
    CORE_TO_SESSION = 1 << 10,
    SESSION_TO_CORE = 1 << 11,
    LAUNCHER_TO_CONNECT = 1 << 12,
    CONNECT_TO_SESSION = 1 << 13
};

/* The state of a channel's receiving end. */
enum ipc_phase {
    PHASE_CONFIG = 1 << 0,    /* nothing but the configuration is expected */
    PHASE_RUN = 1 << 1,       /* configured */
    PHASE_BEFORE_GO = 1 << 2, /* session and core: before go */
    PHASE_ASKED = 1 << 3,     /* session and core: the request is sent, no answer yet */
    PHASE_ONLINE = 1 << 4,    /* session and core: the conversation */
    PHASE_ANY = 0xff
};

enum ipc_frequency { OFTEN, ONCE };

enum ipc_descriptor { NO_FD, MEMFD, MAYBE_MEMFD, SOCKET, DIRECTORY, REGULAR_FILE };

/* A session's purpose, given at its birth. Trial: no connection; it tries its own sandbox. */
enum purpose { PURPOSE_PROBE, PURPOSE_LOGIN, PURPOSE_AGENT, PURPOSE_TRIAL };
#define PURPOSE_MAX PURPOSE_TRIAL
/* Those that connect. */
#define PURPOSES (PURPOSE_AGENT + 1)

/* How the connection is, as core tells its parent and the status file. */
enum link_state {
    LINK_PROBING,    /* GET /service-info */
    LINK_LOGGING_IN, /* GET /user */
    LINK_CONNECTING, /* the upgrade */
    LINK_ONLINE,
    LINK_WAITING,       /* back-off */
    LINK_STANDBY,       /* another agent holds the connection */
    LINK_TOKEN_REFUSED, /* refused after it had been accepted */
    LINK_STOPPING
};
#define LINK_STATE_MAX LINK_STOPPING

/* Where a connection ended. */
enum stage {
    STAGE_RESOLVE,  /* DNS; code: libcurl's */
    STAGE_CONNECT,  /* TCP; code: errno or libcurl's */
    STAGE_PROXY,    /* proxy; code: HTTP status or libcurl's */
    STAGE_TLS,      /* handshake; code: X509 error, 0 if none */
    STAGE_PIN,      /* certificate verified, but no pin matches */
    STAGE_TOKEN,    /* the parent gave no token */
    STAGE_HTTP,     /* the answer is not acceptable HTTP */
    STAGE_UPGRADE,  /* a 101 that is not ours: accept key, extension, subprotocol */
    STAGE_CLOSED,   /* WebSocket close received; code: close code, 1005 if none */
    STAGE_CLOSING,  /* we closed: code as sent */
    STAGE_DROPPED,  /* end of file or reset without close; code: errno or 0 */
    STAGE_PROTOCOL, /* the peer broke WebSocket or message rules; code: close code sent */
    STAGE_TIMEOUT,  /* a step's deadline passed */
    STAGE_INTERNAL  /* our own failure; code: errno */
};
#define STAGE_MAX STAGE_INTERNAL

/* ---- generated from messages.def ---- */

#define MESSAGE(name, ...) MSG_##name,
enum ipc_type {
#include "ipc/messages.def"
    MSG_COUNT
};
#undef MESSAGE

#define U(message, field, max)      uint64_t field;
#define I(message, field, min, max) int64_t field;
#define S(message, field, min, max) struct span field;
#define B(message, field, min, max) struct span field;
#define MESSAGE(name, directions, phases, frequency, descriptor, fd_max, meaning, fields)          \
    struct msg_##name {                                                                            \
        fields                                                                                     \
    };
#include "ipc/messages.def"
#undef MESSAGE
#undef U
#undef I
#undef S
#undef B

#define MESSAGE(name, ...) struct msg_##name name;
union ipc_message {
#include "ipc/messages.def"
};
#undef MESSAGE

/* What the table says of one field and one message. */
enum ipc_kind { KIND_UNSIGNED, KIND_SIGNED, KIND_TEXT, KIND_BYTES };

struct ipc_field {
    const char *name;
    enum ipc_kind kind;
    size_t offset; /* in the message's struct */
    int64_t min;   /* least value or length */
    uint64_t max;  /* largest value or length */
};

struct ipc_row {
    const char *name;
    const char *meaning;
    unsigned directions;
    unsigned phases;
    enum ipc_frequency frequency;
    enum ipc_descriptor descriptor;
    uint64_t fd_max;
    const struct ipc_field *fields;
    size_t n_fields;
};

/* The row of a type; NULL when type is not below MSG_COUNT. */
const struct ipc_row *ipc_row(unsigned type);

/*
 * Encodes the message (a struct msg_NAME) as [type, fields…] into out. Returns the length, or 0
 * when a field breaks its bounds or the frame exceeds LIMIT_PACKET: the caller's mistake.
 */
size_t ipc_encode(char *out, size_t size, enum ipc_type type, const void *message);

/*
 * Decodes one frame. Spans in *message point into frame, which must outlive it. Every bound of the
 * table is checked; direction, phase and descriptor are the channel's business. Returns the type,
 * or -1 with a static text in *why.
 */
int ipc_decode(const char *frame, size_t len, union ipc_message *message, const char **why);

#endif
