/* SPDX-License-Identifier: Apache-2.0 */
/* Where the environment of commands comes from when that is not simple, and their limits. */
#include "tests/exec/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void need_root(void)
{
    if (geteuid() != 0) {
        print_message("SKIPPED: only root can start exec for another user\n");
        skip();
    }
}

static void write_home(const struct options *o, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", o->work_dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

/* DRIVER_USER with this shell, and the work directory for a home. */
static void login_as(struct options *o, const char *shell, const char *profile, const char *text)
{
    options_init(o);
    options_run_as(o, DRIVER_USER);
    o->log = true;
    o->config.home = span_of(o->work_dir);
    o->config.shell = span_of(shell);
    o->config.env_from = ENV_FROM_LOGIN;
    write_home(o, profile, text);
}

struct profile {
    const char *text;
    const char *init;
    const char *log;     /* NULL: no warning */
    const char *command; /* what to ask */
    const char *output;
};

static void profiles(void **state)
{
    static const struct profile all[] = {
        /* Output goes nowhere, however much. */
        {"echo banner; yes banner | head -c 300000; yes | head -c 100000 >&2; export X=1\n", "",
         NULL, "echo $X; env | grep -c banner", "1\n0\n"},
        /* Nobody answers. */
        {"read -p 'Project? ' P; export P=\"<$P>\"; read Q </dev/tty; export Q\n", "", NULL,
         "echo \"$P$Q\"", "<>\n"},
        {"export X=1; exec sh\n", "", "(status 0) without saying its environment", "echo x$X",
         "x\n"},
        {"export X=1; exit 3\n", "", "(status 3) without saying its environment", "echo x$X",
         "x\n"},
        {"kill -KILL $$\n", "", "without saying its environment", "echo $HOME | wc -w", "1\n"},
        /* Limits and umask are taken, the directory and aliases are not. */
        {"cd /; umask 077; ulimit -S -n 64; alias a=b; export X=1\n", "", NULL,
         "pwd | grep -c ^/tmp/tw-exec; umask; ulimit -n; a 2>/dev/null || echo $X",
         "1\n0077\n64\n1\n"},
        {"module() { export LOADED=$2; }\n", "module load slurm", NULL, "echo $LOADED", "slurm\n"},
        {"export X=1\n", "export Y=2; false", "env_init ended with status 1", "echo $X$Y", "12\n"},
        {"export X=1\n", "export Y=2; exit 4", "(status 4) without saying its environment",
         "echo x$X$Y", "x\n"},
        {"export X=1\n", "echo much; echo more >&2; unset X; export Y='two\nlines'", NULL,
         "echo \"$X$Y\"", "two\nlines\n"},
        /* An exported function is for whoever /bin/sh passes it to: a bash, not what dash starts.
         */
        {"f() { echo in f; }; export -f f\n", "", NULL,
         "grep -zc ^BASH_FUNC_f /proc/$$/environ; exec env -u X true", "1\n"},
        /* A background process of the profile's does not hold commands up. */
        {"sleep 600 & export X=1\n", "", NULL, "echo $X", "1\n"},
    };
    (void)state;
    need_root();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const struct profile *p = &all[i];
        struct options o;
        struct driver d;
        login_as(&o, "/bin/bash", ".bash_profile", p->text);
        o.config.env_init = span_of(p->init);
        driver_start(&d, &o);
        assert_int_equal(d.error, 0);
        struct result r = driver_run(&d, p->command);
        assert_string_equal(r.output, p->output);
        result_finish(&r);
        if (p->log)
            assert_true(log_has(&o, p->log));
        else
            assert_false(log_has(&o, "WARN"));
        assert_false(log_has(&o, "did not end within"));
        driver_stop(&d);
        options_finish(&o);
    }
}

static void tcsh(void **state)
{
    struct options o;
    struct driver d;
    (void)state;
    need_root();
    if (access("/usr/bin/tcsh", X_OK) != 0) {
        print_message("SKIPPED: no tcsh here\n");
        skip();
    }
    login_as(&o, "/usr/bin/tcsh", ".login", "echo banner\nsetenv FROM_LOGIN 1\n");
    write_home(&o, ".cshrc", "setenv FROM_CSHRC 1\nset path = ( /opt/site $path )\n");
    o.config.env_init = span_of("setenv INIT $FROM_CSHRC");
    driver_start(&d, &o);
    driver_expect(&d, "echo $FROM_LOGIN$FROM_CSHRC$INIT $PATH | cut -d: -f1", 0, "111 /opt/site\n");
    assert_false(log_has(&o, "WARN"));
    driver_stop(&d);
    options_finish(&o);
}

/* Every limit, soft and hard, is that of the agent's start, whatever exec set for itself. */
static void limits(void **state)
{
    static const uint64_t wanted[16] = {
        [RLIMIT_CPU] = 1000,      [RLIMIT_FSIZE] = 10 << 20,
        [RLIMIT_DATA] = 1 << 30,  [RLIMIT_STACK] = 4 << 20,
        [RLIMIT_CORE] = 1 << 20,  [RLIMIT_RSS] = 1 << 30,
        [RLIMIT_NPROC] = 20000,   [RLIMIT_NOFILE] = 123,
        [RLIMIT_MEMLOCK] = 65536, [RLIMIT_AS] = UINT64_C(8) << 30,
        [RLIMIT_LOCKS] = 100,     [RLIMIT_SIGPENDING] = 1000,
        [RLIMIT_MSGQUEUE] = 2000, [RLIMIT_NICE] = 0,
        [RLIMIT_RTPRIO] = 0,      [RLIMIT_RTTIME] = 1000000,
    };
    struct options o;
    struct driver d;
    (void)state;
    options_init(&o);
    for (size_t i = 0; i < 16; i++)
        o.limits[i].soft = wanted[i] < o.limits[i].hard ? wanted[i] : o.limits[i].hard;
    driver_start(&d, &o);
    struct result r = driver_run(&d, "tail -n +2 /proc/self/limits | cut -c27-67");
    char expected[1024] = "";
    for (size_t i = 0; i < 16; i++) {
        char soft[32] = "unlimited", hard[32] = "unlimited";
        if (o.limits[i].soft != UINT64_MAX)
            snprintf(soft, sizeof soft, "%llu", (unsigned long long)o.limits[i].soft);
        if (o.limits[i].hard != UINT64_MAX)
            snprintf(hard, sizeof hard, "%llu", (unsigned long long)o.limits[i].hard);
        size_t n = strlen(expected);
        snprintf(expected + n, sizeof expected - n, "%-20s %-20s\n", soft, hard);
    }
    assert_string_equal(r.output, expected);
    result_finish(&r);
    driver_stop(&d);
    options_finish(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles),
        cmocka_unit_test(tcsh),
        cmocka_unit_test(limits),
    };
    if (!tests_become())
        return TESTS_SKIPPED;
    return cmocka_run_group_tests_name("exec.login", tests, NULL, NULL);
}
