/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/run.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/test.h"

char run_directory[64];
int run_dirfd;
const char *run_boot = "boot 1";

int run_make_directory(void **state)
{
    (void)state;
    strcpy(run_directory, "/tmp/tw-store-XXXXXX");
    assert_non_null(mkdtemp(run_directory));
    run_dirfd = open(run_directory, O_RDONLY | O_DIRECTORY);
    return run_dirfd < 0;
}

int run_remove_directory(void **state)
{
    char command[128];
    (void)state;
    close(run_dirfd);
    snprintf(command, sizeof command, "rm -rf '%s'", run_directory);
    return system(command);
}

void begin_as(struct run *r, uint64_t disk_max, const char *owner)
{
    r->base = event_base_new();
    assert_int_equal(store_init(&r->store, r->base, &r->ledger, run_dirfd, disk_max), 0);
    assert_int_equal(store_load(&r->store, span_of(owner), span_of(run_boot), 100), 0);
}

void begin(struct run *r)
{
    begin_as(r, 100 * LARGE, "https://tower.example/api");
}

void crash(struct run *r)
{
    r->store.journal.used = 0;
    store_finish(&r->store);
    ledger_finish(&r->ledger);
    event_base_free(r->base);
}

struct entry *accept_command(struct run *r, const char *id)
{
    struct content text;
    assert_true(content_of_span(&text, span_of(id)));
    struct entry *e = ledger_add(&r->ledger, span_of(id), &text);
    assert_non_null(e);
    store_accepted(&r->store, e);
    return e;
}

void start_command(struct run *r, struct entry *e)
{
    store_started(&r->store, e);
    ledger_drop_text(&r->ledger, e);
    ledger_move(&r->ledger, e, ENTRY_RUNNING);
}

void end_command(struct run *r, struct entry *e, size_t len)
{
    struct content output;
    char *bytes = malloc(len + 1);
    memset(bytes, 'a' + (int)(e->ticket % 20), len);
    assert_true(content_of_span(&output, (struct span){bytes, len}));
    free(bytes);
    ledger_set_output(&r->ledger, e, &output);
    ledger_move(&r->ledger, e, ENTRY_READY);
    e->status = (int)(e->ticket % 200);
    store_ended(&r->store, e);
}

void deliver(struct run *r, struct entry *e)
{
    ledger_delivered(&r->ledger, e);
    store_delivered(&r->store, e);
    ledger_enforce_bounds(&r->ledger, (int64_t)clock_ms());
}

struct entry *known(struct run *r, const char *id, enum entry_state state)
{
    struct entry *e = ledger_find(&r->ledger, span_of(id));
    assert_non_null(e);
    assert_int_equal(e->state, state);
    return e;
}

void assert_output(struct run *r, struct entry *e, size_t len)
{
    struct memfd_map view;
    if (content_memory(&e->output) != len)
        assert_int_equal(store_recall(&r->store, e), RECALL_DONE);
    assert_int_equal(e->output.len, len);
    assert_int_equal(e->status, e->ticket % 200);
    assert_true(content_view(&e->output, &view));
    for (size_t i = 0; i < len; i++)
        if (view.bytes.data[i] != 'a' + (int)(e->ticket % 20))
            fail_msg("byte %zu of entry %d", i, (int)e->ticket);
    memfd_unmap(&view);
}

size_t files_ending(const char *suffix)
{
    char path[96];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/results", run_directory);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        size_t len = strlen(d->d_name), end = strlen(suffix);
        n += len >= end && strcmp(d->d_name + len - end, suffix) == 0;
    }
    if (dir)
        closedir(dir);
    return n;
}

int results_file(const char *name, int flags)
{
    char path[128];
    snprintf(path, sizeof path, "results/%s", name);
    return openat(run_dirfd, path, flags, 0600);
}

void one_turn(struct run *r)
{
    event_base_loop(r->base, EVLOOP_NONBLOCK);
}
