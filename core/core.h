/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core, the broker: connection state (link.c), commands and their ledger (commands.c), results on
 * their way (delivery.c), status and metrics files (status.c, status_json.c, metrics.c), signs of
 * life for the service manager (pulse.c), the attack on itself (attest.c, report.c). No token, no
 * network, no fork, no exec.
 */
#ifndef TW_CORE_CORE_H
#define TW_CORE_CORE_H

#include <event2/event.h>

#include "base/limits.h"
#include "core/attest.h"
#include "core/backoff.h"
#include "core/ledger.h"
#include "core/store.h"
#include "ipc/birth.h"
#include "ipc/channel.h"

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
    struct session sessions[PURPOSES];
    struct backoff backoff;
    struct event *timer; /* the next attempt, or the step's deadline */
    struct event *beat;  /* heartbeats */
    struct event *life;  /* the link is dead when it finds no sign of life */
    uint64_t state_since_ms;
    int64_t state_since; /* of the wall clock, in seconds, for people; likewise: */
    int64_t last_beat, last_reply, last_error;
    uint64_t due_ms;          /* when the timer fires */
    uint64_t online_since_ms; /* of this session */
    uint64_t last_life_ms;    /* last sign of the peer: heartbeat reply, write progress */
    uint64_t last_beat_ms, next_beat_ms;
    uint64_t beats_sent, beats_answered; /* of this session */
    unsigned reconnects;
    bool probed, logged_in; /* once each in this process's life */
    bool quiet;       /* online again after standby or short sessions: said only when it lasts */
    bool confirmed;   /* this session showed life */
    char reason[512]; /* why we are not online; logged once per change */
    char error[512];  /* the last such reason */
    char server_version[65], api_version[65]; /* as the server says */
};

struct delivery {
    uint64_t sent, written;  /* results of this session */
    uint64_t unproven_bytes; /* sent, and no heartbeat reply since */
};

struct core_config {
    uint64_t heartbeat_ms;
    unsigned max_commands;
    uint64_t max_output;
    uint64_t max_results_memory, max_results_disk;
    bool system_mode;
    unsigned isolation; /* of commands: enum sandbox_isolation */
    unsigned commands;  /* enum commands_are */
    bool allow_namespaces, sandbox_log;
    bool notifies;     /* the parent wants pulses */
    uint64_t pulse_ms; /* within each such time; 0: only when the state changes */
    unsigned metrics_mode;
    char metrics_name[LIMIT_FILE_NAME + 1];
    char probe[LIMIT_PATH + 1], token_file[LIMIT_PATH + 1];
    char connection_id[LIMIT_CONNECTION_ID + 1];
    char url[LIMIT_URL_PATH + LIMIT_HOST + 33];
    char user_name[LIMIT_USER + 1];
};

struct counters {
    uint64_t received, started, finished, repeated, refused, withheld, delivered, tokens;
    uint64_t beats, beat_replies;
};

struct core {
    struct event_base *base;
    struct channel *parent;
    struct channel *exec;
    struct core_config config;
    struct link link;
    struct ledger ledger;
    struct store store;
    struct delivery delivery;
    struct attest attest;
    struct counters counters;
    struct event *status_timer;
    struct event *stop_timer;
    struct event *pulse_timer;
    bool pulse_asked; /* exec has a ping to answer */
    bool status_pending, status_failed, metrics_failed;
    uint64_t status_ms; /* when both were written last */
    int64_t started;    /* of the wall clock, in seconds */
    bool exec_ready;
    bool overrun;   /* requests are being left unanswered */
    size_t fds_max; /* descriptors that the ledger may hold */
    bool stopping;
    uint64_t stop_since_ms;
    bool hurried; /* only results on disk are waited for */
    bool finishing;
    int finish_code; /* what the agent then ends with */
    int state_dirfd;
    int metrics_dirfd; /* the directory of the metrics file */
    char boot[40];     /* names this start of the host; empty: unknown */
    int exit_code;
    char work_dir[LIMIT_PATH + 1];
};

/* A random number for jitter. */
uint32_t core_random(void);

/* Makes channels and timers. 0, or -1: no memory or descriptors. core_finish_all undoes it. */
int core_start(struct core *core);

/* Brings back what an earlier run left on disk. 0, or -1: no memory. */
int core_load(struct core *core);
void core_finish_all(struct core *core);

/* Asks the parent to end the agent with this code. */
void core_finish(struct core *core, int code);

/* When the agent is being stopped and nothing is left to do or deliver: closes the connection. */
void core_check_stop(struct core *core);

#endif
