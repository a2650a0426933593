/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs each text twice, through tw-agent-exec and by sh -c directly, for test_texts.py.
 * In, for each text: its length as a line, then its bytes. Out, for each run: a line with the
 * status and the output's length, then the output; exec's first.
 * With an argument: this program is /bin/sh for both, by a mount that nobody else sees.
 */
#include "tests/exec/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX (4 << 20)
#define GRACE_MS   150

static bool replace_sh(const char *program)
{
    char target[PATH_MAX];
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           realpath("/bin/sh", target) && mount(program, target, NULL, MS_BIND, NULL) == 0;
}

static _Noreturn void be_shell(const char *text, const char *work_dir, int out)
{
    char pwd[PATH_MAX + 16], work[PATH_MAX + 16];
    char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", home[] = "HOME=/";
    snprintf(pwd, sizeof pwd, "PWD=%s", work_dir);
    snprintf(work, sizeof work, "TW_AGENT_WORK=%s", work_dir);
    char *envp[] = {path, home, work, pwd, NULL};
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)text, NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (setsid() < 0 || chdir(work_dir) != 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
        dup2(out, 2) < 0)
        _exit(99);
    signal(SIGPIPE, SIG_DFL);
    execve("/bin/sh", argv, envp);
    _exit(98);
}

/* As a plain program would: until the end of the output, or the shell's end and a little more. */
static size_t read_all(int fd, pid_t pid, char *output, int *status)
{
    size_t n = 0;
    bool ended = false;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, GRACE_MS);
        ssize_t got = ready == 1 ? read(fd, output + n, OUTPUT_MAX - n) : -1;
        if (got == 0 || (ready == 0 && ended))
            break;
        if (got > 0)
            n += (size_t)got;
        if (!ended)
            ended = waitpid(pid, status, WNOHANG) == pid;
    }
    if (!ended)
        assert_int_equal(waitpid(pid, status, 0), pid);
    return n;
}

static void run_directly(const char *text, const char *work_dir)
{
    static char output[OUTPUT_MAX];
    int pipe[2], status;
    assert_int_equal(pipe2(pipe, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        be_shell(text, work_dir, pipe[1]);
    close(pipe[1]);
    size_t n = read_all(pipe[0], pid, output, &status);
    close(pipe[0]);
    printf("%d %zu\n", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), n);
    fwrite(output, 1, n, stdout);
}

int main(int argc, char **argv)
{
    struct options o;
    struct driver d;
    size_t len;
    if (!tests_become())
        return TESTS_SKIPPED;
    if (argc > 1 && !replace_sh(argv[1])) {
        fprintf(stderr, "SKIPPED: %s cannot be mounted as /bin/sh: %s\n", argv[1], strerror(errno));
        return TESTS_SKIPPED;
    }
    options_init(&o);
    driver_start(&d, &o);
    while (scanf("%zu", &len) == 1 && getchar() == '\n') {
        struct result r;
        char *text = malloc(len + 1);
        assert_non_null(text);
        assert_int_equal(fread(text, 1, len, stdin), len);
        text[len] = '\0';
        driver_send(&d, text, len);
        assert_true(driver_receive(&d, &r, PATIENCE_MS));
        printf("%d %zu\n", r.status, r.len);
        fwrite(r.output, 1, r.len, stdout);
        result_finish(&r);
        run_directly(text, d.work_dir);
        fflush(stdout);
        free(text);
    }
    driver_stop(&d);
    options_finish(&o);
    return 0;
}
