/* SPDX-License-Identifier: Apache-2.0 */
/* What a command prints and returns, and in which state it starts. */
#include "tests/exec/driver.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    struct options options;
    struct driver driver;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    options_init(&f->options);
    driver_start(&f->driver, &f->options);
    *state = f;
    return f->driver.error;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    driver_stop(&f->driver);
    options_finish(&f->options);
    free(f);
    return 0;
}

static struct driver *driver_of(void **state)
{
    return &((struct fixture *)*state)->driver;
}

static void statuses(void **state)
{
    struct driver *d = driver_of(state);
    driver_expect(d, "", 0, "");
    driver_expect(d, "\n", 0, "");
    driver_expect(d, "true", 0, "");
    driver_expect(d, "exit 3", 3, "");
    driver_expect(d, "exit 255\n", 255, "");
    driver_expect(d, "kill -TERM $$", 143, "");
    driver_expect(d, "kill -KILL $$; echo no", 137, "");
    driver_expect(d, "sh -c 'kill -INT $$'; exit $?", 130, "");
    driver_expect(d, "(exit 5)", 5, "");
    driver_expect(d, "false\n# last", 1, "");
    struct result r = driver_run(d, "no-such-program-anywhere");
    assert_int_equal(r.status, 127);
    assert_non_null(strstr(r.output, "not found"));
    result_finish(&r);
}

static void texts(void **state)
{
    struct driver *d = driver_of(state);
    driver_expect(d, "echo a; echo b >&2; echo c", 0, "a\nb\nc\n");
    driver_expect(d, "echo $0 $# $-", 0, "sh 0\n");
    driver_expect(d, "#!/bin/sh\necho second line", 0, "second line\n");
    driver_expect(d, "cat <<E\none $((1+1))\nE", 0, "one 2\n");
    driver_expect(d, "cat <<'E' | tr a-z A-Z\nx $y\nE\n", 0, "X $Y\n");
    driver_expect(d, "f() { echo in $1; }; f here", 0, "in here\n");
    driver_expect(d, "cat; echo end", 0, "end\n");
    driver_expect(d, "echo one \\\ntwo", 0, "one two\n");
    driver_expect(d, "trap 'echo bye' EXIT; exit 4", 4, "bye\n");
    driver_expect(d, "set -e; false; echo no", 1, "");
    driver_expect(d, "exec echo replaced", 0, "replaced\n");
    driver_expect(d, "echo cr\r\nprintf 'x\\r\\n'\r\n", 0, "cr\r\nx\r\n\r");
    struct result r = driver_run(d, "echo 1\n\nif true; then\n");
    assert_true(r.status != 0 && strncmp(r.output, "1\n", 2) == 0);
    result_finish(&r);
    /* Line numbers are those of the text. */
    r = driver_run(d, "\n\nno-such-program-anywhere");
    assert_non_null(strstr(r.output, "3: "));
    result_finish(&r);
}

static void every_byte(void **state)
{
    struct driver *d = driver_of(state);
    struct result r = driver_run(d, "i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %o $i)\"; "
                                    "i=$((i+1)); done; printf '\\r\\n\\000end'");
    assert_int_equal(r.status, 0);
    assert_int_equal(r.len, 256 + 6);
    for (int i = 0; i < 256; i++)
        assert_int_equal((unsigned char)r.output[i], i);
    assert_memory_equal(r.output + 256, "\r\n\0end", 6);
    result_finish(&r);
}

static void large_here_document(void **state)
{
    struct driver *d = driver_of(state);
    static const char head[] = "cat <<'END'\n", tail[] = "END\n";
    const size_t body = 2 * 1024 * 1024;
    char *text = malloc(sizeof head + body + sizeof tail);
    struct result r;
    memcpy(text, head, sizeof head - 1);
    for (size_t i = 0; i < body; i++)
        text[sizeof head - 1 + i] = i % 80 == 79 ? '\n' : (char)(' ' + i % 79);
    text[sizeof head - 1 + body - 1] = '\n';
    memcpy(text + sizeof head - 1 + body, tail, sizeof tail - 1);
    driver_send(d, text, sizeof head - 1 + body + sizeof tail - 1);
    assert_true(driver_receive(d, &r, PATIENCE_MS));
    assert_int_equal(r.status, 0);
    assert_int_equal(r.len, body);
    assert_memory_equal(r.output, text + sizeof head - 1, body);
    result_finish(&r);
    free(text);
}

