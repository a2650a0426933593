/* SPDX-License-Identifier: Apache-2.0 */
/* Tower's JSON: its messages in both directions, and the bodies of HTTP answers. */
#ifndef TW_NET_SESSION_MESSAGES_H
#define TW_NET_SESSION_MESSAGES_H

#include <jansson.h>

#include "base/buf.h"
#include "ipc/message.h"

enum message_kind { MESSAGE_HEARTBEAT, MESSAGE_COMMAND, MESSAGE_REFUSED };

struct message {
    enum message_kind kind;
    struct span id, command; /* within root */
    const char *why;         /* static text of MESSAGE_REFUSED: nothing of the message in it */
    bool harmless;           /* refused, but well-formed: a kind of a Tower newer than we are */
    json_t *root;
};

/* Decodes one text message; message_finish frees what id and command point to. */
void message_decode(struct message *m, struct span text);
void message_finish(struct message *m);

/* Encoders: append to an empty buffer; false when it does not fit. */
bool message_heartbeat(struct buf *out);
bool message_info(struct buf *out, const struct msg_info *m);

/*
 * A command response, in two parts between which the base64 of the output goes. An empty result is
 * left out, as the public agent does; *tail is a static text.
 */
bool message_response(struct buf *head, const char **tail, const struct msg_result *m, bool empty);

/* What the body of a service-info answer says. False: this is not Tower. */
bool body_api_version(struct span body, char *version, size_t size);

/* The server's own version there, made safe like a message; empty when there is none. */
void body_server_version(struct span body, char *out, size_t size);

/* The "message" of an error body, made safe for a report: no control characters, cut at a character
 * of UTF-8. Empty when there is none. */
void body_message(struct span body, char *out, size_t size);

/* The same cleaning for any text of the server's. */
void text_clean(char *out, size_t size, struct span text);

#endif
