/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger and its store against a model, at random: commands take their ways, the disk fills up
 * and fails, the process is killed between any two changes of the disk. After each step every
 * counter is computed anew; after each start every entry is compared with what was recorded.
 *
 *   unit_store_model               the fixed seeds: a failure is what a change broke
 *   unit_store_model FIRST LAST    the seeds of a range, to look for more
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "core/spool.h"
#include "tests/unit/disk.h"
#include "tests/unit/model.h"

#define STEPS 4000
/* Those after the first eight once found something. */
static const uint64_t fixed_seeds[] = {1, 2, 3, 4, 5, 6, 7, 8, 2853010757};

/* ---- what must hold -------------------------------------------------------------------------- */

static struct facts facts_of(const struct entry *e, int version)
{
    static const enum progress of[] = {QUEUED, RUNNING, RUNNING, READY, READY, DELIVERED};
    return (struct facts){.progress = e->arrived ? DELIVERED : of[e->state],
                          .version = version,
                          .safe = e->spooled || content_memory(&e->output) == e->output.len};
}

static void check_counters(struct model *m)
{
    const struct ledger *l = &m->run.ledger;
    struct ledger sums = {0};
    uint64_t disk = 0;
    const struct entry *e;
    for (int s = 0; s < ENTRY_STATES; s++)
        TAILQ_FOREACH(e, &l->lists[s], in_state)
        {
            bool kept = s == ENTRY_DELIVERED;
            size_t file = e->spooled ? e->output.len : 0;
            assert_int_equal(e->state, s);
            assert_ptr_equal(ledger_find(l, (struct span){e->id, e->id_len}), e);
            sums.counts[s]++;
            sums.text_bytes += e->text.len;
            sums.fds += (size_t)(e->text.fd >= 0) + (!kept && e->output.fd >= 0);
            *(kept ? &sums.kept_bytes : &sums.output_bytes) += content_memory(&e->output);
            sums.kept_fds += kept && e->output.fd >= 0;
            sums.kept_disk += kept ? file : 0;
            disk += file;
            if (e->spooled && !spool_exists(m->run.store.dirfd, e->ticket, file))
                fail_msg("the file of %s is missing", e->id);
        }
    assert_memory_equal(sums.counts, l->counts, sizeof sums.counts);
    assert_int_equal(sums.text_bytes, l->text_bytes);
    assert_int_equal(sums.output_bytes, l->output_bytes);
    assert_int_equal(sums.fds, l->fds);
    assert_int_equal(sums.kept_bytes, l->kept_bytes);
    assert_int_equal(sums.kept_fds, l->kept_fds);
    assert_int_equal(sums.kept_disk, l->kept_disk);
    assert_int_equal(disk, m->run.store.disk_bytes);
    assert_true(disk <= m->disk_max && l->kept_fds <= LEDGER_KEEP_FDS);
    assert_true(m->run.store.failing || m->run.store.journal.fd >= 0);
}

/* Takes over what the ledger says now; when all of it is written, it must be found again. */
static void observe(struct model *m)
{
    const struct store *s = &m->run.store;
    bool sure = !disk_killed() && s->journal.fd >= 0 && s->journal.used == 0;
    for (int i = 0; i < m->ids; i++) {
        struct life *life = m->of_id[i] >= 0 ? &m->life[m->of_id[i]] : NULL;
        char id[16];
        snprintf(id, sizeof id, "i%d", i);
        const struct entry *e = life ? ledger_find(&m->run.ledger, span_of(id)) : NULL;
        if (!life)
            continue;
        if (e) {
            life->now = facts_of(e, life->now.version);
            life->now.safe =
                e->spooled || (life->now.safe && e->output.len <= CONTENT_SMALL && !e->forgotten);
            life->forgotten = life->forgotten || e->forgotten;
        } else {
            assert_int_equal(life->now.progress, DELIVERED);
            life->gone = true;
        }
        if (life->now.progress == DELIVERED && life->arrived.progress != DELIVERED)
            life->arrived = life->now;
        if (sure)
            life->sure = life->now.progress == DELIVERED ? life->arrived : life->now;
    }
}

/* The version that the entry's output is, of those that it may be. */
static int version_of(struct model *m, const struct life *life, const struct entry *e)
{
    for (int v = life->sure.version; v <= life->now.version; v++)
        if (e->status == status_of(m, life, v) && (e->forgotten || e->output.len == life->lens[v]))
            return v;
    fail_msg("%s: status %d and %zu bytes were never its result", e->id, e->status, e->output.len);
    return -1;
}

static void check_output(struct model *m, struct life *life, struct entry *e)
{
    const struct store *s = &m->run.store;
    int version = version_of(m, life, e);
    bool kept = e->spooled || content_memory(&e->output) == e->output.len;
    if (e->forgotten || !kept) {
        /* Given up after its delivery, replaced, or never on disk. */
        assert_true(e->state != ENTRY_DELIVERED || e->forgotten);
        if (!life->forgotten && !life->gone && life->sure.safe && version == life->now.version &&
            version == life->sure.version)
            fail_msg("%s: the output was on disk, and is lost", e->id);
    } else if (e->spooled) {
        struct content output;
        assert_true(
            spool_read(s->dirfd, e->ticket, e->output.len, e->sum, s->journal.key, &output));
        assert_bytes(&output, byte_of(m, life, version), life->lens[version]);
        content_finish(&output);
    } else {
        assert_bytes(&e->output, byte_of(m, life, version), life->lens[version]);
    }
    life->now.version = version;
}

