/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a command's process group: after its time limit, after its answer, at the stop.
 */
#include "tests/exec/driver.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fds.h"

/* Commands must have begun within it, so that its end finds what it is to find. */
#define LIMIT_MS 4000
/* Between TERM and KILL (exec/group.c): five seconds, of a clock that may lag a little. */
#define KILL_MS 4900

/*
 * The time limit ends the shell by TERM, and the output is closed, so that the answer goes out at
 * once: what is left of the group and does not heed TERM is killed all the same, after its time.
 */
static void limit_reaches_the_rest(void **state)
{
    struct options o;
    struct driver d;
    struct result r;
    (void)state;
    if (getenv("TW_TEST_AS")) {
        print_message("its five seconds once are enough\n");
        skip();
    }
    options_init(&o);
    o.config.command_timeout_ms = LIMIT_MS;
    driver_start(&d, &o);
    uint64_t start = now_ms();
    driver_send_text(&d, "(trap '' TERM; sh -c 'echo $$ >rest; sleep 600; sleep 600') </dev/null "
                         ">/dev/null 2>&1 & echo begun; sleep 600");
    pid_t rest = await_pid(&o, "rest");
    assert_true(driver_receive(&d, &r, PATIENCE_MS));
    assert_int_equal(r.status, 124);
    assert_true(r.timed_out && strncmp(r.output, "begun\n", 6) == 0);
    result_finish(&r);
    /* The answer does not wait for it, and it has its five seconds. */
    assert_true(now_ms() - start < LIMIT_MS + KILL_MS);
    assert_false(is_gone(&rest));
    assert_true(eventually(is_gone, &rest, PATIENCE_MS));
    assert_true(now_ms() - start > LIMIT_MS + KILL_MS);
    driver_expect(&d, "echo on", 0, "on\n");
    driver_stop(&d);
    options_finish(&o);
}

/* Its group alone: what left it, and other commands, go on. */
static void limit_spares_others(void **state)
{
    struct options o;
    struct driver d;
    struct result r;
    (void)state;
    options_init(&o);
    o.config.command_timeout_ms = LIMIT_MS;
    driver_start(&d, &o);
    driver_expect(&d, "sleep 600 >/dev/null 2>&1 & echo $! >before", 0, "");
    driver_send_text(&d,
                     "setsid sh -c 'echo $$ >away; exec sleep 600' >/dev/null 2>&1 & sleep 600");
    pid_t away = await_pid(&o, "away"), before = await_pid(&o, "before");
    assert_true(driver_receive(&d, &r, PATIENCE_MS));
    assert_int_equal(r.status, 124);
    result_finish(&r);
    assert_false(is_gone(&away));
    assert_false(is_gone(&before));
    kill(away, SIGKILL);
    driver_stop(&d);
    options_finish(&o);
}

/*
 * At the stop: the background work of commands long answered is ended, by TERM and by KILL where
 * that is not heeded; what left the group goes on, as a head job must.
 */
static void stop(const struct options *given)
{
    static const char detached[] =
        "setsid sh -c 'echo $$ >session; exec sleep 600' </dev/null >/dev/null 2>&1 &\n"
        "setsid nohup sh -c 'echo $$ >nohup; exec sleep 600' </dev/null >/dev/null 2>&1 &\n"
        "perl -e 'setpgrp; open F, q(>own); print F qq($$\\n); close F; exec qw(sleep 600)' "
        "</dev/null >/dev/null 2>&1 &\n"
        "while ! [ -s session ] || ! [ -s nohup ] || ! [ -s own ]; do sleep 0.02; done";
    static const char *const left[] = {"heeds", "stubborn", "grandchild", "stopped"};
    static const char *const away[] = {"session", "nohup", "own"};
    struct options o = *given;
    struct driver d;
    pid_t ends[4], stays[3];
    driver_start(&d, &o);
    driver_expect(&d, "nohup sleep 600 >/dev/null 2>&1 & echo $! >heeds", 0, "");
    driver_expect(&d,
                  "(trap '' TERM; sh -c 'echo $$ >stubborn; sleep 600; sleep 600' & wait) "
                  ">/dev/null 2>&1 & :",
                  0, "");
    driver_expect(&d,
                  "(sh -c 'echo $$ >grandchild; exec sleep 600' &) >/dev/null 2>&1; "
                  "sleep 600 & exit 3",
                  3, "");
    driver_expect(&d, "sleep 600 >/dev/null 2>&1 & kill -STOP $!; echo $! >stopped", 0, "");
    driver_expect(&d, detached, 0, "");
    for (size_t i = 0; i < 4; i++)
        ends[i] = await_pid(&o, left[i]);
    for (size_t i = 0; i < 3; i++)
        stays[i] = await_pid(&o, away[i]);
    for (size_t i = 0; i < 4; i++)
        assert_false(is_gone(&ends[i]));
    driver_stop(&d);
    for (size_t i = 0; i < 4; i++)
        assert_true(eventually(is_gone, &ends[i], PATIENCE_MS));
    for (size_t i = 0; i < 3; i++) {
        assert_false(is_gone(&stays[i]));
        kill(stays[i], SIGKILL);
    }
    options_finish(&o);
}

static void stop_ends_groups(void **state)
{
    struct options o;
    (void)state;
    options_init(&o);
    stop(&o);
}

