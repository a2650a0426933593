/* SPDX-License-Identifier: Apache-2.0 */
/* What the ledger remembers over the end of its process: journal, files, and what harms them. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/spool.h"
#include "tests/unit/run.h"

static void states_survive(void **state)
{
    struct run r;
    (void)state;
    begin(&r);
    store_begin(&r.store);
    accept_command(&r, "queued");
    start_command(&r, accept_command(&r, "running"));
    static const struct {
        const char *id;
        size_t len;
    } ended[] = {{"empty", 0}, {"small", 5000}, {"largest small", CONTENT_SMALL}, {"large", LARGE}};
    for (size_t i = 0; i < 4; i++) {
        struct entry *e = accept_command(&r, ended[i].id);
        start_command(&r, e);
        end_command(&r, e, ended[i].len);
    }
    for (size_t i = 0; i < 2; i++) {
        struct entry *e = accept_command(&r, i ? "delivered large" : "delivered");
        start_command(&r, e);
        end_command(&r, e, i ? LARGE : 100);
        deliver(&r, e);
    }
    store_flush(&r.store);
    accept_command(&r, "not flushed");
    /* Twice: from what was appended, and from what the second run wrote at its beginning. */
    for (int again = 0; again < 2; again++) {
        crash(&r);
        begin(&r);
        known(&r, "queued", ENTRY_QUEUED);
        known(&r, "running", ENTRY_RUNNING);
        assert_null(ledger_find(&r.ledger, span_of("not flushed")));
        for (size_t i = 0; i < 4; i++)
            assert_output(&r, known(&r, ended[i].id, ENTRY_READY), ended[i].len);
        assert_output(&r, known(&r, "delivered", ENTRY_DELIVERED), 100);
        assert_int_equal(r.store.disk_bytes, 2 * LARGE);
        assert_int_equal(r.ledger.kept_disk, LARGE);
        assert_int_equal(files_ending(".out"), 2);
        assert_int_equal(files_ending(".aside"), 0);
        store_begin(&r.store);
    }
    struct entry *e = known(&r, "delivered large", ENTRY_DELIVERED);
    ledger_revive(&r.ledger, e);
    assert_output(&r, e, LARGE);
    deliver(&r, e);
    struct content text;
    content_of_span(&text, span_of("small"));
    assert_true(ledger_same_text(&r.ledger, known(&r, "small", ENTRY_READY), &text));
    content_finish(&text);
    content_of_span(&text, span_of("smell"));
    assert_false(ledger_same_text(&r.ledger, known(&r, "small", ENTRY_READY), &text));
    content_finish(&text);
    assert_true(accept_command(&r, "new")->ticket > 8); /* tickets name files: never used twice */
    crash(&r);
}

/* One queued, one running, two ready, two delivered. */
#define SAMPLE_PROGRESS                                                                            \
    (6 + ENTRY_QUEUED + ENTRY_RUNNING + 2 * ENTRY_READY + 2 * (size_t)ENTRY_DELIVERED)

/* A journal with each kind of record, and its bytes. */
static size_t sample(char *out, size_t size)
{
    struct run r;
    begin(&r);
    store_begin(&r.store);
    for (int i = 0; i < 6; i++) {
        char id[16];
        snprintf(id, sizeof id, "id-%d", i);
        struct entry *e = accept_command(&r, id);
        if (i == 0)
            continue;
        start_command(&r, e);
        if (i == 1)
            continue;
        end_command(&r, e, i == 5 ? LARGE : (size_t)i * 10);
        if (i >= 4)
            deliver(&r, e);
    }
    store_flush(&r.store);
    crash(&r);
    int fd = results_file("journal", O_RDONLY);
    ssize_t n = read(fd, out, size);
    close(fd);
    assert_true(n > 0 && (size_t)n < size);
    return (size_t)n;
}

/* Whatever is left is what was written: never another id, never another output. Gives how far the
 * entries are together. */
