/* SPDX-License-Identifier: Apache-2.0 */
/* What an earlier run left. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/records.h"
#include "core/set_aside.h"
#include "core/spool.h"
#include "core/store.h"

/* While the journal is read no file is counted yet, and most have gone already. */
static void on_unspool_past(void *context, struct entry *e)
{
    const struct store *s = context;
    spool_remove(s->dirfd, e->ticket);
}

/* last_unsure: what was said last may not be all that happened. True: it was read to its end. */
static bool read_journal(struct store *s, const char *name, bool last_unsure)
{
    struct records records = {.ledger = s->ledger, .newest_ms = INT64_MIN / 2};
    enum journal_found found = journal_read(&s->journal, records_read, &records);
    switch (found) {
    case JOURNAL_TORN:
        log_info("results/journal ends in half a record, which is left out: the agent or its host "
                 "ended while it was written");
        break;
    case JOURNAL_DAMAGED:
        s->damaged = name;
        break;
    default:
        break;
    }
    records_end(&records);
    if (records.passed_over > 0)
        log_warn("results/journal: %zu records do not fit the others, and are passed over",
                 records.passed_over);
    struct entry *e;
    while (last_unsure && (e = TAILQ_FIRST(&s->ledger->lists[ENTRY_QUEUED])))
        ledger_move(s->ledger, e, ENTRY_RUNNING);
    return found != JOURNAL_DAMAGED;
}

struct tickets {
    uint64_t *of; /* of entries with files, sorted */
    size_t n;
    int dirfd;
    bool complete;  /* every entry there was is known */
    size_t orphans; /* files that a crash left without an entry */
};

static int compare_tickets(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool is_known(void *context, const char *name)
{
    struct tickets *t = context;
    uint64_t ticket;
    if (strcmp(name, JOURNAL_NAME) == 0 || strcmp(name, JOURNAL_STALE) == 0 ||
        strcmp(name, JOURNAL_NEW) == 0)
        return true; /* the new one was never finished, and is written again */
    if (!spool_ticket(name, &ticket))
        return false;
    if (bsearch(&ticket, t->of, t->n, sizeof ticket, compare_tickets))
        return true;
    /* Written, and the agent ended before it could say so. */
    if (!t->complete || unlinkat(t->dirfd, name, 0) != 0)
        return false;
    t->orphans++;
    return true;
}

/* Its file is not what was written, or gone. */
static void lose(struct store *s, struct entry *e)
{
    char name[SPOOL_NAME_SIZE], to[SET_ASIDE_NAME];
    spool_name(name, e->ticket);
    if (set_aside(s->dirfd, name, to))
        log_warn("results/%s is not what was written: kept as results/%s", name, to);
    ledger_lost(s->ledger, e);
}

/* Entries whose files are gone, and files that belong to no entry. */
static bool match_files(struct store *s, bool complete)
{
    static const enum entry_state states[] = {ENTRY_READY, ENTRY_DELIVERED};
    const size_t *counts = s->ledger->counts;
    struct entry *e;
    struct tickets t = {.dirfd = s->dirfd, .complete = complete};
    t.of = calloc(counts[ENTRY_READY] + counts[ENTRY_DELIVERED] + 1, sizeof *t.of);
    if (!t.of)
        return false;
    for (size_t i = 0; i < 2; i++)
        TAILQ_FOREACH(e, &s->ledger->lists[states[i]], in_state)
        {
            if (e->spooled && spool_exists(s->dirfd, e->ticket, e->output.len)) {
                s->disk_bytes += e->output.len;
                t.of[t.n++] = e->ticket;
            } else if (e->spooled) {
                lose(s, e);
            }
        }
    qsort(t.of, t.n, sizeof *t.of, compare_tickets);
    set_aside_unknown(s->dirfd, is_known, &t);
    if (t.orphans > 0)
        log_info("removed %zu files in results/ that a crash left without a result", t.orphans);
    free(t.of);
    return true;
}

int store_load(struct store *s, struct span owner, struct span boot, size_t fds_max)
{
    char name[SET_ASIDE_NAME];
    if (store_open_directory(s) != 0)
        store_failed(s, "the directory results/ cannot be opened");
    /* A new one counts where there is no other: the agent ended between two renames. */
    static const char *const names[] = {JOURNAL_NAME, JOURNAL_STALE, JOURNAL_NEW};
    enum journal_found found = JOURNAL_NONE;
    bool other_boot;
    size_t n = 0;
    while ((found = journal_open(&s->journal, names[n], owner, boot, &other_boot)) ==
               JOURNAL_NONE &&
           n < 2)
        n++;
    if (found == JOURNAL_FOREIGN && n == 2)
        found = JOURNAL_NONE; /* the very first start was cut short */
    bool complete = found == JOURNAL_NONE;
    if (ledger_init(s->ledger, fds_max, s->journal.key) != 0)
        return -1;
    s->ledger->unspool = on_unspool_past;
    s->ledger->context = s;
    if (found == JOURNAL_FOREIGN && s->dirfd >= 0) {
        bool kept = set_aside(s->dirfd, names[n], name);
        log_warn("results/journal is not a journal of this agent and server: %s%s",
                 kept ? "kept as results/" : "it will be replaced", kept ? name : "");
    } else if (found == JOURNAL_WHOLE) {
        complete = read_journal(s, names[n], n > 0 || other_boot);
    }
    s->ledger->unspool = store_unspool;
    if (s->dirfd >= 0 && !match_files(s, complete))
        return -1;
    ledger_enforce_bounds(s->ledger, (int64_t)clock_ms());
    return 0;
}
