/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: every command by its id, from its request to the proof that its result arrived, and
 * some time after, so that an id delivered again is answered and never run again. An entry is in
 * exactly one state, and each state is a list in order of arrival. What of it outlives this process
 * is store.c's business.
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
    struct content output; /* from its end on; may be on disk alone */
    int64_t since_ms;   /* when it was accepted, of CLOCK_MONOTONIC; below 0: by an earlier run */
    int64_t started_ms; /* when exec got it, likewise */
    uint64_t sum;       /* checksum of a spooled output */
    bool spooled;       /* the output has a file */
    bool unsynced;      /* and that file may not outlive the host's crash */
    int status;
    unsigned drops; /* connections that ended while it was on its way */
    uint64_t proof; /* the heartbeat whose reply proves that it arrived */
    bool arrived;   /* it was delivered once; what follows answers a repeat */
    bool forgotten; /* delivered, and its output given up: a repeat is told so */
    size_t id_len;
    char id[];
};

TAILQ_HEAD(entry_list, entry);

/* Delivered entries kept to answer repeats: by count, by age (a week), and by bytes of their
 * outputs in memory and on disk. */
#define LEDGER_KEEP_COUNT 10000
#define LEDGER_KEEP_MS    (INT64_C(7) * 86400 * 1000)
#define LEDGER_KEEP_BYTES 67108864
#define LEDGER_KEEP_DISK  268435456
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
    size_t output_bytes;         /* of outputs not yet delivered, in memory */
    size_t kept_bytes, kept_fds; /* of delivered ones, in memory */
    size_t kept_disk;            /* of delivered ones, on disk */
    struct entry **buckets;
    size_t n_buckets; /* a power of two */
    uint64_t key[2];
    uint64_t last_ticket;
    /* A spooled output is not needed any more: its file is e->ticket's, with e->output.len bytes.
     * It does not count as spooled already; the callback may call ledger_make_room. */
    void (*unspool)(void *context, struct entry *e);
    void *context;
};

/*
 * 0, or -1: no memory. key: secret, for the hash table and for fingerprints, which must not change
 * between runs that share entries. fds_max: descriptors that entries may hold. unspool and its
 * context are the caller's to set; needed once an output is marked as spooled.
 */
int ledger_init(struct ledger *l, size_t fds_max, const uint64_t key[2]);

/* Frees all entries; what is spooled stays. */
void ledger_finish(struct ledger *l);

/* The entry of this id, or NULL. */
struct entry *ledger_find(const struct ledger *l, struct span id);

/*
 * A new entry, QUEUED, that owns the text (taken over; *text becomes empty). The id must not be
 * known. NULL: no memory, and the text stays the caller's.
 */
struct entry *ledger_add(struct ledger *l, struct span id, struct content *text);

/* What an earlier run knew of an entry. */
struct entry_facts {
    uint64_t ticket, fingerprint;
    size_t text_len;
    int64_t since_ms;
};

/* An entry of an earlier run, QUEUED, without its text. NULL: no memory, or the id is known. */
struct entry *ledger_restore(struct ledger *l, struct span id, const struct entry_facts *facts);

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

/* The same with a text of the agent's own; without memory for it the output is empty. */
void ledger_set_text(struct ledger *l, struct entry *e, const char *text);

/* The output, safe on disk with this checksum, need not be in memory from here on. */
void ledger_spooled(struct entry *e, uint64_t sum);

/* The output's file is gone: a delivered one is forgotten, any other is lost (see content_memory).
 */
void ledger_lost(struct ledger *l, struct entry *e);

/* Lets a spooled output leave memory; any other stays. */
void ledger_leave(struct ledger *l, struct entry *e);

/* Gives an output that left memory back (taken over). */
void ledger_return(struct ledger *l, struct entry *e, struct content *output);

/* Gives up delivered outputs on disk, oldest first, until so many bytes are free of them. */
void ledger_make_room(struct ledger *l, size_t bytes);

/* The output must wait: gives its descriptor back when it is small, or when descriptors are short.
 */
void ledger_settle(struct ledger *l, struct entry *e);

/* To DELIVERED; its output leaves memory when it is spooled. */
void ledger_delivered(struct ledger *l, struct entry *e);

/* Removes a delivered entry. */
void ledger_forget(struct ledger *l, struct entry *e);

/* The oldest delivered ones give way to the bounds. now_ms: of CLOCK_MONOTONIC. */
void ledger_enforce_bounds(struct ledger *l, int64_t now_ms);

/* A delivered entry is asked for again: back to READY, with its output or, when forgotten, without.
 */
void ledger_revive(struct ledger *l, struct entry *e);

/* The entry of a ticket in this state, or NULL. Looks from the oldest on: for short lists, and for
 * entries near the front. */
struct entry *ledger_by_ticket(const struct ledger *l, enum entry_state state, uint64_t ticket);

/* Entries that are not delivered. */
size_t ledger_open_count(const struct ledger *l);

#endif