static size_t check_sample(struct run *r)
{
    size_t found = 0, progress = 0;
    for (int i = 0; i < 6; i++) {
        char id[16];
        snprintf(id, sizeof id, "id-%d", i);
        struct entry *e = ledger_find(&r->ledger, span_of(id));
        found += e != NULL;
        progress += e ? 1 + (size_t)e->state : 0;
        if (e && e->state >= ENTRY_READY && !e->forgotten)
            assert_output(r, e, i == 5 ? LARGE : (size_t)i * 10);
    }
    assert_int_equal(ledger_open_count(&r->ledger) + r->ledger.counts[ENTRY_DELIVERED], found);
    return progress;
}

/* This journal, beside the one large output of the sample. */
static void write_sample(const char *bytes, size_t len)
{
    static char output[LARGE];
    int fd = results_file("journal", O_WRONLY | O_CREAT | O_TRUNC);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
    fd = results_file("0000000000000006.out", O_WRONLY | O_CREAT | O_TRUNC);
    assert_int_equal(write(fd, memset(output, 'a' + 6, LARGE), LARGE), LARGE);
    close(fd);
}

static void torn_anywhere(void **state)
{
    static char bytes[65536];
    struct run r;
    size_t len = sample(bytes, sizeof bytes), before = 0;
    (void)state;
    for (size_t cut = 0; cut <= len; cut++) {
        write_sample(bytes, cut);
        begin(&r);
        size_t found = check_sample(&r);
        assert_true(found >= before);
        before = found;
        store_begin(&r.store);
        assert_false(r.store.failing);
        crash(&r);
        begin(&r); /* what was written anew is whole */
        assert_int_equal(check_sample(&r), found);
        crash(&r);
    }
    assert_int_equal(before, SAMPLE_PROGRESS);
}

static void damaged_anywhere(void **state)
{
    static char bytes[65536];
    struct run r;
    size_t len = sample(bytes, sizeof bytes);
    (void)state;
    for (size_t at = 0; at < len; at++) {
        bytes[at] ^= 0x10;
        write_sample(bytes, len);
        bytes[at] ^= 0x10;
        begin(&r);
        assert_int_not_equal(check_sample(&r), SAMPLE_PROGRESS); /* each damage is noticed */
        store_begin(&r.store);
        assert_false(r.store.failing);
        crash(&r);
    }
    assert_true(files_ending(".aside") > 0 && files_ending(".aside") <= 32);
}

static void foreign_files(void **state)
{
    static char bytes[65536];
    struct run r;
    (void)state;
    sample(bytes, sizeof bytes);
    begin_as(&r, LARGE, "https://other.example"); /* results for one server never go to another */
    assert_int_equal(check_sample(&r), 0);
    assert_int_equal(files_ending(".aside"), 2); /* the journal and the file of id-5 */
    crash(&r);
    unlinkat(run_dirfd, "results/journal", 0);
    assert_int_equal(mkfifoat(run_dirfd, "results/journal", 0600), 0);
    close(results_file("note.txt", O_WRONLY | O_CREAT));
    close(results_file("00000000000000zz.out", O_WRONLY | O_CREAT));
    close(results_file("00000000000000ff.out", O_WRONLY | O_CREAT));
    assert_int_equal(mkdirat(run_dirfd, "results/directory", 0700), 0);
    assert_int_equal(symlinkat("/etc/passwd", run_dirfd, "results/link"), 0);
    begin(&r);
    assert_int_equal(check_sample(&r), 0);
    assert_int_equal(files_ending(".aside"), 8);
    store_begin(&r.store);
    assert_false(r.store.failing);
    crash(&r);
}

