/* SPDX-License-Identifier: Apache-2.0 */
/* The model that test_store_model.c holds the ledger and its store against, and its steps. */
#ifndef TW_TESTS_UNIT_MODEL_H
#define TW_TESTS_UNIT_MODEL_H

#include "tests/unit/run.h"

#define LIVES    4000
#define VERSIONS 12

/* How far a command is, in the order in which it goes. */
enum progress { UNKNOWN, QUEUED, RUNNING, READY, DELIVERED };

struct facts {
    enum progress progress;
    int version; /* of the output: which of those it had */
    bool safe;   /* that version needs no memory */
};

/* An id from its request on; one that the ledger forgot and that comes again has another life. */
struct life {
    int id, before; /* the id's life before this one, or -1 */
    uint64_t ticket;
    struct facts now, sure; /* sure: what must be found after a kill */
    struct facts arrived;   /* as it was delivered first: answers to repeats are not recorded */
    bool said, started;     /* it was recorded that exec may have it; exec has it */
    bool forgotten, gone;   /* the ledger gave its output up, or all of it */
    size_t lens[VERSIONS];
};

struct model {
    struct run run;
    uint64_t seed, disk_max;
    int lives, ids;
    struct life life[LIVES];
    int of_id[LIVES]; /* the id's newest life, or -1 */
};

/* What happened in all runs. */
struct counts {
    unsigned delivered, kills, mid_kills, failing_kills, rewrites, second_lives, lost, revived;
};
extern struct counts counts;

/* A number below n, from the seed alone; true once in n. */
unsigned below(struct model *m, unsigned n);
bool one_in(struct model *m, unsigned n);

/* The life that the entry is in. */
struct life *life_of(struct model *m, const struct entry *e);

/* The first entry in this state, or NULL. */
struct entry *first(struct model *m, enum entry_state state);

/* An output's bytes and the status tell the life and the version. */
char byte_of(const struct model *m, const struct life *life, int version);
int status_of(const struct model *m, const struct life *life, int version);
void assert_bytes(const struct content *output, char byte, size_t len);

/* An answer in place of the output, as core makes many. */
void answer(struct model *m, struct entry *e, size_t len);

/* Something happens. */
void step(struct model *m);

#endif
