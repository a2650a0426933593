/* SPDX-License-Identifier: Apache-2.0 */
/* System mode: another user, its groups, the environment of its login; and siblings kept apart. */
#include "tests/exec/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fds.h"

#define EXTRA_GROUP "twlabx"

static void need_root(void)
{
    if (geteuid() != 0) {
        print_message("only root can start exec for another user\n");
        skip();
    }
}

static void write_file(const char *directory, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

static void becomes_user(void **state)
{
    struct options o;
    struct driver d;
    char expected[256];
    (void)state;
    need_root();
    assert_int_equal(system(ALONE "sh -c 'getent group " EXTRA_GROUP
                                  " >/dev/null || groupadd " EXTRA_GROUP
                                  " && usermod -aG " EXTRA_GROUP " " DRIVER_USER "'"),
                     0);
    options_init(&o);
    options_run_as(&o, DRIVER_USER);
    driver_start(&d, &o);
    assert_int_equal(d.error, 0);
    struct passwd *p = getpwnam(DRIVER_USER);
    struct group *g = getgrnam(EXTRA_GROUP);
    snprintf(expected, sizeof expected, "%u %u\n", (unsigned)p->pw_uid, (unsigned)p->pw_gid);
    driver_expect(&d, "echo $(id -u) $(id -g)", 0, expected);
    snprintf(expected, sizeof expected, "%u\n", (unsigned)g->gr_gid);
    driver_expect(&d,
                  "id -G | tr ' ' '\\n' | grep -x "
                  "$(getent group " EXTRA_GROUP " | cut -d: -f3)",
                  0, expected);
    driver_expect(&d, "id -G | tr ' ' '\\n' | grep -cx 0", 1, "0\n");
    driver_expect(&d, "grep -h '^Cap' /proc/self/status | grep -v Bnd | cut -f2 | sort -u", 0,
                  "0000000000000000\n");
    snprintf(expected, sizeof expected, "%u", (unsigned)p->pw_uid);
    if (access("/proc/self/loginuid", F_OK) == 0)
        driver_expect(&d, "cat /proc/$$/loginuid", 0, expected);
    else
        print_message("SKIPPED: login uid: this kernel has none\n");
    driver_stop(&d);
    options_finish(&o);
}

/* A home whose profile prints, exports a function and sets a variable. */
static void make_home(struct options *o, const char *profile)
{
    write_file(o->work_dir, ".bash_profile", profile);
    o->config.home = span_of(o->work_dir);
    o->config.env_from = ENV_FROM_LOGIN;
}

static void login_environment(void **state)
{
    struct options o;
    struct driver d;
    (void)state;
    need_root();
    options_init(&o);
    options_run_as(&o, DRIVER_USER);
    make_home(&o, "echo 'Welcome to the cluster'; echo warning >&2\n"
                  "module() { echo \"module $*\"; export LOADED=$2; }\nexport -f module\n"
                  "export SITE='two\nlines'; PATH=/opt/site/bin:$PATH\n");
    o.environment = "PATH=/agent\0LANG=C.UTF-8\0PASSED=yes\0OTHER=no\0";
    o.config.env_init = span_of("module load slurm");
    o.config.set_env = (struct span){"SET=1\0SITE_SET=a b", 18};
    o.config.pass_env = (struct span){"PASSED\0ABSENT", 13};
    driver_start(&d, &o);
    assert_int_equal(d.error, 0);
    driver_expect(&d, "echo \"$SITE\"", 0, "two\nlines\n");
    /* dash passes no functions on, bash does. */
    driver_expect(&d, "grep -zc BASH_FUNC_module /proc/$$/environ", 0, "1\n");
    driver_expect(&d, "echo $LOADED $SET $SITE_SET $PASSED $OTHER.", 0, "slurm 1 a b yes .\n");
    driver_expect(&d, "echo $PATH | cut -d: -f1", 0, "/opt/site/bin\n");
    driver_expect(&d, "echo $USER $LOGNAME $SHELL $LANG", 0,
                  DRIVER_USER " " DRIVER_USER " /bin/bash C.UTF-8\n");
    driver_expect(&d, "env | grep -c Welcome", 1, "0\n");
    /* Once more, with another profile, for new commands. */
    write_file(o.work_dir, ".bash_profile", "export SITE=second; module() { :; }\n");
    assert_int_equal(packet_send_message(d.parent, MSG_reload, &(struct msg_reload){0}, -1), 0);
    bool fresh = false;
    for (uint64_t end = now_ms() + PATIENCE_MS; !fresh; assert_true(now_ms() < end)) {
        struct result r = driver_run(&d, "sleep 0.02; echo $SITE");
        fresh = strcmp(r.output, "second\n") == 0;
        result_finish(&r);
    }
    driver_stop(&d);
    options_finish(&o);
}

static void login_fails(void **state)
{
    static const char minimal[] = "/usr/local/bin:/usr/bin:/bin\n";
    struct options o;
    struct driver d;
    (void)state;
    need_root();
    options_init(&o);
    options_run_as(&o, DRIVER_USER);
    make_home(&o, "export LOST=1; exit 0\n");
    driver_start(&d, &o);
    driver_expect(&d, "echo $LOST$PATH", 0, minimal);
    /* What held before stays when it fails later. */
    driver_stop(&d);
    /* An account that may not log in has the system's profile. */
    o.config.shell = span_of("/usr/sbin/nologin");
    o.config.env_init = span_of("export INIT=1");
    driver_start(&d, &o);
    driver_expect(&d, "echo $INIT", 0, "1\n");
    driver_stop(&d);
    options_finish(&o);
}

/* Mounts a file system whose server never answers; its descriptor, or -1. */
static int mount_hung(const char *path)
{
    char data[96];
    int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    snprintf(data, sizeof data, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fuse);
    if (fuse < 0 || mount("hung", path, "fuse", MS_NOSUID | MS_NODEV, data) != 0)
        fds_close(&fuse);
    return fuse;
}

/* After ten seconds, of a clock that may lag a little, and not after two times ten. */
static void expect_after_deadline(struct driver *d, uint64_t start, int error, const char *output)
{
    struct result r;
    driver_await_ready(d);
    assert_int_equal(d->error, error);
    assert_true(now_ms() - start >= 9900 && now_ms() - start < 19000);
    assert_true(driver_receive(d, &r, PATIENCE_MS));
    assert_int_equal(r.status, error ? 126 : 0);
    if (!error)
        assert_string_equal(r.output, output);
    result_finish(&r);
    driver_stop(d);
}

/* The log names it, and commands run without what was to come. */
static void init_deadline(void **state)
{
    struct options o;
    struct driver d;
    (void)state;
    if (getenv("TW_TEST_AS")) {
        print_message("its ten seconds once are enough\n");
        skip();
    }
    options_init(&o);
    o.log = true;
    o.environment = "PATH=/usr/bin:/bin\0X=1\0";
    o.config.env_init = span_of("export Y=2; sleep 300");
    uint64_t start = now_ms();
    driver_launch(&d, &o);
    driver_send_text(&d, "echo $X$Y");
    expect_after_deadline(&d, start, 0, "1\n");
    assert_true(log_has(&o, "env_init: the shell did not end within 10 s; "
                            "commands get the environment without it"));
    options_finish(&o);
}

/* A work directory and a profile that hang, side by side: commands wait for the deadline alone. */
static void deadlines(void **state)
{
    struct options login, hung;
    struct driver d_login, d_hung;
    char path[128];
    (void)state;
    if (geteuid() != 0) {
        init_deadline(state);
        return;
    }
    options_init(&login);
    login.log = true;
    options_run_as(&login, DRIVER_USER);
    make_home(&login, "sleep 600\n");
    options_init(&hung);
    snprintf(path, sizeof path, "%s/hung", hung.work_dir);
    assert_int_equal(mkdir(path, 0755), 0);
    hung.config.work_dir = span_of(path);
    int fuse = mount_hung(path);
    uint64_t start = now_ms();
    driver_launch(&d_login, &login);
    driver_send_text(&d_login, "echo waited");
    if (fuse >= 0) {
        driver_launch(&d_hung, &hung);
        driver_send_text(&d_hung, "echo never");
        expect_after_deadline(&d_hung, start, ETIMEDOUT, NULL);
        fds_close(&fuse); /* aborts the connection */
        assert_int_equal(umount2(path, MNT_DETACH), 0);
    } else {
        print_message("no FUSE mount here: the hanging work directory is not tried\n");
    }
    expect_after_deadline(&d_login, start, 0, "waited\n");
    assert_true(log_has(&login, "env_from = login: the shell did not end within 10 s; "
                                "commands get a minimal environment"));
    options_finish(&hung);
    options_finish(&login);
}

static void file_environment(void **state)
{
    struct options o;
    struct driver d;
    char path[128];
    (void)state;
    need_root();
    options_init(&o);
    options_run_as(&o, DRIVER_USER);
    write_file(o.work_dir, "env", "# site\nFROM_FILE=\"a b\"\nPATH=/site:/usr/bin:/bin\n");
    snprintf(path, sizeof path, "%s/env", o.work_dir);
    o.config.env_from = ENV_FROM_FILE;
    o.config.env_file = span_of(path);
    o.config.env_init = span_of("export INIT=\"$FROM_FILE c\"");
    driver_start(&d, &o);
    driver_expect(&d, "echo $INIT $PATH $USER", 0, "a b c /site:/usr/bin:/bin " DRIVER_USER "\n");
    driver_stop(&d);
    options_finish(&o);
}

/* Runs these tests' essentials with bash as /bin/sh, in a mount namespace of our own. */
static void bash_as_sh(void **state)
{
    (void)state;
    need_root();
    pid_t pid = fork();
    if (pid == 0) {
        char target[PATH_MAX] = "";
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            !realpath("/bin/sh", target) || mount("/bin/bash", target, NULL, MS_BIND, NULL) != 0)
            _exit(77);
        struct options o;
        struct driver d;
        options_init(&o);
        driver_start(&d, &o);
        driver_expect(&d, "echo ${BASH_VERSION:+bash} $0", 0, "bash sh\n");
        driver_expect(&d, "echo $LINENO\necho $LINENO", 0, "1\n2\n");
        driver_expect(&d, "", 0, "");
        driver_expect(&d, "cat <<'E' | tr a-z A-Z\nx $y\nE", 0, "X $Y\n");
        driver_expect(&d, "ls /proc/self/fd", 0, "0\n1\n2\n3\n");
        driver_expect(&d, "exit 7", 7, "");
        driver_expect(&d, "kill -TERM $$", 143, "");
        driver_expect(&d, "printf 'a\\r\\n\\000b'; echo x\r", 0, "a\r\n");
        driver_stop(&d);
        options_finish(&o);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("no mount namespace here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(becomes_user),     cmocka_unit_test(login_environment),
        cmocka_unit_test(login_fails),      cmocka_unit_test(deadlines),
        cmocka_unit_test(file_environment), cmocka_unit_test(bash_as_sh),
    };
    if (!tests_become())
        return TESTS_SKIPPED;
    return cmocka_run_group_tests_name("exec.system", tests, NULL, NULL);
}
