/* SPDX-License-Identifier: Apache-2.0 */
/* Processes, memory, descriptors run out: commands wait, are answered in the end, and lose nothing.
 */
#include "tests/exec/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAULTS   3
#define BIG_TEXT 50000
/* What exec itself has open is somewhere between. */
#define FEWEST 10
#define EDGES  30

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static bool hit(const void *injection)
{
    return injection_hits((struct injection *)(uintptr_t)injection) > 0;
}

static const struct options *logged_by;

static bool is_logged(const void *text)
{
    return log_has(logged_by, text);
}

/* Waits for a line of exec's log. */
static void await_log(const struct options *o, const char *text)
{
    logged_by = o;
    assert_true(eventually(is_logged, text, PATIENCE_MS));
}

/* A text too long for a packet: it comes as a descriptor. */
static void send_big(struct driver *d, const char *end)
{
    char text[BIG_TEXT];
    memset(text, 'x', sizeof text);
    memcpy(text, ": ", 2);
    snprintf(text + sizeof text - 64, 64, "\n%s", end);
    driver_send_text(d, text);
}

struct fault {
    const char *name;
    int call, error;
    bool of_exec;
};

/* Each shortage passes while a command waits for it. */
static void passing(void **state)
{
    static const struct fault faults[] = {
        {"clone", SYS_clone, EAGAIN, true},
        {"clone", SYS_clone, ENOMEM, true},
        {"memfd_create", SYS_memfd_create, EMFILE, true},
        {"memfd_create", SYS_memfd_create, ENFILE, true},
        {"memfd_create", SYS_memfd_create, ENOMEM, true},
        {"pipe2", SYS_pipe2, EMFILE, true},
        {"pipe2", SYS_pipe2, ENFILE, true},
        {"execve", SYS_execve, ETXTBSY, false},
        {"execve", SYS_execve, ENOMEM, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const struct fault *f = &faults[i];
        struct injection injection;
        struct options o;
        struct driver d;
        struct result r;
        if (!injection_init(&injection, f->call, f->of_exec))
            skip();
        options_init(&o);
        o.injection = &injection;
        o.log = true;
        driver_start(&d, &o);
        injection_arm(&injection, f->error, FAULTS);
        driver_expect(&d, "echo small", 0, "small\n");
        injection_arm(&injection, f->error, FAULTS);
        send_big(&d, "echo big; exit 3");
        assert_true(driver_receive(&d, &r, PATIENCE_MS));
        assert_string_equal(r.output, "big\n");
        assert_int_equal(r.status, 3);
        result_finish(&r);
        if (injection_hits(&injection) != 2 * FAULTS)
            print_error("%s: %d faults\n", f->name, injection_hits(&injection));
        assert_int_equal(injection_hits(&injection), 2 * FAULTS);
        assert_true(log_has(&o, strerror(f->error)));
        driver_stop(&d);
        injection_finish(&injection);
        options_finish(&o);
    }
}

/* One that does not pass: the command is answered and not run, and the next one is not harmed. */
static void lasting(void **state)
{
    struct injection injection;
    struct options o;
    struct driver d;
    struct result r;
    (void)state;
    if (getenv("TW_TEST_AS")) {
        print_message("its six seconds once are enough\n");
        skip();
    }
    if (!injection_init(&injection, SYS_clone, true))
        skip();
    options_init(&o);
    o.injection = &injection;
    driver_start(&d, &o);
    injection_arm(&injection, EAGAIN, -1);
    for (int i = 0; i < 5; i++)
        driver_send_text(&d, "touch ran; echo never");
    for (int i = 0; i < 5; i++) {
        assert_true(driver_receive(&d, &r, PATIENCE_MS));
        assert_int_equal(r.status, 126);
        assert_string_equal(r.output, "tw-agent: the command was not run: no process for it: "
                                      "Resource temporarily unavailable\n");
        result_finish(&r);
    }
    injection_arm(&injection, 0, 0);
    assert_true(injection_hits(&injection) >= 5 * 2);
    driver_expect(&d, "ls ran 2>/dev/null; echo next", 0, "next\n");
    driver_stop(&d);
    injection_finish(&injection);
    options_finish(&o);
}

/* No memfd for output that is under way: the command waits for it, and nothing is lost. */
static void output_waits(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } commands[] = {
        {"while ! [ -e go ]; do sleep 0.01; done; printf small", 5},
        {"while ! [ -e go ]; do sleep 0.01; done; head -c 5000 /dev/zero", 5000},
        {"while ! [ -e go ]; do sleep 0.01; done; head -c 300000 /dev/zero", 300000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct injection injection;
        struct options o;
        struct driver d;
        struct result r;
        if (!injection_init(&injection, SYS_memfd_create, true))
            skip();
        options_init(&o);
        o.injection = &injection;
        o.log = true;
        driver_start(&d, &o);
        driver_send_text(&d, "echo $$ >pid");
        assert_true(driver_receive(&d, &r, PATIENCE_MS));
        result_finish(&r);
        driver_send_text(&d, commands[i].text);
        driver_expect(&d, "exec true", 0, ""); /* the one before it has started */
        injection_arm(&injection, EMFILE, -1);
        make_file(&o, "go");
        assert_true(eventually(hit, &injection, PATIENCE_MS));
        assert_false(driver_receive(&d, &r, 400)); /* past the grace of background children */
        await_log(&o, "waits: Too many open files");
        injection_arm(&injection, 0, 0);
        assert_true(driver_receive(&d, &r, PATIENCE_MS));
        assert_int_equal(r.status, 0);
        assert_int_equal(r.len, commands[i].len);
        assert_int_equal(r.dropped, 0);
        result_finish(&r);
        driver_stop(&d);
        injection_finish(&injection);
        options_finish(&o);
    }
}

/* Output that was read already and finds no memory: said in the result, which is no success. */
static void output_lost(void **state)
{
    struct injection injection;
    struct options o;
    struct driver d;
    struct result r;
    (void)state;
    if (!injection_init(&injection, SYS_write, true))
        skip();
    injection.argument = 2;
    injection.mask = ~UINT64_C(0x1fff); /* 8 KiB or more: output alone */
    options_init(&o);
    o.injection = &injection;
    driver_start(&d, &o);
    injection_arm(&injection, ENOSPC, 1);
    driver_send_text(&d, "head -c 3000 /dev/zero | tr '\\0' x; touch said; "
                         "until [ -e read ]; do sleep 0.01; done; "
                         "dd if=/dev/zero bs=60000 count=8 2>/dev/null; touch whole");
    /* What was said has been read when exec waits again: the rest comes apart from it. */
    assert_true(eventually(is_file, in_work(&o, "said"), PATIENCE_MS));
    assert_true(eventually(is_asleep, &d.pid, PATIENCE_MS));
    make_file(&o, "read");
    assert_true(driver_receive(&d, &r, PATIENCE_MS));
    assert_int_equal(injection_hits(&injection), 1);
    assert_int_equal(r.status, 75);
    static const char line[] =
        "\ntw-agent: from here on the output was lost: No space left on device\n";
    assert_non_null(memmem(r.output, r.len, line, sizeof line - 1));
    assert_true(strncmp(r.output, "xxxx", 4) == 0 && r.len < 100000);
    result_finish(&r);
    driver_expect(&d, "ls whole", 0, "whole\n"); /* it was drained all the same */
    driver_stop(&d);
    injection_finish(&injection);
    options_finish(&o);
}

/* The environment of commands is had in the end, though its shell could not be started at first. */
static void capture_waits(void **state)
{
    struct injection injection;
    struct options o;
    struct driver d;
    (void)state;
    if (!injection_init(&injection, SYS_clone, true))
        skip();
    options_init(&o);
    o.injection = &injection;
    o.config.env_init = span_of("export FROM_INIT=1");
    injection_arm(&injection, EAGAIN, 5);
    driver_start(&d, &o);
    driver_expect(&d, "echo $FROM_INIT", 0, "1\n");
    assert_int_equal(injection_hits(&injection), 5);
    driver_stop(&d);
    injection_finish(&injection);
    options_finish(&o);
}

/*
 * Sets a soft limit of exec, from outside, and gives the one before. As exec's own user: the kernel
 * lets no other one do that, root without CAP_SYS_RESOURCE included.
 */
static rlim_t set_limit(const struct options *o, const struct driver *d, int resource, rlim_t soft)
{
    int pipe[2], status;
    struct rlimit limit;
    assert_int_equal(pipe2(pipe, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        gid_t gid = (gid_t)o->config.gid;
        uid_t uid = (uid_t)o->config.uid;
        if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0 ||
            prlimit(d->pid, resource, NULL, &limit) != 0 ||
            write(pipe[1], &limit.rlim_cur, sizeof limit.rlim_cur) != sizeof limit.rlim_cur)
            _exit(1);
        limit.rlim_cur = soft;
        _exit(prlimit(d->pid, resource, &limit, NULL) == 0 ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(pipe[0], &limit.rlim_cur, sizeof limit.rlim_cur), sizeof(rlim_t));
    close(pipe[0]);
    close(pipe[1]);
    return limit.rlim_cur;
}

/* Root itself is exempt from RLIMIT_NPROC. */
static void start_as_user(struct options *o, struct driver *d)
{
    options_init(o);
    o->log = true;
    if (geteuid() == 0)
        options_run_as(o, DRIVER_USER);
    driver_start(d, o);
}

/* The kernel's own refusal: the user has as many processes as it may. */
static void processes(void **state)
{
    struct options o;
    struct driver d;
    struct result r;
    (void)state;
    start_as_user(&o, &d);
    rlim_t before = set_limit(&o, &d, RLIMIT_NPROC, 0);
    driver_send_text(&d, "echo then");
    await_log(&o, "no process for it: Resource temporarily unavailable");
    assert_false(driver_receive(&d, &r, 150));
    set_limit(&o, &d, RLIMIT_NPROC, before);
    assert_true(driver_receive(&d, &r, PATIENCE_MS));
    assert_string_equal(r.output, "then\n");
    result_finish(&r);
    driver_stop(&d);
    options_finish(&o);
}

/* Descriptors run out at each of the places where one is made. */
static void descriptors(void **state)
{
    struct options o;
    struct driver d;
    struct result r;
    (void)state;
    start_as_user(&o, &d);
    driver_expect(&d, "head -c 100000 /dev/zero >/dev/null", 0, "");
    for (rlim_t most = FEWEST; most < FEWEST + EDGES; most++) {
        rlim_t before = set_limit(&o, &d, RLIMIT_NOFILE, most);
        driver_send_text(&d, "head -c 100000 /dev/zero");
        driver_send_text(&d, "exec head -c 9 /dev/zero");
        usleep(20000);
        set_limit(&o, &d, RLIMIT_NOFILE, before);
        size_t total = 0;
        for (int i = 0; i < 2; i++) {
            assert_true(driver_receive(&d, &r, PATIENCE_MS));
            assert_int_equal(r.status, 0);
            total += r.len;
            result_finish(&r);
        }
        assert_int_equal(total, 100009);
    }
    assert_true(log_has(&o, "Too many open files"));
    driver_stop(&d);
    options_finish(&o);
}

/* No memory for a command's text: each command is answered, one way or the other. */
static void memory(void **state)
{
    struct options o;
    struct driver d;
    struct result r;
    char text[LIMIT_INLINE_TEXT];
    int refused = 0;
    (void)state;
    if (SANITIZED) {
        print_message("SKIPPED: AddressSanitizer cannot run under RLIMIT_AS\n");
        skip();
    }
    start_as_user(&o, &d);
    memset(text, ' ', sizeof text);
    memcpy(text, "sleep 0.3; echo ran", 19);
    rlim_t before = set_limit(&o, &d, RLIMIT_AS, 4096);
    for (int i = 0; i < 16; i++)
        driver_send(&d, text, sizeof text);
    for (int i = 0; i < 16; i++) {
        assert_true(driver_receive(&d, &r, PATIENCE_MS));
        if (r.status == 126) {
            refused++;
            assert_string_equal(r.output,
                                "tw-agent: the command was not run: no memory for its text\n");
        }
        result_finish(&r);
    }
    set_limit(&o, &d, RLIMIT_AS, before);
    assert_true(refused > 0);
    assert_true(log_has(&o, "no memory for a command"));
    driver_expect(&d, "echo on", 0, "on\n");
    driver_stop(&d);
    options_finish(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passing),       cmocka_unit_test(lasting),
        cmocka_unit_test(output_waits),  cmocka_unit_test(output_lost),
        cmocka_unit_test(capture_waits), cmocka_unit_test(processes),
        cmocka_unit_test(descriptors),   cmocka_unit_test(memory),
    };
    if (!tests_become())
        return TESTS_SKIPPED;
    return cmocka_run_group_tests_name("exec.shortage", tests, NULL, NULL);
}
