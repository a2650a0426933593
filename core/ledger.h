/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: every command by its id, from its request to the proof that its result arrived, and
 * some time after, so that an id delivered again is answered and never run again. An entry is in
 * exactly one state, and each state is a list in order of arrival.
 */
#ifndef TW_CORE_LEDGER_H
#define TW_CORE_LEDGER_H

#include <stdint.h>
#include <sys/queue.h>

#include "core/content.h"

enum entry_state {
    ENTRY_QUEUED,    /* waits for exec */
    ENTRY_RUNNING,   /* with exec */
    ENTRY_SEARCHING, /* the parent searches its output for the token */
    ENTRY_READY,     /* its result waits for a connection or for its turn */
    ENTRY_SENT,      /* given to the session, arrival not proven */
    ENTRY_DELIVERED, /* arrival inferred; kept to answer a repeated id */
    ENTRY_STATES
};

struct entry {
    TAILQ_ENTRY(entry) in_state;
    struct entry *next_in_bucket;
    enum entry_state state;
    uint64_t ticket;      /* names it to exec and parent */
    uint64_t hash;        /* of the id */
    uint64_t fingerprint; /* of the text */
    size_t text_len;
    struct content text;   /* until exec has it */
    struct content output; /* from its end on */
    int status;
    unsigned drops; /* connections that ended while it was on its way */
    uint64_t proof; /* the heartbeat whose reply proves that it arrived */
    bool forgotten; /* delivered, and its output given up: a repeat is told so */
    size_t id_len;
    char id[];
};

TAILQ_HEAD(entry_list, entry);

/* Delivered entries kept to answer repeats: by count, and by bytes of their outputs. */
#define LEDGER_KEEP_COUNT 10000
#define LEDGER_KEEP_BYTES 67108864
/* Outputs that a delivered entry keeps on the heap; larger ones stay in memfds, of which few are
 * kept. */
#define LEDGER_KEEP_SMALL 4096
#define LEDGER_KEEP_FDS   32

struct ledger {
    struct entry_list lists[ENTRY_STATES];
    size_t counts[ENTRY_STATES];
    size_t fds,
        fds_max; /* memfds held for entries not delivered; beyond, contents move to the heap */
    size_t text_bytes;           /* of texts not yet with exec */
    size_t output_bytes;         /* of outputs not yet delivered */
    size_t kept_bytes, kept_fds; /* of delivered ones */
    struct entry **buckets;
    size_t n_buckets; /* a power of two */
    uint64_t key[2];
    uint64_t last_ticket;
};

/* 0, or -1 with errno. Takes its hash key from getrandom(2). fds_max: descriptors that entries may
 * hold. */
int ledger_init(struct ledger *l, size_t fds_max);
void ledger_finish(struct ledger *l);

/* The entry of this id, or NULL. */
struct entry *ledger_find(const struct ledger *l, struct span id);

/*
 * A new entry, QUEUED, that owns the text (taken over; *text becomes empty). The id must not be
 * known. NULL: no memory, and the text stays the caller's.
 */
struct entry *ledger_add(struct ledger *l, struct span id, struct content *text);

/* True when this is the text that the entry was made with. */
bool ledger_same_text(const struct ledger *l, const struct entry *e, const struct content *text);

/* Puts the entry at the end of the state's list. Leaving QUEUED gives its text up (see
 * ledger_drop_text). */
void ledger_move(struct ledger *l, struct entry *e, enum entry_state state);

/* Puts all SENT entries back in front of READY, in their order; counted: each with one drop more.
 */
void ledger_unsend(struct ledger *l, bool counted);

/* The text has reached exec and is not needed any more. */
void ledger_drop_text(struct ledger *l, struct entry *e);

/* Gives the entry its output (taken over). The previous output, if any, is freed. */
void ledger_set_output(struct ledger *l, struct entry *e, struct content *output);

/* The output must wait: gives its descriptor back when it is small, or when descriptors are short.
 */
void ledger_settle(struct ledger *l, struct entry *e);

/* SENT → DELIVERED; then the oldest delivered ones give way to the bounds. */
void ledger_delivered(struct ledger *l, struct entry *e);

/* A delivered entry is asked for again: back to READY, with its output or, when forgotten, without.
 */
void ledger_revive(struct ledger *l, struct entry *e);

/* The entry of a ticket in this state (a short list: running or searching), or NULL. */
struct entry *ledger_by_ticket(const struct ledger *l, enum entry_state state, uint64_t ticket);

/* Entries that are not delivered. */
size_t ledger_open_count(const struct ledger *l);

#endif