/* unsure: what was said last may not be all that happened. */
static void check_entry(struct model *m, struct entry *e, bool unsure)
{
    struct life *life = life_of(m, e);
    /* The newest lives may never have been written. */
    while (life->ticket != e->ticket && life->before >= 0) {
        assert_int_equal(life->sure.progress, UNKNOWN);
        life = &m->life[life->before];
    }
    assert_int_equal(life->ticket, e->ticket);
    m->of_id[life->id] = (int)(life - m->life);
    struct facts found = facts_of(e, 0);
    if (found.progress == QUEUED && life->started)
        fail_msg("%s was started, and is said not to have run", e->id);
    if (found.progress < life->sure.progress ||
        (found.progress > life->now.progress &&
         !((unsure || life->said) && found.progress == RUNNING)))
        fail_msg("%s: progress %d, not from %d to %d", e->id, found.progress, life->sure.progress,
                 life->now.progress);
    if (found.progress >= READY)
        check_output(m, life, e);
    else
        life->now.version = 0;
    life->now = facts_of(e, life->now.version);
    life->sure = life->arrived = life->now;
    life->gone = false;
    life->forgotten = e->forgotten;
}

static void check_found(struct model *m, bool unsure)
{
    size_t files = 0;
    for (int i = 0; i < m->ids; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%d", i);
        struct entry *e = ledger_find(&m->run.ledger, span_of(id));
        const struct life *life = m->of_id[i] >= 0 ? &m->life[m->of_id[i]] : NULL;
        files += e && e->spooled;
        if (e)
            check_entry(m, e, unsure);
        else if (life && life->sure.progress != UNKNOWN && !life->gone)
            fail_msg("%s was recorded, and is not known", id);
        else
            m->of_id[i] = -1;
    }
    assert_int_equal(files_ending(".out"), files);
    assert_int_equal(files_ending(".aside"), 0);
}

/* ---- kills and starts ------------------------------------------------------------------------ */

static void plan_kill(struct model *m, unsigned chance, unsigned changes)
{
    if (one_in(m, chance))
        disk_kill_after(below(m, changes));
}

static void end(struct model *m)
{
    counts.kills++;
    counts.mid_kills += disk_killed();
    counts.failing_kills += m->run.store.failing;
    crash(&m->run);
    disk_revive();
}

static void start(struct model *m)
{
    struct entry *e;
    for (;;) {
        int journal = results_file("journal", O_RDONLY);
        if (journal >= 0)
            close(journal);
        plan_kill(m, 4, 8);
        begin_as(&m->run, m->disk_max, "x");
        if (!disk_killed()) {
            check_found(m, journal < 0);
            while ((e = first(m, ENTRY_RUNNING)) || (e = first(m, ENTRY_QUEUED)))
                answer(m, e, 70);
            store_begin(&m->run.store);
            observe(m);
        }
        if (!disk_killed())
            return;
        end(m);
    }
}

static size_t open_files(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void model(void **state)
{
    static struct model m;
    size_t before = open_files();
    m.seed = *(uint64_t *)*state;
    m.ids = m.lives = 0;
    m.disk_max = one_in(&m, 3) ? 60000 + below(&m, 100000) : 400000;
    start(&m);
    for (int i = 0; i < STEPS; i++) {
        plan_kill(&m, 120, 12);
        step(&m);
        observe(&m);
        if (!disk_killed())
            check_counters(&m);
        if (disk_killed() || one_in(&m, 200)) {
            end(&m);
            disk_set(one_in(&m, 2) ? DISK_GOOD : disk_get(), 0);
            start(&m);
            if (!disk_killed())
                check_counters(&m);
        }
    }
    disk_set(DISK_GOOD, 0);
    end(&m);
    assert_int_equal(open_files(), before);
}

static int run_seed(uint64_t seed)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate_setup_teardown(
        model, run_make_directory, run_remove_directory, &seed)};
    printf("seed %" PRIu64 "\n", seed);
    disk_set(DISK_GOOD, 0);
    disk_revive();
    return cmocka_run_group_tests_name("store_model", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    int bad = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_init("core", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    if (argc == 3) {
        uint64_t last = strtoull(argv[2], NULL, 10);
        for (uint64_t seed = strtoull(argv[1], NULL, 10); seed <= last; seed++)
            bad += run_seed(seed) != 0;
        return bad != 0;
    }
    for (size_t i = 0; i < sizeof fixed_seeds / sizeof *fixed_seeds; i++)
        bad += run_seed(fixed_seeds[i]) != 0;
    printf("delivered %u, repeated %u, second lives %u, lost %u, journals rewritten %u, "
           "disk failures %u, kills %u: %u within a change, %u while the disk failed\n",
           counts.delivered, counts.revived, counts.second_lives, counts.lost, counts.rewrites,
           disk_failures, counts.kills, counts.mid_kills, counts.failing_kills);
    /* A run in which none of it happened shows nothing. */
    if (!counts.delivered || !counts.revived || !counts.second_lives || !counts.lost ||
        !counts.rewrites || !disk_failures || !counts.mid_kills || !counts.failing_kills)
        bad++;
    return bad != 0;
}
