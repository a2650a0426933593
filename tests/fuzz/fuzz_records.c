/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the journal in any order and with any payload: the ledger's counts stay true, and no
 * output is longer than one may be, or is there in part. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *context, struct entry *e)
{
    (void)context;
    (void)e;
}

/* All of it can be read. */
static void touch(const struct content *c)
{
    if (c->bytes && c->len)
        (void)*(const volatile char *)(c->bytes + c->len - 1);
}

static void check(const struct ledger *l)
{
    size_t memory = 0, kept = 0, disk = 0;
    for (int i = 0; i < ENTRY_STATES; i++) {
        const struct entry *e;
        size_t n = 0;
        TAILQ_FOREACH(e, &l->lists[i], in_state)
        {
            n++;
            touch(&e->output);
            if (e->output.len > LIMIT_OUTPUT ||
                (content_memory(&e->output) && content_memory(&e->output) != e->output.len))
                abort();
            if (i == ENTRY_DELIVERED)
                kept += content_memory(&e->output);
            else
                memory += content_memory(&e->output);
            disk += i == ENTRY_DELIVERED && e->spooled ? e->output.len : 0;
        }
        if (n != l->counts[i])
            abort();
    }
    if (memory != l->output_bytes || kept != l->kept_bytes || disk != l->kept_disk || l->fds != 0)
        abort();
}

/* Each record: type, ticket, length of the payload (one byte each), payload. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t key[2] = {1, 2};
    struct ledger l;
    if (ledger_init(&l, 100, key) != 0)
        return 0;
    struct records records = {.ledger = &l, .newest_ms = INT64_MIN / 2};
    l.unspool = ignore;
    while (size >= 3) {
        struct journal_record r = {.type = data[0], .seq = data[1], .size = data[2]};
        data += 3;
        size -= 3;
        if (r.size > size)
            r.size = (uint32_t)size;
        records_read(&records, &r, (struct span){(const char *)data, r.size});
        data += r.size;
        size -= r.size;
    }
    records_end(&records);
    check(&l);
    ledger_enforce_bounds(&l, INT64_MAX / 2);
    check(&l);
    ledger_finish(&l);
    return 0;
}
