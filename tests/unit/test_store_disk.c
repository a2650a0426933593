/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that is full, fails, or loses what was on it: all goes on, and comes back when it can. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/unit/disk.h"
#include "tests/unit/run.h"

static void limit_files(rlim_t size)
{
    struct rlimit r;
    getrlimit(RLIMIT_FSIZE, &r);
    r.rlim_cur = size;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &r);
}

static void try_again(struct run *r)
{
    event_active(r->store.sync, EV_TIMEOUT, 0);
    one_turn(r);
}

static void full_disk(void **state)
{
    struct run r;
    (void)state;
    begin(&r);
    store_begin(&r.store);
    limit_files(r.store.journal.size + 40); /* not even one record, but a part of it */
    struct entry *a = accept_command(&r, "a"), *b = accept_command(&r, "b");
    store_flush(&r.store);
    assert_true(r.store.failing);
    end_command(&r, a, LARGE);
    end_command(&r, b, 10);
    assert_false(a->spooled);
    assert_int_equal(content_memory(&a->output), LARGE);
    assert_int_equal(files_ending(".out"), 0);
    try_again(&r); /* it fails too */
    assert_true(r.store.failing);
    limit_files(RLIM_INFINITY);
    try_again(&r);
    assert_false(r.store.failing);
    assert_true(a->spooled);
    crash(&r);
    begin(&r);
    assert_output(&r, known(&r, "a", ENTRY_READY), LARGE);
    assert_output(&r, known(&r, "b", ENTRY_READY), 10);
    crash(&r);
}

/* What an unwritable journal says last is less than what happened: nothing is called not run. */
static void stale_journal(void **state)
{
    struct run r;
    (void)state;
    begin(&r);
    store_begin(&r.store);
    struct entry *e = accept_command(&r, "a");
    store_flush(&r.store);
    limit_files(r.store.journal.size);
    start_command(&r, e);
    store_flush(&r.store);
    assert_true(r.store.failing);
    crash(&r);
    limit_files(RLIM_INFINITY);
    begin(&r);
    known(&r, "a", ENTRY_RUNNING);
    store_begin(&r.store);
    crash(&r);
    begin(&r);
    known(&r, "a", ENTRY_RUNNING);
    assert_int_equal(files_ending(".stale"), 0);
    crash(&r);
}

/* Room for small files alone: they are kept, and the journal goes on. */
static void room_for_small_ones(void **state)
{
    struct run r;
    (void)state;
    begin(&r);
    store_begin(&r.store);
    limit_files(LARGE);
    struct entry *a = accept_command(&r, "a"), *b = accept_command(&r, "b");
    end_command(&r, a, LARGE + 1);
    assert_true(r.store.failing);
    end_command(&r, b, LARGE);
    try_again(&r);
    assert_true(r.store.failing);
    assert_false(a->spooled);
    assert_true(b->spooled);
    accept_command(&r, "c");
    store_flush(&r.store);
    limit_files(RLIM_INFINITY);
    try_again(&r);
    assert_false(r.store.failing);
    assert_true(a->spooled);
    store_flush(&r.store);
    crash(&r);
    begin(&r);
    assert_output(&r, known(&r, "a", ENTRY_READY), LARGE + 1);
    assert_output(&r, known(&r, "b", ENTRY_READY), LARGE);
    known(&r, "c", ENTRY_QUEUED);
    crash(&r);
}

static void removed_directory(void **state)
{
    struct run r;
    char command[128];
    (void)state;
    begin(&r);
    store_begin(&r.store);
    end_command(&r, accept_command(&r, "a"), LARGE);
    end_command(&r, accept_command(&r, "b"), 10);
    snprintf(command, sizeof command, "rm -rf '%s/results'", run_directory);
    assert_int_equal(system(command), 0);
    try_again(&r); /* the round of fsync notices */
    assert_false(r.store.failing);
    end_command(&r, accept_command(&r, "c"), LARGE);
    store_flush(&r.store);
    crash(&r);
    begin(&r);
    assert_output(&r, known(&r, "b", ENTRY_READY), 10);
    assert_output(&r, known(&r, "c", ENTRY_READY), LARGE);
    crash(&r);
}

