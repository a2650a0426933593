/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fds.h"
#include "base/log.h"
#include "core/records.h"
#include "core/set_aside.h"
#include "core/spool.h"

/* fsync is grouped: at most one round a second, and on a slow disk so seldom that the loop, which
 * waits for it, is held up for a twentieth of the time at most. */
#define SYNC_MS    1000
#define SYNC_SHARE 20
/* While the disk fails: the next try. */
#define RETRY_MS 5000
/* The journal is written anew when this much of it, beside as much again as what is live, is
 * outdated. */
#define SLACK (UINT64_C(4) << 20)

static void arm_sync(struct store *s, uint64_t ms)
{
    struct timeval t = clock_timeval(ms);
    if (!evtimer_pending(s->sync, NULL))
        event_add(s->sync, &t);
}

void store_failed(struct store *s, const char *what)
{
    if (!s->failing)
        log_warn("%s: %s; results are kept in memory and would be lost with the agent: see to the "
                 "space and the state of the file system of the state directory",
                 what, strerror(errno));
    s->failing = true;
    arm_sync(s, RETRY_MS);
}

int store_open_directory(struct store *s)
{
    if (mkdirat(s->state_dirfd, "results", 0700) != 0 && errno != EEXIST)
        return -1;
    s->dirfd = openat(s->state_dirfd, "results", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    s->journal.dirfd = s->dirfd;
    return s->dirfd >= 0 ? 0 : -1;
}

/* ---- writing
 * -------------------------------------------------------------------------------------- */

static void journal_failed(struct store *s)
{
    store_failed(s, "the journal of results cannot be written");
    journal_fail(&s->journal);
}

/* On a full disk delivered results give way: repeats are worth less than what goes on. */
static bool give_way(struct store *s)
{
    if ((errno != ENOSPC && errno != EDQUOT) || s->ledger->kept_disk == 0 || s->giving_way)
        return false;
    s->giving_way = true;
    ledger_make_room(s->ledger, s->ledger->kept_disk);
    s->giving_way = false;
    return true;
}

static void arm_group(struct store *s)
{
    arm_sync(s, s->sync_ms * SYNC_SHARE > SYNC_MS ? s->sync_ms * SYNC_SHARE : SYNC_MS);
}

void store_flush(struct store *s)
{
    if (s->journal.fd < 0 || s->journal.used == 0)
        return;
    if (journal_flush(&s->journal) != 0 && (!give_way(s) || journal_flush(&s->journal) != 0))
        journal_failed(s);
    else
        arm_group(s);
}

static void append(struct store *s, enum record_type type, const struct entry *e)
{
    struct timeval now = {0, 0};
    if (JOURNAL_BUFFER - s->journal.used < sizeof(struct journal_record) + JOURNAL_PAYLOAD_MAX)
        store_flush(s);
    if (s->journal.fd < 0)
        return; /* failing: all of it goes into the next journal */
    if (records_append(&s->journal, type, e) != 0) {
        journal_failed(s);
        return;
    }
    if (!evtimer_pending(s->flush, NULL))
        event_add(s->flush, &now);
}

static int write_list(struct store *s, struct journal *fresh, enum entry_state state)
{
    struct entry *e;
    TAILQ_FOREACH(e, &s->ledger->lists[state], in_state)
    if (records_append_all(fresh, e) != 0)
        return -1;
    return 0;
}

/* A damaged journal is kept, once there is one in its place. */
static void keep_damaged(struct store *s)
{
    char name[SET_ASIDE_NAME];
    if (!s->damaged)
        return;
    set_aside(s->dirfd, s->damaged, name);
    log_warn("results/journal is damaged: what follows the damage is not known any more; kept as "
             "results/%s",
             name);
    s->damaged = NULL;
}

static bool rewrite_once(struct store *s)
{
    static const enum entry_state order[] = {ENTRY_DELIVERED, ENTRY_SENT,    ENTRY_READY,
                                             ENTRY_SEARCHING, ENTRY_RUNNING, ENTRY_QUEUED};
    struct journal fresh;
    if (s->dirfd < 0)
        return false;
    int rc = journal_begin(&fresh, &s->journal);
    for (size_t i = 0; rc == 0 && i < sizeof order / sizeof *order; i++)
        rc = write_list(s, &fresh, order[i]);
    if (rc == 0 && (rc = journal_prepare(&fresh)) == 0) {
        keep_damaged(s);
        rc = journal_commit(&fresh, &s->journal);
    }
    if (rc != 0)
        journal_abandon(&fresh);
    s->live = rc == 0 ? s->journal.size : s->journal.size / 2; /* it may grow before the next try */
    return rc == 0;
}

/* A journal without what is outdated, in place of the old one; which goes on when that fails. */
static bool rewrite(struct store *s)
{
    return rewrite_once(s) || (give_way(s) && rewrite_once(s));
}

static bool has_room(struct store *s, size_t len)
{
    uint64_t needed = s->disk_bytes + len;
    /* Delivered results give way, if that is enough. */
    if (needed > s->disk_max && needed - s->ledger->kept_disk <= s->disk_max)
        ledger_make_room(s->ledger, (size_t)(needed - s->disk_max));
    bool room = s->disk_bytes + len <= s->disk_max;
    if (!room && !s->full)
        log_warn("max_results_disk is reached: further large results are kept in memory alone");
    s->full = s->full || !room;
    return room;
}

/* False: the disk failed. Without room the output stays in memory. */
static bool spool(struct store *s, struct entry *e)
{
    uint64_t sum;
    if (!has_room(s, e->output.len))
        return true;
    const uint64_t *key = s->journal.key;
    if (spool_write(s->dirfd, e->ticket, &e->output, key, &sum) != 0 &&
        (!give_way(s) || spool_write(s->dirfd, e->ticket, &e->output, key, &sum) != 0)) {
        store_failed(s, "a result cannot be written to disk");
        return false;
    }
    s->disk_bytes += e->output.len;
    s->files_unsynced = true;
    ledger_spooled(e, sum);
    arm_group(s);
    return true;
}

/* Outputs that want a file of their own; but not answers to repeats. */
static bool large(const struct entry *e)
{
    return !e->spooled && !e->arrived && content_memory(&e->output) > CONTENT_SMALL;
}

void store_accepted(struct store *s, const struct entry *e)
{
    append(s, RECORD_ACCEPTED, e);
}

void store_started(struct store *s, const struct entry *e)
{
    append(s, RECORD_STARTED, e);
}

void store_ended(struct store *s, struct entry *e)
{
    if (e->arrived)
        return; /* a repeat of what was delivered */
    if (large(e) && s->dirfd >= 0)
        spool(s, e);
    append(s, RECORD_ENDED, e);
}

void store_delivered(struct store *s, struct entry *e)
{
    if (!e->arrived)
        append(s, RECORD_DELIVERED, e);
    e->arrived = true;
}

static bool passes(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

enum store_recalled store_recall(struct store *s, struct entry *e)
{
    struct content output;
    if (spool_read(s->dirfd, e->ticket, e->output.len, e->sum, s->journal.key, &output)) {
        ledger_return(s->ledger, e, &output);
        s->wanting = false;
        return RECALL_DONE;
    }
    int error = errno;
    if (passes(error)) {
        log_line(s->wanting ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN,
                 "a result cannot be read from disk now: %s; it waits", strerror(error));
        s->wanting = true;
        return RECALL_LATER;
    }
    char name[SPOOL_NAME_SIZE], to[SET_ASIDE_NAME];
    spool_name(name, e->ticket);
    set_aside(s->dirfd, name, to);
    log_error("a result cannot be read from disk (%s): kept as results/%s",
              error == EBADMSG ? "it is not what was written" : strerror(error), to);
    return RECALL_LOST;
}

void store_unspool(void *context, struct entry *e)
{
    struct store *s = context;
    if (!s->giving_way)
        store_flush(s); /* what makes the file superfluous is recorded first */
    spool_remove(s->dirfd, e->ticket);
    s->disk_bytes -= e->output.len;
    if (s->full)
        arm_sync(s, SYNC_MS); /* there may be room again */
}

/* ---- in its own time
 * -------------------------------------------------------------------------------------- */

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct store *s = arg;
    (void)fd;
    (void)what;
    store_flush(s);
    if (s->journal.fd >= 0 && s->journal.size > 2 * s->live + SLACK && !rewrite(s))
        log_warn("the journal of results cannot be written anew: %s; it grows on", strerror(errno));
}

/* One file in a turn of the loop: a slow disk must not hold up heartbeats for many of them. */
static bool sync_one(struct store *s, enum entry_state state)
{
    struct entry *e;
    TAILQ_FOREACH(e, &s->ledger->lists[state], in_state)
    if (e->unsynced) {
        e->unsynced = false;
        if (spool_sync(s->dirfd, e->ticket) != 0 && errno != ENOENT)
            store_failed(s, "a result cannot be written to disk");
        return true;
    }
    return false;
}

/* What is in memory alone gets its file. The disk may have room for the smaller ones. */
static bool spool_again(struct store *s, enum entry_state state)
{
    struct entry *e;
    size_t too_large = SIZE_MAX;
    TAILQ_FOREACH(e, &s->ledger->lists[state], in_state)
    {
        if (!large(e) || e->output.len >= too_large)
            continue;
        if (!spool(s, e))
            too_large = e->output.len;
        else if (e->spooled)
            append(s, RECORD_ENDED, e);
        if (state == ENTRY_READY)
            ledger_leave(s->ledger, e);
    }
    return too_large == SIZE_MAX;
}

/* The directory was not there: what it holds now was never read. */
static int open_late(struct store *s)
{
    static const char *const names[] = {JOURNAL_NAME, JOURNAL_STALE};
    char name[SET_ASIDE_NAME];
    struct stat st;
    if (s->dirfd >= 0)
        return 0;
    if (store_open_directory(s) != 0)
        return -1;
    for (size_t i = 0; i < 2; i++)
        if (fstatat(s->dirfd, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            set_aside(s->dirfd, names[i], name))
            log_warn("results/%s was not there to be read at the start: kept as results/%s",
                     names[i], name);
    return 0;
}

static void recovered(struct store *s)
{
    if (s->on_recovered)
        s->on_recovered(s->context);
}

/* The disk failed: all that is missing on it, again. */
static void recover(struct store *s)
{
    bool journal = open_late(s) == 0 && (s->journal.fd >= 0 || rewrite(s));
    bool sent = journal && spool_again(s, ENTRY_SENT);
    bool ready = journal && spool_again(s, ENTRY_READY);
    if (!sent || !ready || s->journal.fd < 0) {
        arm_sync(s, RETRY_MS);
        return;
    }
    s->failing = false;
    log_info("results are kept on disk again");
    recovered(s);
}

/* Somebody removed the directory: what is written goes nowhere. */
static bool directory_gone(struct store *s)
{
    struct stat st;
    if (s->dirfd < 0 || fstat(s->dirfd, &st) != 0 || st.st_nlink > 0)
        return false;
    errno = ENOENT;
    store_failed(s, "the directory results/ was removed");
    fds_close(&s->journal.fd);
    fds_close(&s->dirfd);
    s->journal.dirfd = -1;
    return true;
}

/* False: one file was synced, and there may be more. */
static bool sync_files(struct store *s)
{
    if (!s->files_unsynced || s->dirfd < 0)
        return true;
    if (sync_one(s, ENTRY_READY) || sync_one(s, ENTRY_SENT))
        return false;
    s->files_unsynced = false;
    if (fsync(s->dirfd) != 0)
        store_failed(s, "the directory of results cannot be written to disk");
    return true;
}

/* Some output waits in memory for a file. */
static bool some_large(const struct store *s)
{
    static const enum entry_state states[] = {ENTRY_READY, ENTRY_SENT};
    const struct entry *e;
    for (size_t i = 0; i < 2; i++)
        TAILQ_FOREACH(e, &s->ledger->lists[states[i]], in_state)
    if (large(e))
        return true;
    return false;
}

static void use_room(struct store *s)
{
    if (!s->full || s->disk_bytes > s->disk_max - s->disk_max / 8)
        return;
    uint64_t before = s->disk_bytes;
    spool_again(s, ENTRY_READY);
    s->full = some_large(s);
    if (s->disk_bytes != before)
        recovered(s);
}

static void on_sync(evutil_socket_t fd, short what, void *arg)
{
    struct store *s = arg;
    uint64_t start = clock_ms();
    (void)fd;
    (void)what;
    if (directory_gone(s) || s->failing || s->journal.fd < 0)
        recover(s);
    else
        use_room(s);
    if (journal_sync(&s->journal) != 0)
        journal_failed(s);
    bool files = sync_files(s);
    s->sync_ms = clock_ms() - start;
    if (!files)
        arm_sync(s, s->sync_ms * SYNC_SHARE);
}

/* ---- start and end
 * -------------------------------------------------------------------------------------- */

int store_init(struct store *s, struct event_base *base, struct ledger *l, int state_dirfd,
               uint64_t disk_max)
{
    *s = (struct store){.ledger = l, .state_dirfd = state_dirfd, .dirfd = -1, .disk_max = disk_max};
    s->flush = evtimer_new(base, on_flush, s);
    s->sync = evtimer_new(base, on_sync, s);
    return journal_init(&s->journal, -1) == 0 && s->flush && s->sync ? 0 : -1;
}

void store_begin(struct store *s)
{
    if (!s->failing && !rewrite(s))
        store_failed(s, "the journal of results cannot be written");
}

bool store_safe(const struct store *s)
{
    return !s->failing && s->journal.fd >= 0 && !some_large(s);
}

void store_finish(struct store *s)
{
    store_flush(s);
    journal_sync(&s->journal);
    journal_finish(&s->journal);
    fds_close(&s->dirfd);
    if (s->flush)
        event_free(s->flush);
    if (s->sync)
        event_free(s->sync);
}