static void stop_ends_groups_in_system_mode(void **state)
{
    struct options o;
    (void)state;
    if (geteuid() != 0) {
        print_message("SKIPPED: only root can start exec for another user\n");
        skip();
    }
    options_init(&o);
    options_run_as(&o, DRIVER_USER);
    stop(&o);
}

/* As a kernel before 6.9 answers: groups are known by number, and by a child of ours in them. */
static void stop_ends_groups_by_number(void **state)
{
    struct injection injection;
    struct options o;
    (void)state;
    if (!injection_init(&injection, SYS_pidfd_send_signal, true))
        skip();
    options_init(&o);
    o.injection = &injection;
    injection_arm(&injection, EINVAL, -1);
    stop(&o);
    assert_int_equal(injection_hits(&injection), 1); /* it is asked once */
    injection_finish(&injection);
}

static bool group_is_gone(const void *group)
{
    return kill(-*(const pid_t *)group, 0) != 0 && errno == ESRCH;
}

/*
 * In a process id namespace of its own, where numbers can be had again at will. The last of a
 * command's group leaves it, which nobody is told, and somebody else gets its number.
 */
static void reuse(bool by_number)
{
    struct injection injection;
    struct options o;
    struct driver d;
    options_init(&o);
    if (by_number) {
        assert_true(injection_init(&injection, SYS_pidfd_send_signal, true));
        injection_arm(&injection, EINVAL, -1);
        o.injection = &injection;
    }
    driver_start(&d, &o);
    driver_expect(&d,
                  "echo $$ >group; (until [ -e go ]; do sleep 0.01; done; exec setsid sleep 600) "
                  "</dev/null >/dev/null 2>&1 &",
                  0, "");
    pid_t group = await_pid(&o, "group");
    assert_int_equal(kill(-group, 0), 0); /* exec has seen that something is left */
    make_file(&o, "go");
    assert_true(eventually(group_is_gone, &group, PATIENCE_MS));
    /* Not any process: Landlock keeps exec from signalling what is none of its descendants. */
    char text[200];
    snprintf(text, sizeof text,
             "echo %d >/proc/sys/kernel/ns_last_pid; "
             "setsid sleep 600 </dev/null >/dev/null 2>&1 & echo $! >newcomer; "
             "until kill -s 0 -- -$! 2>/dev/null; do :; done",
             (int)group - 1);
    driver_expect(&d, text, 0, "");
    assert_int_equal(await_pid(&o, "newcomer"), group);
    assert_int_equal(kill(-group, 0), 0);
    driver_stop(&d);
    assert_int_equal(waitpid(group, NULL, WNOHANG),
                     0); /* ours now, as its reaper is gone: it lives */
    kill(group, SIGKILL);
    if (by_number)
        injection_finish(&injection);
    options_finish(&o);
}

static void number_used_anew(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("SKIPPED: only root can make a process id namespace\n");
        skip();
    }
    for (int by_number = 0; by_number < 2; by_number++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (unshare(CLONE_NEWPID) != 0)
                _exit(TESTS_SKIPPED);
            pid_t first = fork();
            if (first == 0) { /* afresh: a failure must not go on with this program's other tests */
                execl("/proc/self/exe", "exec_groups", by_number ? "reuse-number" : "reuse", NULL);
                _exit(1);
            }
            int inner;
            _exit(waitpid(first, &inner, 0) == first && inner == 0 ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == TESTS_SKIPPED) {
            print_message("SKIPPED: no process id namespace here\n");
            skip();
        }
        assert_int_equal(status, 0);
    }
}

/* More groups are left than exec keeps: the oldest is left alone, and that is said. */
static void many_groups(void **state)
{
    enum { COMMANDS = 270, KEPT = 256 };
    static pid_t pids[COMMANDS];
    struct options o;
    struct driver d;
    struct result r;
    (void)state;
    options_init(&o);
    o.log = true;
    driver_start(&d, &o);
    for (int i = 0; i < COMMANDS; i++) {
        r = driver_run(&d, "sleep 300 >/dev/null 2>&1 & echo $!");
        pids[i] = (pid_t)strtol(r.output, NULL, 10);
        assert_true(pids[i] > 1);
        result_finish(&r);
    }
    assert_true(log_has(&o, "more than 256 ended commands have left background processes"));
    assert_false(is_gone(&pids[0]));
    driver_stop(&d);
    for (int i = 0; i < COMMANDS; i++)
        if (i < COMMANDS - KEPT) {
            assert_false(is_gone(&pids[i]));
            kill(pids[i], SIGKILL);
        } else {
            assert_true(eventually(is_gone, &pids[i], PATIENCE_MS));
        }
    options_finish(&o);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limit_reaches_the_rest),
        cmocka_unit_test(limit_spares_others),
        cmocka_unit_test(stop_ends_groups),
        cmocka_unit_test(stop_ends_groups_in_system_mode),
        cmocka_unit_test(stop_ends_groups_by_number),
        cmocka_unit_test(number_used_anew),
        cmocka_unit_test(many_groups),
    };
    if (argc > 1) {
        reuse(strcmp(argv[1], "reuse-number") == 0);
        return 0;
    }
    if (!tests_become())
        return TESTS_SKIPPED;
    return cmocka_run_group_tests_name("exec.groups", tests, NULL, NULL);
}