/* No descriptor now is no reason to give a result up. */
static void shortage_passes(void **state)
{
    struct run r;
    struct rlimit before, none;
    (void)state;
    begin(&r);
    store_begin(&r.store);
    struct entry *e = accept_command(&r, "a");
    end_command(&r, e, LARGE);
    ledger_leave(&r.ledger, e);
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){0, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    assert_int_equal(store_recall(&r.store, e), RECALL_LATER);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_output(&r, e, LARGE);
    crash(&r);
}

static void no_directory(void **state)
{
    struct run r;
    (void)state;
    close(openat(run_dirfd, "results", O_WRONLY | O_CREAT, 0600));
    begin(&r);
    assert_true(r.store.failing);
    store_begin(&r.store);
    struct entry *e = accept_command(&r, "a");
    start_command(&r, e);
    end_command(&r, e, LARGE);
    assert_int_equal(content_memory(&e->output), LARGE);
    unlinkat(run_dirfd, "results", 0);
    event_active(r.store.sync, EV_TIMEOUT, 0);
    one_turn(&r);
    assert_false(r.store.failing);
    crash(&r);
    begin(&r);
    assert_output(&r, known(&r, "a", ENTRY_READY), LARGE);
    crash(&r);
}

/* What found no room below max_results_disk gets its file when there is room again. */
static void room_comes_back(void **state)
{
    struct run r;
    struct entry *e[9];
    char id[2] = "a";
    (void)state;
    begin_as(&r, 8 * LARGE, "x");
    store_begin(&r.store);
    for (int i = 0; i < 9; i++, id[0]++)
        end_command(&r, e[i] = accept_command(&r, id), LARGE);
    assert_false(e[8]->spooled);
    assert_false(store_safe(&r.store));
    try_again(&r);
    assert_false(e[8]->spooled);
    for (int i = 0; i < 2; i++) {
        deliver(&r, e[i]);
        ledger_make_room(&r.ledger, LARGE);
    }
    try_again(&r);
    assert_true(e[8]->spooled);
    assert_true(store_safe(&r.store));
    store_flush(&r.store);
    crash(&r);
    begin_as(&r, 8 * LARGE, "x");
    assert_output(&r, known(&r, "i", ENTRY_READY), LARGE);
    crash(&r);
}

static int in_own_mount(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/results", run_directory);
    mkdir(path, 0700);
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tw-test", path, "tmpfs", 0, "size=256k") != 0)
        return -1;
    close(run_dirfd); /* it shows the place without the mount */
    run_dirfd = open(run_directory, O_RDONLY | O_DIRECTORY);
    return run_dirfd < 0;
}

static void leave_mount(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/results", run_directory);
    assert_int_equal(umount2(path, MNT_DETACH), 0);
}

/* Delivered results give way on a full disk: what goes on is worth more than repeats. */
static void delivered_give_way(void **state)
{
    struct run r;
    char id[16];
    (void)state;
    if (in_own_mount() != 0) {
        print_message("skipped: mounting a small file system needs root\n");
        skip();
    }
    begin(&r);
    store_begin(&r.store);
    for (int i = 0; i < 100; i++) { /* 1.7 MB through 256 KB */
        snprintf(id, sizeof id, "id-%d", i);
        struct entry *e = accept_command(&r, id);
        start_command(&r, e);
        end_command(&r, e, LARGE);
        assert_true(e->spooled);
        deliver(&r, e);
        store_flush(&r.store);
        assert_false(r.store.failing);
    }
    assert_true(known(&r, "id-0", ENTRY_DELIVERED)->forgotten);
    assert_false(known(&r, "id-99", ENTRY_DELIVERED)->forgotten);
    crash(&r);
    leave_mount();
}

