/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core, the broker: connection state (link.c), commands and their ledger (commands.c), results on
 * their way (delivery.c), status file (status.c). No token, no network, no fork, no exec.
 */
#ifndef TW_CORE_CORE_H
#define TW_CORE_CORE_H

#include <event2/event.h>

#include "base/limits.h"
#include "core/backoff.h"
#include "core/ledger.h"
#include "ipc/birth.h"
#include "ipc/channel.h"

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

struct core;

/* One network session, at most one per purpose. */
struct session {
    struct core *core;
    struct channel *channel; /* NULL: none */
    enum purpose purpose;
    uint32_t serial;
    bool asked_for; /* open_session is with the parent */
    bool went;      /* go was sent */
};

struct link {
    enum link_state state;
    struct session sessions[PURPOSE_MAX + 1];
    struct backoff backoff;
    struct event *timer; /* the next attempt, or the step's deadline */
    struct event *beat;  /* heartbeats */
    struct event *life;  /* the link is dead when it finds no sign of life */
    uint64_t state_since_ms;
    uint64_t online_since_ms; /* of this session */
    uint64_t last_life_ms;    /* last sign of the peer: heartbeat reply, write progress */
    uint64_t last_beat_ms, next_beat_ms;
    uint64_t beats_sent, beats_answered; /* of this session */
    unsigned reconnects;
    bool probed, logged_in; /* once each in this process's life */
    bool quiet;       /* online again after standby or short sessions: said only when it lasts */
    bool confirmed;   /* this session showed life */
    char reason[512]; /* why we are not online; logged once per change */
};

struct delivery {
    uint64_t sent, written;  /* results of this session */
    uint64_t unproven_bytes; /* sent, and no heartbeat reply since */
};

struct core_config {
    uint64_t heartbeat_ms;
    unsigned max_commands;
    uint64_t max_output;
    uint64_t max_results_memory;
    bool system_mode;
    char connection_id[LIMIT_CONNECTION_ID + 1];
    char url[LIMIT_URL_PATH + LIMIT_HOST + 33];
    char user_name[LIMIT_USER + 1];
};

struct counters {
    uint64_t received, started, finished, repeated, refused, withheld, delivered, tokens;
};

struct core {
    struct event_base *base;
    struct channel *parent;
    struct channel *exec;
    struct core_config config;
    struct link link;
    struct ledger ledger;
    struct delivery delivery;
    struct counters counters;
    struct event *status_timer;
    struct event *stop_timer;
    bool status_pending, status_failed;
    bool exec_ready;
    bool overrun;   /* requests are being left unanswered */
    size_t fds_max; /* descriptors that the ledger may hold */
    bool stopping;
    bool finishing;
    int state_dirfd;
    int exit_code;
    char work_dir[LIMIT_PATH + 1];
};

/* A random number for jitter. */
uint32_t core_random(void);

/* Makes channels, timers and the ledger. 0, or -1: no memory or descriptors. core_finish_all undoes
 * it. */
int core_start(struct core *core);
void core_finish_all(struct core *core);

/* Asks the parent to end the agent with this code. */
void core_finish(struct core *core, int code);

/* When the agent is being stopped and nothing is left to do or deliver: closes the connection. */
void core_check_stop(struct core *core);

#endif
