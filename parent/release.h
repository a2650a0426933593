/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token's way out: a session is opened on core's request, and gets the token once, for a
 * purpose that needs it. Both are limited by rate.
 */
#ifndef TW_PARENT_RELEASE_H
#define TW_PARENT_RELEASE_H

#include "ipc/channel.h"
#include "parent/token.h"

#define RELEASE_FILES 8

/* At most `burst` at once and one per interval in the long run. */
struct bucket {
    uint64_t interval_ms;
    uint64_t burst;
    uint64_t until; /* when it is full again */
};

bool bucket_take(struct bucket *b, uint64_t now);

struct release;

struct granted {
    struct release *release;
    struct channel *channel; /* NULL: this slot is free */
    int fd;                  /* the channel's, for the raw packet */
    uint32_t serial;
    enum purpose purpose;
};

/* A file that a trial computes the digest of. */
struct release_file {
    const char *name;
    int fd; /* open for reading, to the agent's end */
};

struct release {
    struct event_base *base;
    struct channel *core;
    struct channel *launcher;
    struct token *token;
    struct msg_session_config session; /* serial and purpose are filled in for each */
    int ca;
    struct release_file files[RELEASE_FILES];
    size_t n_files;
    struct granted sessions[LIMIT_SESSIONS];
    uint32_t serials;
    uint32_t released;
    struct bucket opens, tokens, rereads;
};

void release_init(struct release *r);

/* Starts a session, or tells core that there is none now. -1: a message could not be sent that its
 * receiver must not miss. */
int release_open(struct release *r, enum purpose purpose);

/* Opens a file for trials; one that cannot be opened or is one too many is left out. name must
 * outlive r. */
void release_add_file(struct release *r, const char *name, const char *path);

/* True when the token's source may be read again now: core asks for it with each attempt while the
 * token is refused, and a core that was taken over as often as it likes. */
bool release_may_reread(struct release *r);

/* Closes all channels to sessions. */
void release_finish(struct release *r);

#endif
