/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal's records say about entries of the ledger. */
#ifndef TW_CORE_RECORDS_H
#define TW_CORE_RECORDS_H

#include "core/journal.h"
#include "core/ledger.h"

enum record_type {
    RECORD_ACCEPTED = 1, /* struct record_accepted, then the id */
    RECORD_STARTED,      /* nothing more: from here on it may have run */
    RECORD_ENDED,        /* struct record_ended, then a small output */
    RECORD_DELIVERED     /* nothing more */
};

struct record_accepted {
    uint64_t fingerprint;
    uint64_t text_len;
    int64_t since_ms; /* of the writer's CLOCK_MONOTONIC: a journal has one writer */
};

/* MEMORY: it did not fit the disk, and went with us. FORGOTTEN: given up after its delivery. */
enum record_output { OUTPUT_INLINE, OUTPUT_FILE, OUTPUT_MEMORY, OUTPUT_FORGOTTEN };

struct record_ended {
    int32_t status;
    uint32_t where; /* enum record_output */
    uint64_t len;
    uint64_t sum; /* of a file */
};

/* Records that this happened to the entry. 0, or -1 with errno. */
int records_append(struct journal *j, enum record_type type, const struct entry *e);

/* Records all there is to know about the entry. 0, or -1 with errno. */
int records_append_all(struct journal *j, const struct entry *e);

/* A journal being read. */
struct records {
    struct ledger *ledger;
    int64_t newest_ms; /* of the records so far; their ages are counted from it */
    size_t passed_over;
};

/*
 * Brings the ledger to where the record says, within its bounds; a record that does not fit what is
 * known is passed over, and counted. A journal_reader.
 */
void records_read(void *context, const struct journal_record *r, struct span payload);

/* At the end: the newest entry is as old as now. */
void records_end(struct records *all);

#endif
