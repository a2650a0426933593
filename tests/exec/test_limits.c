/* SPDX-License-Identifier: Apache-2.0 */
/* The state that commands start in, their bounds, and the end of exec. */
#include "tests/exec/driver.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fds.h"
#include "ipc/probes.h"

static uint64_t bit(int number)
{
    return UINT64_C(1) << (number - 1);
}

/* The mask that the line of /proc/self/status names. */
static uint64_t mask_in(const char *status, const char *name)
{
    const char *at = strstr(status, name);
    assert_non_null(at);
    return strtoull(at + strlen(name), NULL, 16);
}

static void saved_state(void **state)
{
    struct options o;
    struct driver d;
    char expected[64];
    (void)state;
    options_init(&o);
    o.config.umask = 0137;
    o.ignored = bit(SIGQUIT) | bit(SIGUSR1) | bit(SIGHUP);
    o.blocked = bit(SIGUSR2) | bit(SIGRTMIN + 3);
    o.limits[RLIMIT_NOFILE].soft = 123;
    o.limits[RLIMIT_STACK].soft = 4 << 20;
    o.limits[RLIMIT_FSIZE].soft = 10 << 20;
    driver_start(&d, &o);
    struct result r = driver_run(&d, "exec cat /proc/self/status");
    assert_true(mask_in(r.output, "SigIgn:\t") == o.ignored);
    assert_true(mask_in(r.output, "SigBlk:\t") == o.blocked);
    assert_true(mask_in(r.output, "SigCgt:\t") == 0);
    assert_true(mask_in(r.output, "NoNewPrivs:\t") == 1);
    result_finish(&r);
    driver_expect(&d, "umask; ulimit -n; ulimit -s", 0, "0137\n123\n4096\n");
    snprintf(expected, sizeof expected, "%llu\n", (unsigned long long)o.limits[RLIMIT_NOFILE].hard);
    driver_expect(&d, "ulimit -H -n", 0, expected);
    /* exec lowers core for itself alone, and bears more than a command may write. */
    driver_expect(&d, "test \"$(ulimit -S -f)\" = 20480", 0, "");
    snprintf(expected, sizeof expected, "%llu\n", (unsigned long long)o.limits[RLIMIT_CORE].soft);
    driver_expect(&d, "ulimit -S -c", 0,
                  o.limits[RLIMIT_CORE].soft == UINT64_MAX ? "unlimited\n" : expected);
    driver_stop(&d);
    options_finish(&o);
}

static void output_limit(void **state)
{
    struct options o;
    struct driver d;
    (void)state;
    options_init(&o);
    o.config.max_output = 100000;
    driver_start(&d, &o);
    struct result r = driver_run(&d, "head -c 3000000 /dev/zero | tr '\\0' x");
    assert_int_equal(r.status, 0);
    assert_int_equal(r.len, 100000);
    assert_int_equal(r.dropped, 2900000);
    result_finish(&r);
    r = driver_run(&d, "head -c 100000 /dev/zero");
    assert_int_equal(r.len, 100000);
    assert_int_equal(r.dropped, 0);
    result_finish(&r);
    driver_stop(&d);
    options_finish(&o);
}

/* A soft limit on file sizes, as a site may set it, must not cut or end what exec keeps. */
static void small_file_size(void **state)
{
    struct options o;
    struct driver d;
    struct rlimit before, small;
    (void)state;
    options_init(&o);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){8192, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    signal(SIGXFSZ, SIG_IGN);
    driver_launch(&d, &o);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    driver_await_ready(&d);
    struct result r = driver_run(&d, "head -c 5000000 /dev/zero");
    assert_int_equal(r.len, 5000000);
    result_finish(&r);
    driver_stop(&d);
    options_finish(&o);
}

