/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A core around the real link.c, in virtual time: the test is the clock, the parent and the
 * sessions. What link.c calls of the rest of core only counts.
 */
#ifndef TW_TESTS_STATES_WORLD_H
#define TW_TESTS_STATES_WORLD_H

#include "core/core.h"

#define SECOND 1000u
#define MINUTE 60000u
#define BEAT   (45 * SECOND) /* the heartbeat that most worlds have */
#define STEP   10u           /* and their grain */

/* How a session ends up once core has said go. */
struct answer {
    bool silent;     /* no word at all */
    bool fails;      /* ended with this stage, code and text */
    unsigned status; /* else this HTTP status */
    enum stage stage;
    int code;
    const char *text;
    unsigned retry_after;
};

struct world {
    struct core core;
    uint64_t step;         /* time moves by so many ms at once */
    int parent;            /* our end of core's channel to the parent */
    int session[PURPOSES]; /* our ends of the channels to sessions, or -1 */
    struct answer answers[PURPOSES];
    bool refuse_sessions; /* the parent refuses, */
    bool deaf_parent;     /* or does not answer at all */
    bool reply;           /* heartbeats are answered */
    uint32_t random;
    unsigned opened, opened_reread;                      /* open_session so far; with reread */
    unsigned beats;                                      /* heartbeats that reached the session */
    unsigned online, dropped, dropped_uncounted, proofs; /* calls of delivery.c */
    bool close_asked;
    int finished; /* the exit code asked for, or -1 */
};

/* The one world; world_start makes it anew, with every answer right. */
extern struct world world;

void world_start(uint64_t heartbeat_ms);
void world_end(void);

/* The same, and all goes well at once. */
void world_start_online(uint64_t heartbeat_ms);

/* A time as the world's grain lets it be. */
void world_assert_about(uint64_t ms, uint64_t expected);

/* Lets time pass; all that becomes due happens. */
void world_pass(uint64_t ms);

/* Lets time pass until core is in this state; how long it took. Fails the test after most ms. */
uint64_t world_until(enum link_state state, uint64_t most);

/* The same until open_session has been asked once more. */
uint64_t world_until_attempt(uint64_t most);

/* The machine is suspended: CLOCK_MONOTONIC stands still. */
void world_suspend(uint64_t ms);

/* All processes are stopped: time goes on, nothing of ours runs. */
void world_stop(uint64_t ms);

/* The wall clock is set forth or back. */
void world_set_clock(int64_t seconds);

uint64_t world_now(void);

/* What the online session says. */
void world_session_ends(enum stage stage, int code, const char *text);
void world_progress(uint64_t bytes, uint64_t results);

/* A result of this size is given to the session: on its way, or written whole. */
void world_send_result(size_t size, bool written);

#endif
