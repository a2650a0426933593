/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the ledger outlives this process, in the state directory's results/: every id before its
 * command runs, every result before it leaves, in the journal; outputs over CONTENT_SMALL in files
 * of their own (spool.c). Texts are never written: they carry other people's secrets.
 *
 * A kill of any process loses nothing that was recorded; a crash of the host at most the last
 * second, since fsync(2) is grouped. When the disk is full or fails, everything goes on in memory,
 * with one warning, and comes back to disk when it can.
 */
#ifndef TW_CORE_STORE_H
#define TW_CORE_STORE_H

#include <event2/event.h>

#include "core/journal.h"
#include "core/ledger.h"

struct store {
    struct ledger *ledger;
    int state_dirfd; /* borrowed */
    int dirfd;       /* results/; -1: none */
    struct journal journal;
    struct event *flush; /* at the end of this turn of the loop */
    struct event *sync;  /* grouped fsync; the next try while failing */
    uint64_t disk_bytes; /* of spooled outputs */
    uint64_t disk_max;
    uint64_t live;                       /* the journal's size when it held nothing outdated */
    uint64_t sync_ms;                    /* what the last round of fsync took */
    void (*on_recovered)(void *context); /* the disk took what it had not; may be NULL */
    void *context;
    const char *damaged; /* the name of a journal to be set aside; NULL: none */
    bool failing;
    bool giving_way; /* delivered results are being removed to make room */
    bool wanting;    /* a result could not be read for want of memory or descriptors; said once */
    bool full;       /* max_results_disk was reached, and that was said */
    bool files_unsynced; /* some spooled file may not outlive a crash of the host */
};

/* Zeroed, with its timers. 0, or -1: no memory. */
int store_init(struct store *s, struct event_base *base, struct ledger *l, int state_dirfd,
               uint64_t disk_max);

/*
 * Initializes the ledger (fds_max: see ledger_init) and brings back what an earlier run of owner
 * left (boot: see journal_open): its entries are QUEUED (not started), RUNNING (started, end
 * unknown), READY or DELIVERED. Torn and foreign files are set aside and named in the log.
 * store_begin follows. 0, or -1: no memory; a disk that fails is not an error.
 */
int store_load(struct store *s, struct span owner, struct span boot, size_t fds_max);

/* Writes a journal of what the ledger holds now; records can follow. */
void store_begin(struct store *s);

/* The entry was accepted; it is given to exec; it is READY with its result (spools it); its result
 * arrived. None fails for the caller. */
void store_accepted(struct store *s, const struct entry *e);
void store_started(struct store *s, const struct entry *e);
void store_ended(struct store *s, struct entry *e);
void store_delivered(struct store *s, struct entry *e);

/* What was recorded so far outlives this process. To be called before a command is given to exec
 * and before a result is given to a session. */
void store_flush(struct store *s);

/* Brings a spooled output back into memory. LOST: its file is gone or damaged, which is logged;
 * LATER: no memory or descriptor now. */
enum store_recalled { RECALL_DONE, RECALL_LATER, RECALL_LOST };
enum store_recalled store_recall(struct store *s, struct entry *e);

/* True when what the ledger holds would outlive this process. */
bool store_safe(const struct store *s);

/* Writes and syncs what is left. The ledger must still be there. */
void store_finish(struct store *s);

/* ---- for store.c and store_load.c --------------------------------------------------------------
 */

/* The disk failed, errno says how: logs it once, and tries again later. */
void store_failed(struct store *s, const char *what);

/* Makes and opens results/. 0, or -1 with errno. */
int store_open_directory(struct store *s);

/* The ledger's unspool: removes the file. */
void store_unspool(void *context, struct entry *e);

#endif
