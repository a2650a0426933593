/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: an append-only file of records, each with a checksum, so that a file cut short by a
 * crash is read up to where it is whole. It does not know what records mean (store.c does).
 *
 *   head    "tw-agent journal", version, the checksums' key, a fingerprint of whose journal it is
 *   record  struct journal_record, then its payload
 *
 * Numbers are in the machine's byte order: a state directory belongs to one host.
 */
#ifndef TW_CORE_JOURNAL_H
#define TW_CORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct journal_record {
    uint32_t size; /* of the payload */
    uint32_t type;
    uint64_t seq;      /* the entry that it is about */
    uint64_t checksum; /* SipHash-2-4 of the record with this field 0, under the head's key */
};

/* A record with its head fits the buffer; so does a small output with a long id. */
#define JOURNAL_PAYLOAD_MAX 32768
#define JOURNAL_BUFFER      65536

struct journal {
    int dirfd; /* borrowed */
    int fd;    /* -1: none */
    uint64_t key[2];
    uint64_t
        owner; /* whose journal it is, and of which start of the host, as hashes under the key */
    uint64_t boot;
    uint64_t size; /* bytes written to the file */
    bool unsynced;
    size_t used;
    char *buffer;
};

/* What was found of an earlier run. */
enum journal_found {
    JOURNAL_NONE,    /* no file */
    JOURNAL_WHOLE,   /* it can be read; after reading: to its end */
    JOURNAL_TORN,    /* its last record is cut short: a crash while it was written */
    JOURNAL_DAMAGED, /* what follows a bad record is lost */
    JOURNAL_FOREIGN  /* not a journal, or another agent's */
};

/* One whole record. */
typedef void journal_reader(void *context, const struct journal_record *record,
                            struct span payload);

/* dirfd must outlive the journal. 0, or -1: no memory or no random numbers. */
int journal_init(struct journal *j, int dirfd);
void journal_finish(struct journal *j);

/* The journal; one that could not be written on, so that the last of its commands may have gone
 * further than it says; and one that is being written in the place of either. */
#define JOURNAL_NAME  "journal"
#define JOURNAL_STALE "journal.stale"
#define JOURNAL_NEW   "journal.new"

/*
 * Opens a journal of an earlier run for reading and takes its key over; else there is a new key.
 * owner names whose it must be; boot the host's start: *other_boot tells that the journal is of
 * another one, so that what came last may not have reached the disk. NONE, WHOLE or FOREIGN.
 */
enum journal_found journal_open(struct journal *j, const char *name, struct span owner,
                                struct span boot, bool *other_boot);

/* Reads all records of an opened journal and closes it. WHOLE, TORN or DAMAGED. */
enum journal_found journal_read(struct journal *j, journal_reader *reader, void *context);

/*
 * Starts another journal, in a file beside the present one. journal_prepare writes and syncs what
 * was appended to it; journal_commit then puts it in the present one's place, a stale one's too;
 * both leave the present one as it was when they fail, and journal_abandon gives fresh up. 0, or -1
 * with errno.
 */
int journal_begin(struct journal *fresh, const struct journal *j);
int journal_prepare(struct journal *fresh);
int journal_commit(struct journal *fresh, struct journal *j);
void journal_abandon(struct journal *fresh);

/* The journal cannot be written on: closes it, and renames it to JOURNAL_STALE. */
void journal_fail(struct journal *j);

/* Puts a record into the buffer, and the buffer into the file when it is full. size of both parts
 * together at most JOURNAL_PAYLOAD_MAX. 0, or -1 with errno: the record is not kept. */
int journal_append(struct journal *j, uint32_t type, uint64_t seq, struct span head,
                   struct span tail);

/* Writes the buffer: after it, a kill of this process loses none of it. 0, or -1 with errno: the
 * file ends where it ended before, and the buffer holds what it held. */
int journal_flush(struct journal *j);

/* fdatasync of what was written. 0 or -1 with errno. */
int journal_sync(struct journal *j);

#endif