/* A delivered result is given up for one that is new; the disk has no room to record what comes
 * before that, so that all others give way meanwhile. Each is given up once. */
static void gives_way_within(size_t of_first)
{
    struct run r;
    begin_as(&r, of_first + LARGE, "x");
    store_begin(&r.store);
    for (int i = 0; i < 2; i++) {
        struct entry *e = accept_command(&r, i ? "b" : "a");
        end_command(&r, e, i ? LARGE : of_first);
        deliver(&r, e);
    }
    store_flush(&r.store);
    struct entry *e = accept_command(&r, "c");
    disk_set(DISK_FULL, 0);
    disk_failures = 0;
    end_command(&r, e, LARGE);
    assert_true(disk_failures > 0);
    disk_set(DISK_GOOD, 0);
    assert_true(known(&r, "a", ENTRY_DELIVERED)->forgotten);
    assert_true(known(&r, "b", ENTRY_DELIVERED)->forgotten);
    assert_int_equal(r.ledger.kept_disk, 0);
    assert_true(e->spooled && !r.store.failing);
    deliver(&r, e);
    assert_false(e->forgotten);
    assert_int_equal(r.ledger.kept_disk, LARGE);
    assert_int_equal(r.store.disk_bytes, LARGE);
    assert_int_equal(files_ending(".out"), 1);
    crash(&r);
}

static void given_up_once(void **state)
{
    (void)state;
    gives_way_within(LARGE);
}

static void given_up_once_uneven(void **state)
{
    (void)state;
    gives_way_within(2 * (size_t)LARGE);
}

/* Full from the start by what an earlier run delivered: that gives way, and ids are recorded. */
static void full_at_the_start(void **state)
{
    struct run r;
    char id[16];
    (void)state;
    if (in_own_mount() != 0) {
        print_message("skipped: mounting a small file system needs root\n");
        skip();
    }
    begin(&r);
    store_begin(&r.store);
    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof id, "id-%d", i);
        struct entry *e = accept_command(&r, id);
        end_command(&r, e, LARGE);
        deliver(&r, e);
    }
    store_flush(&r.store);
    crash(&r);
    int fd = results_file("filler", O_WRONLY | O_CREAT);
    static char page[4096];
    while (write(fd, page, sizeof page) > 0)
        ;
    close(fd);
    begin(&r);
    store_begin(&r.store);
    assert_false(r.store.failing);
    start_command(&r, accept_command(&r, "new"));
    store_flush(&r.store);
    crash(&r);
    begin(&r);
    known(&r, "new", ENTRY_RUNNING);
    crash(&r);
    leave_mount();
}

/* A journal that cannot be written anew goes on in its old file. */
static void rewriting_fails(void **state)
{
    struct run r;
    struct rlimit before, none;
    (void)state;
    begin(&r);
    store_begin(&r.store);
    accept_command(&r, "a");
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){0, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    uint64_t much = UINT64_C(100) << 20;
    r.store.journal.size += much;
    one_turn(&r);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_true(r.store.journal.size > much);
    assert_false(r.store.failing);
    accept_command(&r, "b");
    store_flush(&r.store);
    assert_int_equal(mkdirat(run_dirfd, "results/journal.new", 0700), 0); /* not in the way */
    r.store.journal.size += much;
    one_turn(&r);
    assert_true(r.store.journal.size < much);
    crash(&r);
    begin(&r);
    known(&r, "a", ENTRY_QUEUED);
    known(&r, "b", ENTRY_QUEUED);
    crash(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, run_make_directory, run_remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(full_disk),           TEST(no_directory),      TEST(stale_journal),
        TEST(room_for_small_ones), TEST(removed_directory), TEST(shortage_passes),
        TEST(room_comes_back),     TEST(rewriting_fails),   TEST(delivered_give_way),
        TEST(full_at_the_start),   TEST(given_up_once),     TEST(given_up_once_uneven)};
    log_init("core", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests_name("store_disk", tests, NULL, NULL);
}
