/* SPDX-License-Identifier: Apache-2.0 */
#include "core/records.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/text.h"

/* More than the ledger ever holds: undelivered and kept ones. */
#define ENTRIES_MOST (3 * LIMIT_QUEUE_COUNT + LEDGER_KEEP_COUNT)
/* Tickets count commands, times milliseconds; none comes near this. */
#define TICKET_MOST (UINT64_C(1) << 62)
#define TIME_MOST   (INT64_C(1) << 52)

_Static_assert(sizeof(struct record_accepted) == 24 && sizeof(struct record_ended) == 24,
               "no padding: these are what the file holds");
_Static_assert(sizeof(struct record_ended) + CONTENT_SMALL <= JOURNAL_PAYLOAD_MAX &&
                   sizeof(struct record_accepted) + LIMIT_ID <= JOURNAL_PAYLOAD_MAX,
               "every record fits");

static struct span span_at(const void *p, size_t len)
{
    return (struct span){p, len};
}

static int append_accepted(struct journal *j, const struct entry *e)
{
    struct record_accepted r = {
        .fingerprint = e->fingerprint, .text_len = e->text_len, .since_ms = e->since_ms};
    return journal_append(j, RECORD_ACCEPTED, e->ticket, span_at(&r, sizeof r),
                          span_at(e->id, e->id_len));
}

static int append_ended(struct journal *j, const struct entry *e)
{
    struct memfd_map view = {{NULL, 0}, NULL};
    struct record_ended r = {.status = e->status, .len = e->output.len};
    if (e->forgotten && e->state == ENTRY_DELIVERED) {
        r.where = OUTPUT_FORGOTTEN;
    } else if (e->spooled) {
        r.where = OUTPUT_FILE;
        r.sum = e->sum;
    } else if (e->output.len > CONTENT_SMALL || content_memory(&e->output) != e->output.len) {
        r.where = OUTPUT_MEMORY;
    } else if (!content_view(&e->output, &view)) {
        return -1;
    }
    int rc = journal_append(j, RECORD_ENDED, e->ticket, span_at(&r, sizeof r), view.bytes);
    int saved = errno;
    memfd_unmap(&view);
    errno = saved;
    return rc;
}

int records_append(struct journal *j, enum record_type type, const struct entry *e)
{
    if (type == RECORD_ACCEPTED)
        return append_accepted(j, e);
    if (type == RECORD_ENDED)
        return append_ended(j, e);
    return journal_append(j, type, e->ticket, span_of(NULL), span_of(NULL));
}

int records_append_all(struct journal *j, const struct entry *e)
{
    bool ended = e->state >= ENTRY_READY;
    int rc = append_accepted(j, e);
    if (rc == 0 && e->state != ENTRY_QUEUED && !ended)
        rc = records_append(j, RECORD_STARTED, e);
    if (rc == 0 && ended)
        rc = append_ended(j, e);
    if (rc == 0 && e->arrived)
        rc = records_append(j, RECORD_DELIVERED, e);
    return rc;
}

/* The entry that a record is about: as a rule the newest, or the oldest of its state. */
static struct entry *find(const struct ledger *l, enum entry_state state, uint64_t ticket)
{
    struct entry *last = TAILQ_LAST(&l->lists[state], entry_list);
    return last && last->ticket == ticket ? last : ledger_by_ticket(l, state, ticket);
}

static bool read_accepted(struct records *all, uint64_t ticket, struct span payload)
{
    struct ledger *l = all->ledger;
    struct record_accepted r;
    if (payload.len <= sizeof r || payload.len - sizeof r > LIMIT_ID ||
        ledger_open_count(l) + l->counts[ENTRY_DELIVERED] >= ENTRIES_MOST)
        return false;
    memcpy(&r, payload.data, sizeof r);
    struct span id = {payload.data + sizeof r, payload.len - sizeof r};
    struct entry_facts facts = {.ticket = ticket,
                                .fingerprint = r.fingerprint,
                                .text_len = (size_t)r.text_len,
                                .since_ms = r.since_ms};
    if (r.since_ms < -TIME_MOST || r.since_ms > TIME_MOST || !text_is_utf8(id.data, id.len) ||
        memchr(id.data, '\0', id.len))
        return false;
    struct entry *known = ledger_find(l, id);
    /* Its first life was over and forgotten when it came again. */
    if (known && known->state == ENTRY_DELIVERED)
        ledger_forget(l, known);
    if (all->newest_ms < r.since_ms)
        all->newest_ms = r.since_ms;
    return ledger_restore(l, id, &facts) != NULL;
}

static bool read_started(struct ledger *l, uint64_t ticket)
{
    struct entry *e = find(l, ENTRY_QUEUED, ticket);
    if (e)
        ledger_move(l, e, ENTRY_RUNNING);
    /* Said again when exec could not take it the first time. */
    return e || find(l, ENTRY_RUNNING, ticket);
}

static bool read_ended(struct ledger *l, uint64_t ticket, struct span payload)
{
    struct record_ended r;
    struct content output = {.fd = -1};
    if (payload.len < sizeof r)
        return false;
    memcpy(&r, payload.data, sizeof r);
    struct span bytes = {payload.data + sizeof r, payload.len - sizeof r};
    struct entry *e = find(l, ENTRY_RUNNING, ticket);
    if (!e && !(e = find(l, ENTRY_QUEUED, ticket)))
        e = find(l, ENTRY_READY, ticket); /* its result was replaced by a shorter one */
    if (!e || r.status < 0 || r.status > 255 || r.len > LIMIT_OUTPUT ||
        r.where > OUTPUT_FORGOTTEN || bytes.len != (r.where == OUTPUT_INLINE ? r.len : 0))
        return false;
    if (r.where == OUTPUT_INLINE && !content_of_span(&output, bytes))
        return false;
    output.len = (size_t)r.len;
    ledger_set_output(l, e, &output);
    if (r.where == OUTPUT_FILE)
        ledger_spooled(e, r.sum);
    e->status = r.status;
    e->forgotten = r.where == OUTPUT_FORGOTTEN;
    if (e->state != ENTRY_READY)
        ledger_move(l, e, ENTRY_READY);
    return true;
}

static bool read_delivered(struct records *all, uint64_t ticket)
{
    struct ledger *l = all->ledger;
    struct entry *e = find(l, ENTRY_READY, ticket);
    if (!e)
        return false;
    e->arrived = true;
    ledger_delivered(l, e);
    if (content_memory(&e->output) != e->output.len && !e->spooled)
        e->forgotten = true;
    ledger_enforce_bounds(l, all->newest_ms);
    return true;
}

static bool read_one(struct records *all, const struct journal_record *r, struct span payload)
{
    if (r->seq == 0 || r->seq > TICKET_MOST)
        return false;
    switch (r->type) {
    case RECORD_ACCEPTED:
        return read_accepted(all, r->seq, payload);
    case RECORD_STARTED:
        return payload.len == 0 && read_started(all->ledger, r->seq);
    case RECORD_ENDED:
        return read_ended(all->ledger, r->seq, payload);
    case RECORD_DELIVERED:
        return payload.len == 0 && read_delivered(all, r->seq);
    default:
        return false;
    }
}

void records_read(void *context, const struct journal_record *r, struct span payload)
{
    struct records *all = context;
    all->passed_over += !read_one(all, r, payload);
}

void records_end(struct records *all)
{
    struct entry *e;
    for (int i = 0; i < ENTRY_STATES; i++)
        TAILQ_FOREACH(e, &all->ledger->lists[i], in_state)
    e->since_ms += (int64_t)clock_ms() - all->newest_ms;
}