static void damaged_file(void **state)
{
    struct run r;
    char name[SPOOL_NAME_SIZE];
    (void)state;
    begin(&r);
    store_begin(&r.store);
    struct entry *e = accept_command(&r, "a"), *f = accept_command(&r, "b");
    end_command(&r, e, LARGE);
    end_command(&r, f, LARGE);
    store_flush(&r.store);
    spool_name(name, e->ticket);
    int fd = results_file(name, O_WRONLY);
    assert_int_equal(pwrite(fd, "!", 1, LARGE / 2), 1);
    close(fd);
    spool_name(name, f->ticket);
    fd = results_file(name, O_WRONLY);
    assert_int_equal(ftruncate(fd, LARGE - 1), 0);
    close(fd);
    crash(&r);
    begin(&r);
    e = known(&r, "a", ENTRY_READY);
    assert_true(e->spooled);
    assert_int_equal(store_recall(&r.store, e), RECALL_LOST);
    assert_false(known(&r, "b", ENTRY_READY)->spooled); /* torn: set aside at once */
    assert_int_equal(files_ending(".out.aside"), 2);
    crash(&r);
}

static void bounded_on_disk(void **state)
{
    struct run r;
    (void)state;
    begin_as(&r, 3 * LARGE, "x");
    store_begin(&r.store);
    struct entry *e[6];
    char id[2] = "a";
    for (int i = 0; i < 6; i++, id[0]++) {
        e[i] = accept_command(&r, id);
        end_command(&r, e[i], LARGE);
        if (i < 2)
            deliver(&r, e[i]);
    }
    /* The delivered ones gave way; what is not delivered stays, the last one in memory. */
    assert_true(e[0]->forgotten && e[1]->forgotten);
    assert_true(e[2]->spooled && e[3]->spooled && e[4]->spooled);
    assert_false(e[5]->spooled);
    assert_false(r.store.failing);
    assert_int_equal(r.store.disk_bytes, 3 * LARGE);
    assert_int_equal(files_ending(".out"), 3);
    ledger_leave(&r.ledger, e[2]);
    ledger_leave(&r.ledger, e[5]);
    assert_int_equal(content_memory(&e[2]->output), 0);
    assert_int_equal(content_memory(&e[5]->output), LARGE);
    assert_int_equal(r.ledger.output_bytes, 3 * LARGE);
    store_flush(&r.store);
    crash(&r);
    begin_as(&r, 3 * LARGE, "x");
    struct entry *lost = known(&r, "f", ENTRY_READY);
    assert_true(lost->output.len == LARGE && content_memory(&lost->output) == 0 && !lost->spooled);
    assert_true(known(&r, "a", ENTRY_DELIVERED)->forgotten);
    crash(&r);
}

/* Many commands: the journal and the files stay bounded, and the newest ids are known. */
static void bounded_over_time(void **state)
{
    struct run r;
    struct stat st;
    off_t largest = 0;
    char id[32];
    const int n = 12 * LEDGER_KEEP_COUNT;
    (void)state;
    begin(&r);
    store_begin(&r.store);
    for (int i = 0; i < n; i++) {
        snprintf(id, sizeof id, "id-%d", i);
        struct entry *e = accept_command(&r, id);
        start_command(&r, e);
        end_command(&r, e, i % 1000 == 0 ? LARGE : i < n / 2 ? 500 : 0);
        deliver(&r, e);
        if (i % 50 == 0)
            one_turn(&r);
        int fd = i % 1000 == 0 ? results_file("journal", O_RDONLY) : -1;
        if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > largest)
            largest = st.st_size;
        close(fd);
    }
    store_flush(&r.store);
    crash(&r);
    assert_true(largest > 4 << 20 && largest < 40 << 20);
    begin(&r);
    assert_int_equal(r.ledger.counts[ENTRY_DELIVERED], LEDGER_KEEP_COUNT);
    assert_output(&r, known(&r, id, ENTRY_DELIVERED), 0);
    assert_int_equal(files_ending(".out"), LEDGER_KEEP_COUNT / 1000);
    /* A week later they are gone, files too. */
    store_begin(&r.store);
    ledger_enforce_bounds(&r.ledger, (int64_t)clock_ms() + LEDGER_KEEP_MS + 1);
    assert_int_equal(r.ledger.counts[ENTRY_DELIVERED], 0);
    assert_int_equal(files_ending(".out"), 0);
    assert_int_equal(r.store.disk_bytes, 0);
    crash(&r);
}