static void nul_in_text(void **state)
{
    struct driver *d = driver_of(state);
    static const char text[] = "echo before\0echo after";
    struct result r;
    driver_send(d, text, sizeof text - 1);
    assert_true(driver_receive(d, &r, PATIENCE_MS));
    assert_int_equal(r.status, 126);
    assert_non_null(strstr(r.output, "NUL"));
    assert_null(strstr(r.output, "before"));
    assert_int_equal(r.output[r.len - 1], '\n');
    result_finish(&r);
    char *big = calloc(1, 40000);
    memset(big, '#', 39999);
    driver_send(d, big, 40000);
    assert_true(driver_receive(d, &r, PATIENCE_MS));
    assert_int_equal(r.status, 126);
    result_finish(&r);
    free(big);
}

/* How many processes show the marker in their command line. */
static int shown_in_cmdline(const char *marker)
{
    int found = 0;
    DIR *proc = opendir("/proc");
    struct dirent *e;
    while ((e = readdir(proc))) {
        char path[300], line[8192];
        snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line);
        if (fd >= 0)
            close(fd);
        found += n > 0 && memmem(line, (size_t)n, marker, strlen(marker));
    }
    closedir(proc);
    return found;
}

static void text_stays_private(void **state)
{
    struct fixture *f = *state;
    struct result r;
    driver_send_text(&f->driver, "marker=private-4711; touch up; "
                                 "until [ -e seen ]; do sleep 0.01; done");
    assert_true(eventually(is_file, in_work(&f->options, "up"), PATIENCE_MS));
    assert_int_equal(shown_in_cmdline("private-4711"), 0);
    assert_true(shown_in_cmdline("/proc/self/fd/9") > 0);
    make_file(&f->options, "seen");
    assert_true(driver_receive(&f->driver, &r, PATIENCE_MS));
    result_finish(&r);
}

static void descriptors(void **state)
{
    struct driver *d = driver_of(state);
    /* 3 is the directory that ls reads. */
    driver_expect(d, "ls /proc/self/fd", 0, "0\n1\n2\n3\n");
    driver_expect(d, "exec ls /proc/self/fd", 0, "0\n1\n2\n3\n");
    driver_expect(d, "readlink /proc/self/fd/0", 0, "/dev/null\n");
    driver_expect(d, "test \"$(readlink /proc/$$/fd/1)\" = \"$(readlink /proc/$$/fd/2)\"", 0, "");
    driver_expect(d, "sh -c ': <&9' 2>/dev/null || echo closed", 0, "closed\n");
}

static void own_session(void **state)
{
    struct driver *d = driver_of(state);
    driver_expect(d, "set -- $(cat /proc/$$/stat); test $$ = $5 && test $$ = $6 && test $7 = 0", 0,
                  "");
    driver_expect(d, "echo $PPID | grep -qx $(cut -d' ' -f4 /proc/$$/stat)", 0, "");
}

static void environment(void **state)
{
    struct fixture *f = *state;
    char expected[256];
    snprintf(expected, sizeof expected,
             "HOME=/\nPATH=/usr/local/bin:/usr/bin:/bin\nPWD=%s\n"
             "TW_AGENT_WORK=%s\n",
             f->options.work_dir, f->options.work_dir);
    driver_expect(&f->driver, "env | grep -v -e ^_= -e ^SHLVL= | sort", 0, expected);
    snprintf(expected, sizeof expected, "%s\n", f->options.work_dir);
    driver_expect(&f->driver, "pwd -P", 0, expected);
}

/* Whether the text's answer comes before exec's patience with those that hold the output is over:
 * at least once of many times, as a busy machine may be late for it. */
static bool answered_at_once(struct driver *d, const char *text)
{
    for (int i = 0; i < 100; i++) {
        uint64_t start = now_ms();
        driver_expect(d, text, 0, "now\n");
        if (now_ms() - start < 90)
            return true;
    }
    return false;
}

/* Whether what a child writes a moment after its shell's end is in the answer: likewise. */
static bool soon_is_waited_for(struct driver *d)
{
    bool came = false;
    for (int i = 0; i < 100 && !came; i++) {
        struct result r = driver_run(d, "(sleep 0.01; echo soon; sleep 1) & :");
        assert_int_equal(r.status, 0);
        came = strcmp(r.output, "soon\n") == 0;
        assert_true(came || r.len == 0);
        result_finish(&r);
    }
    return came;
}

static void background_child(void **state)
{
    struct fixture *f = *state;
    struct driver *d = &f->driver;
    /* It goes on when it is told to, which is after the answer. */
    driver_expect(d,
                  "(until [ -e answered ]; do sleep 0.01; done; echo late; echo again; touch late; "
                  "sleep 1) & echo now",
                  0, "now\n");
    make_file(&f->options, "answered");
    assert_true(eventually(is_file, in_work(&f->options, "late"), PATIENCE_MS));
    /* One that has let go of the output delays nothing. */
    assert_true(answered_at_once(d, "sleep 2 >/dev/null 2>&1 & echo now"));
    /* What it writes at once belongs to the answer. */
    driver_expect(d, "(echo child) & wait", 0, "child\n");
    assert_true(soon_is_waited_for(d));
}

