/* SPDX-License-Identifier: Apache-2.0 */
/* What schedulers' clients say: ids and states, and nothing that is neither. */
#include "tests/unit/test.h"

#include <string.h>

#include "ctl/schedulers.h"

static void expect_id(const char *key, const char *answer, const char *wanted)
{
    char id[SCHEDULER_ID_MAX] = "";
    bool found = scheduler_id(scheduler_named(key), answer, id, sizeof id);
    assert_int_equal(found, wanted != NULL);
    if (wanted)
        assert_string_equal(id, wanted);
}

static void test_ids(void **state)
{
    (void)state;
    expect_id("slurm", "Submitted batch job 42\n", "42");
    expect_id("slurm", "sbatch: warning: x\nSubmitted batch job 42 on cluster c\n", "42");
    expect_id("slurm", "sbatch: error: no\n", NULL);
    expect_id("slurm", "Submitted batch job \n", NULL);
    expect_id("slurm", "Submitted batch job -rf1\n", NULL);
    expect_id("slurm", "", NULL);
    expect_id("lsf", "Job <7> is submitted to queue <q>.\n", "7");
    expect_id("lsf", "Job <7$(id)> is submitted\n", "7");
    expect_id("lsf", "Job <;reboot> is submitted\n", NULL);
    expect_id("gridengine", "Your job 12 (\"nf-selftest\") has been submitted\n", "12");
    expect_id("pbs", "123.server.example\n", "123.server.example");
    expect_id("pbs", "qsub: waiting\n123[].server\n\n", "123[].server");
    expect_id("pbs", "cannot submit 5 jobs\n", NULL);
    expect_id("pbs", "123.server'; reboot\n", NULL);
    expect_id("pbs", "\n \n", NULL);
    expect_id("moab", "\nMoab.17\n", "Moab.17");
    expect_id("moab", "ERROR\n", NULL);
}

static void test_id_is_bounded(void **state)
{
    char text[200] = "Submitted batch job ";
    (void)state;
    memset(text + strlen(text), '1', 100);
    expect_id("slurm", text, NULL);
}

static void expect_state(const char *key, const char *answer, const char *id, const char *wanted)
{
    char seen[SCHEDULER_STATE_MAX] = "";
    bool found = scheduler_state(scheduler_named(key), answer, id, seen, sizeof seen);
    assert_int_equal(found, wanted != NULL);
    if (wanted)
        assert_string_equal(seen, wanted);
}

static void test_states(void **state)
{
    (void)state;
    expect_state("slurm", "41 PD\n42 R\n", "42", "R");
    expect_state("slurm", "421 R\n4 R\n", "42", NULL);
    expect_state("slurm", "42", "42", NULL);
    expect_state("slurm", "42 a-state-that-is-far-too-long\n", "42", NULL);
    expect_state("lsf", "JOBID USER STAT\n7 lab PEND q\n", "7", "PEND");
    expect_state("pbs", "Job id\n---\n123.ser nf lab 0 Q workq\n", "123.server.example", "Q");
    expect_state("pbs", "1234.ser nf lab 0 Q workq\n", "123.server.example", NULL);
    expect_state("gridengine", " 12 0.5 nf lab qw 11/24/2026\n", "12", "qw");
    expect_state("moab", "17 lab Running 1\n", "17", "Running");
    expect_state("moab", "", "17", NULL);
}

static void test_ends(void **state)
{
    (void)state;
    assert_true(scheduler_ended(scheduler_named("slurm"), "CA"));
    assert_false(scheduler_ended(scheduler_named("slurm"), "CG"));
    assert_false(scheduler_ended(scheduler_named("slurm"), "C"));
    assert_true(scheduler_ended(scheduler_named("lsf"), "EXIT"));
    assert_false(scheduler_ended(scheduler_named("gridengine"), "dr"));
    assert_false(scheduler_ended(scheduler_named("pbs"), ""));
    assert_null(scheduler_named("cron"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ids),
                                       cmocka_unit_test(test_id_is_bounded),
                                       cmocka_unit_test(test_states), cmocka_unit_test(test_ends)};
    return cmocka_run_group_tests_name("ctl_schedulers", tests, NULL, NULL);
}