/* An id that was forgotten and came again; records that were written twice. */
static void second_lives(void **state)
{
    struct run r;
    char id[32];
    (void)state;
    begin(&r);
    store_begin(&r.store);
    for (int i = 0; i <= LEDGER_KEEP_COUNT; i++) {
        snprintf(id, sizeof id, "id-%d", i);
        struct entry *e = accept_command(&r, id);
        start_command(&r, e);
        end_command(&r, e, 0);
        deliver(&r, e);
    }
    assert_null(ledger_find(&r.ledger, span_of("id-0")));
    struct entry *e = accept_command(&r, "id-0");
    store_started(&r.store, e); /* exec did not take it */
    start_command(&r, e);
    end_command(&r, e, 100);
    start_command(&r, accept_command(&r, "last"));
    store_flush(&r.store);
    crash(&r);
    begin(&r);
    assert_output(&r, known(&r, "id-0", ENTRY_READY), 100);
    known(&r, "last", ENTRY_RUNNING);
    assert_int_equal(files_ending(".aside"), 0);
    crash(&r);
}

/* An output that was given up stays given up: never answered as an empty one. */
static void forgotten_stays_forgotten(void **state)
{
    struct run r;
    (void)state;
    begin_as(&r, 2 * LARGE, "x");
    store_begin(&r.store);
    for (int i = 0; i < 3; i++) {
        struct entry *e = accept_command(&r, i == 0 ? "a" : i == 1 ? "b" : "c");
        end_command(&r, e, LARGE);
        deliver(&r, e);
    }
    store_flush(&r.store);
    assert_true(known(&r, "a", ENTRY_DELIVERED)->forgotten);
    for (int again = 0; again < 3; again++) {
        crash(&r);
        begin_as(&r, 2 * LARGE, "x");
        assert_true(known(&r, "a", ENTRY_DELIVERED)->forgotten);
        assert_false(known(&r, "b", ENTRY_DELIVERED)->forgotten);
        store_begin(&r.store);
    }
    crash(&r);
}

/* What a journal of another start of the host says last may not be all that happened. */
static void host_crash(void **state)
{
    struct run r;
    (void)state;
    begin(&r);
    store_begin(&r.store);
    accept_command(&r, "a");
    store_flush(&r.store);
    crash(&r);
    begin(&r);
    known(&r, "a", ENTRY_QUEUED);
    store_begin(&r.store);
    crash(&r);
    run_boot = "boot 2";
    begin(&r);
    known(&r, "a", ENTRY_RUNNING);
    crash(&r);
}

/* A file that was written, and the agent ended before it said so: removed, not gathered. */
static void orphans(void **state)
{
    struct run r;
    char name[SPOOL_NAME_SIZE];
    (void)state;
    begin(&r);
    store_begin(&r.store);
    end_command(&r, accept_command(&r, "a"), LARGE);
    store_flush(&r.store);
    crash(&r);
    for (uint64_t i = 100; i < 200; i++) {
        spool_name(name, i);
        close(results_file(name, O_WRONLY | O_CREAT));
    }
    begin(&r);
    assert_output(&r, known(&r, "a", ENTRY_READY), LARGE);
    assert_int_equal(files_ending(".out"), 1);
    assert_int_equal(files_ending(".aside"), 0);
    crash(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, run_make_directory, run_remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(states_survive),    TEST(torn_anywhere), TEST(damaged_anywhere),
        TEST(foreign_files),     TEST(damaged_file),  TEST(bounded_on_disk),
        TEST(bounded_over_time), TEST(second_lives),  TEST(forgotten_stays_forgotten),
        TEST(host_crash),        TEST(orphans),
    };
    log_init("core", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