/* Each waits until all have begun. */
static void at_once(void **state)
{
    enum { COMMANDS = 32 };
    struct options o;
    struct driver d;
    uint64_t first = 0;
    bool seen[COMMANDS] = {false};
    (void)state;
    options_init(&o);
    o.config.max_commands = COMMANDS;
    driver_start(&d, &o);
    for (int i = 0; i < COMMANDS; i++) {
        char text[128];
        snprintf(text, sizeof text,
                 ">begun.%d; until set -- begun.*; [ $# = %d ]; do sleep 0.01; done; "
                 "echo number %d; exit %d",
                 i, COMMANDS, i, i);
        uint64_t ticket = driver_send_text(&d, text);
        first = i == 0 ? ticket : first;
    }
    for (int i = 0; i < COMMANDS; i++) {
        struct result r;
        char expected[32];
        assert_true(driver_receive(&d, &r, PATIENCE_MS));
        size_t n = (size_t)(r.ticket - first);
        assert_true(n < COMMANDS && !seen[n]);
        seen[n] = true;
        snprintf(expected, sizeof expected, "number %zu\n", n);
        assert_string_equal(r.output, expected);
        assert_int_equal(r.status, (int)n);
        result_finish(&r);
    }
    driver_stop(&d);
    options_finish(&o);
}

/* Answers that core does not take for a while. */
static void slow_core(void **state)
{
    struct options o;
    struct driver d;
    bool seen[64] = {false};
    (void)state;
    options_init(&o);
    o.config.max_commands = 64;
    o.send_buffer = 1;
    driver_start(&d, &o);
    uint64_t first = d.ticket + 1;
    for (int i = 0; i < 64; i++)
        driver_send_text(&d, "echo some output; exit 9");
    usleep(700000);
    for (int i = 0; i < 64; i++) {
        struct result r;
        assert_true(driver_receive(&d, &r, PATIENCE_MS));
        assert_true(r.ticket - first < 64 && !seen[r.ticket - first]);
        seen[r.ticket - first] = true;
        assert_int_equal(r.status, 9);
        assert_string_equal(r.output, "some output\n");
        result_finish(&r);
    }
    driver_stop(&d);
    options_finish(&o);
}

/* User mode: as inherited, without what is not the commands', and what the site adds. */
static void inherited(void **state)
{
    struct options o;
    struct driver d;
    (void)state;
    options_init(&o);
    o.environment = "PATH=/usr/bin:/bin\0HOME=/\0TOWER_ACCESS_TOKEN=secret\0NOTIFY_SOCKET=/x\0"
                    "https_proxy=http://u:p@proxy:1\0HTTP_PROXY=http://proxy:1\0"
                    "LD_LIBRARY_PATH=/nowhere\0SLURM_CONF=/etc/slurm.conf\0TW_AGENT_WORK=/old\0";
    o.config.env_init = span_of("export FROM_INIT=$SLURM_CONF; unset HOME");
    o.config.set_env = span_of("SET=yes");
    driver_start(&d, &o);
    driver_expect(
        &d, "env | grep -v -e ^_= -e ^SHLVL= -e ^PWD= -e ^TW_AGENT_WORK= -e ^OLDPWD= | sort", 0,
        "FROM_INIT=/etc/slurm.conf\nHTTP_PROXY=http://proxy:1\nLD_LIBRARY_PATH=/nowhere\n"
        "PATH=/usr/bin:/bin\nSET=yes\nSLURM_CONF=/etc/slurm.conf\n");
    driver_expect(&d, "test \"$TW_AGENT_WORK\" = \"$(pwd -P)\"", 0, "");
    driver_stop(&d);
    options_finish(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),    cmocka_unit_test(texts),
        cmocka_unit_test(every_byte),  cmocka_unit_test(large_here_document),
        cmocka_unit_test(nul_in_text), cmocka_unit_test(text_stays_private),
        cmocka_unit_test(descriptors), cmocka_unit_test(own_session),
        cmocka_unit_test(environment), cmocka_unit_test(background_child),
        cmocka_unit_test(at_once),     cmocka_unit_test(slow_core),
        cmocka_unit_test(inherited),
    };
    if (!tests_become())
        return TESTS_SKIPPED;
    return cmocka_run_group_tests_name("exec.commands", tests, setup, teardown);
}