static void timeouts(void **state)
{
    static const char line[] = "tw-agent: the command was ended after 4s (--command-timeout)\n";
    /* Time for all three to begin; between TERM and KILL, of a clock that may lag a little. */
    const uint64_t limit = 4000, kill = 4900;
    struct options o;
    struct driver d;
    struct result r;
    char expected[128];
    (void)state;
    options_init(&o);
    o.config.command_timeout_ms = limit;
    driver_start(&d, &o);
    uint64_t start = now_ms();
    uint64_t stubborn = 0;
    if (!getenv("TW_TEST_AS")) /* it takes five seconds: once is enough */
        stubborn = driver_send_text(&d, "trap '' TERM; echo stubborn; sleep 600; sleep 600");
    uint64_t plain = driver_send_text(&d, "printf unfinished; sleep 600");
    uint64_t handled = driver_send_text(&d, "trap 'echo caught; exit 0' TERM; sleep 600 & wait");
    for (int i = stubborn ? 0 : 1; i < 3; i++) {
        assert_true(driver_receive(&d, &r, PATIENCE_MS));
        assert_true(r.timed_out);
        assert_int_equal(r.status, 124);
        const char *before = r.ticket == plain     ? "unfinished\n"
                             : r.ticket == handled ? "caught\n"
                                                   : "stubborn\n";
        snprintf(expected, sizeof expected, "%s%s", before, line);
        assert_string_equal(r.output, expected);
        assert_true((now_ms() - start > limit + kill) == (r.ticket == stubborn));
        result_finish(&r);
    }
    driver_expect(&d, "echo quick", 0, "quick\n");
    driver_stop(&d);
    options_finish(&o);
}

static void too_many(void **state)
{
    struct options o;
    struct driver d;
    (void)state;
    options_init(&o);
    o.config.max_commands = 2;
    driver_start(&d, &o);
    for (int i = 0; i < 2 + PROBE_COMMANDS + 1; i++)
        driver_send_text(&d, "sleep 600");
    assert_int_equal(driver_wait(&d, PATIENCE_MS), 1 << 8);
    fds_close(&d.core);
    fds_close(&d.parent);
    options_finish(&o);
}

static void hostile_core(void **state)
{
    static const char *const frames[] = {"", "\x91\x05", "garbage", "\x93\x17\x01\xc4\x00"};
    (void)state;
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct options o;
        struct driver d;
        options_init(&o);
        driver_start(&d, &o);
        size_t len = strlen(frames[i]);
        assert_int_equal(send(d.core, len ? frames[i] : "\xc0", len ? len : 1, 0), len ? len : 1);
        int status = driver_wait(&d, PATIENCE_MS);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        fds_close(&d.core);
        fds_close(&d.parent);
        options_finish(&o);
    }
}

/* What runs is ended with exec, whether it heeds TERM or not. */
static void end_of_file(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct options o;
        struct driver d;
        options_init(&o);
        driver_start(&d, &o);
        driver_send_text(&d, "sleep 600 & echo $! > sleeper; echo $$ > one; wait");
        driver_send_text(&d, "trap '' TERM; echo $$ > two; sleep 600; sleep 600");
        pid_t shells[] = {await_pid(&o, "one"), await_pid(&o, "two")};
        fds_close(i == 0 ? &d.parent : &d.core);
        assert_int_equal(driver_wait(&d, PATIENCE_MS), 0);
        assert_true(eventually(is_gone, &shells[0], PATIENCE_MS));
        assert_true(eventually(is_gone, &shells[1], PATIENCE_MS));
        fds_close(&d.parent);
        fds_close(&d.core);
        options_finish(&o);
    }
}

/* Background children that hold the output: more than are drained, and exec goes on. */
static void many_drains(void **state)
{
    struct options o;
    struct driver d;
    struct result r;
    (void)state;
    options_init(&o);
    o.config.max_commands = 64;
    driver_start(&d, &o);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 40; i++)
            driver_send_text(&d, "sleep 600 & echo started");
        for (int i = 0; i < 40; i++) {
            assert_true(driver_receive(&d, &r, PATIENCE_MS));
            assert_string_equal(r.output, "started\n");
            result_finish(&r);
        }
    }
    driver_expect(&d, "echo still here", 0, "still here\n");
    driver_stop(&d);
    options_finish(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saved_state),     cmocka_unit_test(output_limit),
        cmocka_unit_test(small_file_size), cmocka_unit_test(timeouts),
        cmocka_unit_test(too_many),        cmocka_unit_test(hostile_core),
        cmocka_unit_test(end_of_file),     cmocka_unit_test(many_drains),
    };
    if (!tests_become())
        return TESTS_SKIPPED;
    return cmocka_run_group_tests_name("exec.limits", tests, NULL, NULL);
}
