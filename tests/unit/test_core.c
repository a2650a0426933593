/* SPDX-License-Identifier: Apache-2.0 */
/* What of core is pure: back-off, ledger, judging answers. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "core/attempt.h"
#include "core/backoff.h"
#include "core/ledger.h"
#include "ipc/memfd.h"

static const uint64_t key[2] = {1, 2};

static void backoffs(void **state)
{
    struct backoff b = {0};
    (void)state;
    static const uint64_t doubling[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (size_t i = 0; i < 8; i++) {
        struct backoff low = b;
        assert_int_equal(backoff_failed(&b, 0), doubling[i]);
        assert_int_equal(backoff_failed(&low, UINT32_MAX), doubling[i] - doubling[i] / 2);
    }
    backoff_online(&b);
    assert_int_equal(backoff_failed(&b, 0), 1000);
    /* Sessions that came online: within 1 s at first, at most 10 s while they stay short, and
     * forgotten after a long one. */
    static const uint64_t shorts[] = {1000, 2000, 4000, 8000, 10000, 10000};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(backoff_dropped(&b, 500, 0), shorts[i]);
    assert_int_equal(backoff_dropped(&b, 60000, 0), 1000);
    assert_int_equal(backoff_dropped(&b, 1, 0), 1000);
    for (uint64_t r = 0; r <= UINT32_MAX; r += UINT32_MAX / 7) {
        uint64_t ms = backoff_standby(&b, (uint32_t)r);
        assert_true(ms >= 5000 && ms <= 15000);
    }
    struct backoff refused = {0};
    static const uint64_t minutes[] = {60000, 120000, 240000, 480000, 900000, 900000};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(backoff_refused(&refused, 0), minutes[i]);
}

static struct entry *add(struct ledger *l, const char *id, const char *text)
{
    struct content c;
    assert_true(content_of_span(&c, span_of(text)));
    struct entry *e = ledger_add(l, span_of(id), &c);
    assert_non_null(e);
    return e;
}

static void give_output(struct ledger *l, struct entry *e, size_t len, bool memfd)
{
    static char bytes[100000];
    struct content c;
    if (memfd) {
        int fd = memfd_of("t", bytes, len);
        content_take(&c, &fd, len);
    } else {
        content_of_span(&c, (struct span){bytes, len});
    }
    ledger_set_output(l, e, &c);
}

static void ledger_life(void **state)
{
    struct ledger l;
    (void)state;
    assert_int_equal(ledger_init(&l, 100, key), 0);
    struct entry *a = add(&l, "a", "echo 1"), *b = add(&l, "b", "echo 2");
    assert_ptr_equal(ledger_find(&l, span_of("a")), a);
    assert_null(ledger_find(&l, span_of("c")));
    struct content same, other;
    content_of_span(&same, span_of("echo 1"));
    content_of_span(&other, span_of("echo 2"));
    assert_true(ledger_same_text(&l, a, &same));
    assert_false(ledger_same_text(&l, a, &other));
    assert_int_equal(l.text_bytes, 12);
    ledger_drop_text(&l, a);
    ledger_move(&l, a, ENTRY_RUNNING);
    assert_int_equal(l.text_bytes, 6);
    assert_true(ledger_same_text(&l, a, &same)); /* the fingerprint outlives the text */
    assert_ptr_equal(ledger_by_ticket(&l, ENTRY_RUNNING, a->ticket), a);
    assert_null(ledger_by_ticket(&l, ENTRY_RUNNING, b->ticket));
    give_output(&l, a, 100, true);
    assert_int_equal(l.output_bytes, 100);
    ledger_move(&l, a, ENTRY_SENT);
    ledger_move(&l, b, ENTRY_SENT);
    struct entry *c = add(&l, "c", "");
    ledger_move(&l, c, ENTRY_READY);
    ledger_unsend(&l, true);
    assert_ptr_equal(TAILQ_FIRST(&l.lists[ENTRY_READY]), a);
    assert_ptr_equal(TAILQ_NEXT(a, in_state), b);
    assert_ptr_equal(TAILQ_NEXT(b, in_state), c);
    assert_int_equal(a->drops, 1);
    assert_int_equal(c->drops, 0);
    ledger_delivered(&l, a);
    assert_int_equal(l.output_bytes, 0);
    assert_int_equal(l.kept_bytes, 100);
    assert_true(a->output.fd < 0 && a->output.len == 100); /* small: no descriptor is kept */
    ledger_revive(&l, a);
    assert_int_equal(l.output_bytes, 100);
    assert_int_equal(l.kept_bytes, 0);
    content_finish(&same);
    content_finish(&other);
    ledger_finish(&l);
}

static void ledger_bounds(void **state)
{
    struct ledger l;
    char id[32];
    (void)state;
    assert_int_equal(ledger_init(&l, 100, key), 0);
    for (int i = 0; i < LEDGER_KEEP_FDS + 5; i++) {
        snprintf(id, sizeof id, "big%d", i);
        struct entry *e = add(&l, id, "x");
        ledger_drop_text(&l, e);
        give_output(&l, e, LEDGER_KEEP_SMALL + 1, true);
        ledger_delivered(&l, e);
        ledger_enforce_bounds(&l, (int64_t)clock_ms());
    }
    assert_int_equal(l.kept_fds, LEDGER_KEEP_FDS);
    assert_true(ledger_find(&l, span_of("big0"))->forgotten);
    assert_false(ledger_find(&l, span_of("big36"))->forgotten);
    for (int i = 0; i < LEDGER_KEEP_COUNT + 10; i++) {
        snprintf(id, sizeof id, "small%d", i);
        struct entry *e = add(&l, id, "x");
        ledger_drop_text(&l, e);
        ledger_delivered(&l, e);
        ledger_enforce_bounds(&l, (int64_t)clock_ms());
    }
    assert_int_equal(l.counts[ENTRY_DELIVERED], LEDGER_KEEP_COUNT);
    assert_null(ledger_find(&l, span_of("big0")));
    assert_null(ledger_find(&l, span_of("small9")));
    assert_non_null(ledger_find(&l, span_of("small10")));
    assert_int_equal(l.kept_fds, 0);
    assert_int_equal(l.text_bytes, 0);
    ledger_finish(&l);
}

