/* SPDX-License-Identifier: Apache-2.0 */
/* One command must not look into another, nor signal it; the same looks succeed outside. */
#include "tests/exec/driver.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/sandbox.h"

/* Prints one word per look that succeeds; $1 is the process. */
static const char looks[] = "tr '\\0' '\\n' < /proc/$1/environ | grep -q MARK && echo environ\n"
                            "readlink /proc/$1/fd/1 >/dev/null && echo fd\n"
                            "head -c 1 /proc/$1/maps | grep -q . && echo maps\n"
                            "(exec 3< /proc/$1/mem) && echo mem\n"
                            "readlink /proc/$1/cwd >/dev/null && echo cwd\n"
                            "kill -0 $1 && echo signal\n"
                            "kill -CONT -$1 && echo group\n";

static struct result look(struct driver *d, const char *pid)
{
    char text[sizeof looks + 64];
    snprintf(text, sizeof text, "set -- %s\nexec 2>/dev/null\n%s:\n", pid, looks);
    return driver_run(d, text);
}

/* What a process of the same user sees when no sandbox is around either. */
static void baseline(void **state)
{
    char text[sizeof looks + 64], out[256] = "", c;
    int program[2]; /* closed when the victim runs its program, which has the variable */
    (void)state;
    assert_int_equal(pipe2(program, O_CLOEXEC), 0);
    pid_t victim = fork();
    if (victim == 0) {
        setsid();
        setenv("MARK", "1", 1);
        execlp("sleep", "sleep", "600", (char *)NULL);
        _exit(99);
    }
    close(program[1]);
    assert_int_equal(read(program[0], &c, 1), 0);
    close(program[0]);
    assert_int_equal(chdir("/tmp"), 0);
    snprintf(text, sizeof text, "cd $(mktemp -d)\nset -- %d\nexec 2>/dev/null\n%s", (int)victim,
             looks);
    FILE *f = popen(text, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, sizeof out - 1, f);
    out[n] = '\0';
    pclose(f);
    kill(victim, SIGKILL);
    waitpid(victim, NULL, 0);
    assert_string_equal(out, "environ\nfd\nmaps\nmem\ncwd\nsignal\ngroup\n");
}

static void apart(uint64_t isolation)
{
    struct options o;
    struct driver d;
    char pid[32];
    options_init(&o);
    /* Root reads maps and environ by its capabilities; commands never have one. */
    if (geteuid() == 0)
        options_run_as(&o, DRIVER_USER);
    o.config.isolation = isolation;
    driver_start(&d, &o);
    if (d.started.landlock_abi == 0) {
        print_message("this kernel has no Landlock\n");
        driver_stop(&d);
        options_finish(&o);
        skip();
    }
    driver_send_text(&d, "export MARK=1; echo $$ > victim; exec sleep 600");
    snprintf(pid, sizeof pid, "%d", (int)await_pid(&o, "victim"));
    struct result r = look(&d, pid);
    if (isolation == SANDBOX_ISOLATE_FULL && d.started.landlock_scoped)
        assert_string_equal(r.output, "");
    else if (isolation == SANDBOX_ISOLATE_READ_ONLY)
        assert_string_equal(r.output, "signal\ngroup\n");
    assert_null(strstr(r.output, "environ"));
    assert_null(strstr(r.output, "mem"));
    assert_null(strstr(r.output, "fd"));
    result_finish(&r);
    /* Its own children it may see and signal. */
    driver_expect(&d,
                  "exec 2>/dev/null; MARK=1 sleep 600 & until grep -qz MARK /proc/$!/environ; do "
                  "sleep 0.01; done; kill $!; wait $!; echo $?",
                  0, "143\n");
    driver_stop(&d);
    options_finish(&o);
}

static void full(void **state)
{
    (void)state;
    apart(SANDBOX_ISOLATE_FULL);
}

static void read_only(void **state)
{
    (void)state;
    apart(SANDBOX_ISOLATE_READ_ONLY);
}

/* exec itself: not to be looked into, signalled, or held down by limits. */
static void exec_itself(void **state)
{
    struct options o;
    struct driver d;
    char text[512];
    (void)state;
    options_init(&o);
    /* Root reads maps and environ by its capabilities; commands never have one. */
    if (geteuid() == 0)
        options_run_as(&o, DRIVER_USER);
    driver_start(&d, &o);
    struct result r =
        driver_run(&d, "exec 2>/dev/null; cat /proc/$PPID/environ; cat /proc/$PPID/maps; "
                       "ls /proc/$PPID/fd; kill -0 $PPID && echo signal; "
                       "kill -9 $PPID; echo done");
    assert_string_equal(r.output, "done\n");
    result_finish(&r);
    snprintf(text, sizeof text,
             "prlimit --pid $PPID --cpu=1 2>/dev/null && echo limited; "
             "renice -n 5 -p $PPID >/dev/null 2>&1 && echo reniced; echo done");
    driver_expect(&d, text, 0, "done\n");
    driver_stop(&d);
    options_finish(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(baseline),
        cmocka_unit_test(full),
        cmocka_unit_test(read_only),
        cmocka_unit_test(exec_itself),
    };
    if (!tests_become())
        return TESTS_SKIPPED;
    return cmocka_run_group_tests_name("exec.siblings", tests, NULL, NULL);
}