static void count_unspool(void *context, struct entry *e)
{
    (void)e;
    ++*(int *)context;
}

/* Too much in memory: what is on disk is no reason to be given up, and frees none. */
static void ledger_bounds_apart(void **state)
{
    struct ledger l;
    char id[32];
    int removed = 0;
    (void)state;
    assert_int_equal(ledger_init(&l, 0, key), 0);
    l.unspool = count_unspool;
    l.context = &removed;
    struct entry *spooled = add(&l, "spooled", "x");
    give_output(&l, spooled, CONTENT_SMALL + 1, false);
    ledger_spooled(spooled, 0);
    ledger_delivered(&l, spooled);
    for (int i = 0; i <= LEDGER_KEEP_BYTES / CONTENT_SMALL; i++) {
        snprintf(id, sizeof id, "id%d", i);
        struct entry *e = add(&l, id, "x");
        give_output(&l, e, CONTENT_SMALL, false);
        ledger_delivered(&l, e);
        ledger_enforce_bounds(&l, (int64_t)clock_ms());
    }
    assert_true(ledger_find(&l, span_of("id0"))->forgotten);
    assert_false(ledger_find(&l, span_of("id1"))->forgotten);
    assert_false(spooled->forgotten);
    assert_int_equal(removed, 0);
    assert_int_equal(l.kept_bytes, LEDGER_KEEP_BYTES);
    assert_int_equal(l.kept_disk, CONTENT_SMALL + 1);
    ledger_finish(&l);
}

static void versions(void **state)
{
    static const struct {
        const char *text;
        int ok;
    } cases[] = {{"1.198.0", 1}, {"1.8", 1},          {"1.8.0", 1}, {"2", 1},
                 {"2.0.1", 1},   {"1.7.9", 0},        {"1", 0},     {"0.99", 0},
                 {"", -1},       {"x", -1},           {"1.", -1},   {"1.x", -1},
                 {"v1.9", -1},   {"99999999999.1", 1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (attempt_version_ok(span_of(cases[i].text)) != cases[i].ok)
            fail_msg("'%s'", cases[i].text);
}

static struct attempt judge(enum purpose purpose, unsigned status, const char *message,
                            bool logged_in)
{
    static struct core core;
    struct attempt a;
    struct msg_response m = {.status = status,
                             .is_tower = purpose == PURPOSE_PROBE,
                             .api_version = span_of("1.9"),
                             .message = span_of(message),
                             .retry_after_s = 7};
    strcpy(core.config.url, "https://tower.example");
    core.link.logged_in = logged_in;
    attempt_judge(&a, &core, purpose, &m);
    return a;
}

static void judgements(void **state)
{
    (void)state;
    assert_int_equal(judge(PURPOSE_PROBE, 200, "", false).verdict, ATTEMPT_OK);
    assert_int_equal(judge(PURPOSE_LOGIN, 200, "", false).verdict, ATTEMPT_OK);
    assert_int_equal(judge(PURPOSE_AGENT, 101, "", true).verdict, ATTEMPT_OK);
    assert_int_equal(judge(PURPOSE_AGENT, 200, "", true).verdict, ATTEMPT_RETRY);
    assert_int_equal(judge(PURPOSE_LOGIN, 502, "", false).verdict, ATTEMPT_RETRY);
    struct attempt a = judge(PURPOSE_LOGIN, 401, "bad", false);
    assert_true(a.verdict == ATTEMPT_FATAL && a.exit_code == 4);
    assert_non_null(strstr(a.reason, "refused"));
    a = judge(PURPOSE_AGENT, 403, "", true);
    assert_true(a.verdict == ATTEMPT_RETRY && a.kind == RETRY_REFUSED);
    a = judge(PURPOSE_PROBE, 404, "", false);
    assert_non_null(strstr(a.reason, "did you mean"));
    assert_int_equal(a.retry_after_ms, 7000);
    /* What a server says is redacted before it can reach a log. */
    a = judge(PURPOSE_AGENT, 500, "TOWER_ACCESS_TOKEN=abcdef", true);
    assert_null(strstr(a.reason, "abcdef"));
}

static void ends(void **state)
{
    static struct core core;
    struct attempt a;
    (void)state;
    static const struct {
        int64_t code;
        enum retry_kind kind;
    } cases[] = {
        {4000, RETRY_STANDBY}, {4001, RETRY_AT_ONCE}, {1000, RETRY_FAILED}, {1011, RETRY_FAILED}};
    for (size_t i = 0; i < 4; i++) {
        struct msg_ended m = {.stage = STAGE_CLOSED, .code = cases[i].code};
        attempt_explain(&a, &core, &m);
        assert_int_equal(a.kind, cases[i].kind);
    }
    for (uint64_t stage = 0; stage <= STAGE_MAX; stage++) {
        struct msg_ended m = {.stage = stage};
        attempt_explain(&a, &core, &m);
        assert_true(strlen(a.reason) > 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backoffs),      cmocka_unit_test(ledger_life),
        cmocka_unit_test(ledger_bounds), cmocka_unit_test(ledger_bounds_apart),
        cmocka_unit_test(versions),      cmocka_unit_test(judgements),
        cmocka_unit_test(ends),
    };
    return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
