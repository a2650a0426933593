/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/deny/probe.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_SUCH_PID  0x7ffffff0 /* above the largest pid_max */
#define PLAIN_USER   65534
#define PATIENCE_S   60 /* a call that hangs is ended */
#define ENTER_FAILED 111

static void report(int fd, long result)
{
    ssize_t n = write(fd, &result, sizeof result);
    _exit(n == (ssize_t)sizeof result ? 0 : 1);
}

struct outcome probe_run(enum sandbox_role role, const struct sandbox_access *access,
                         probe_call *call, const void *argument)
{
    struct outcome o = {.answered = false};
    int p[2], status;
    if (pipe(p) != 0)
        abort();
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct sandbox_report r;
        char err[256];
        close(p[0]);
        alarm(PATIENCE_S);
        signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would meet the filter */
        if (role != NO_ROLE && sandbox_enter(role, access, &r, err, sizeof err) != 0) {
            fprintf(stderr, "sandbox_enter: %s\n", err);
            _exit(ENTER_FAILED);
        }
        report(p[1], call(argument));
    }
    close(p[1]);
    o.answered = read(p[0], &o.result, sizeof o.result) == (ssize_t)sizeof o.result;
    close(p[0]);
    waitpid(pid, &status, 0);
    o.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == ENTER_FAILED)
        exit(1);
    return o;
}

struct one_call {
    long number;
    uint64_t a[6];
};

static long make_call(const void *argument)
{
    const struct one_call *c = argument;
    long result;
    if (c->number == SYS_vhangup)
        setsid(); /* no terminal: nothing to hang up */
    /* A child that shares our memory would return from syscall() first. */
    if (c->number == SYS_vfork) {
        pid_t pid = vfork();
        if (pid == 0)
            _exit(0);
        result = pid;
    } else {
        pid_t self = getpid();
        result = syscall(c->number, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4], c->a[5]);
        if (result == 0 && getpid() != self)
            _exit(0); /* a forked copy */
    }
    return result < 0 ? -errno : result;
}

struct outcome probe_syscall(enum sandbox_role role, long number, const uint64_t arguments[6])
{
    struct one_call c = {.number = number};
    memcpy(c.a, arguments, sizeof c.a);
    return probe_run(role, NULL, make_call, &c);
}

void probe_bad_arguments(long number, uint64_t arguments[6])
{
    for (int i = 0; i < 6; i++)
        arguments[i] = UINT64_MAX;
    switch (number) {
    case SYS_kill: /* -1 would mean everyone */
    case SYS_tkill:
    case SYS_tgkill:
        arguments[0] = arguments[1] = NO_SUCH_PID;
        break;
    case SYS_init_module: /* too short */
        arguments[1] = 0;
        break;
    default:
        break;
    }
}

bool outcome_trapped(const struct outcome *o)
{
    return !o->answered && o->signal == SIGSYS;
}

bool outcome_is(const struct outcome *o, int error)
{
    return o->answered && o->result == -error;
}

void outcome_print(char *text, size_t size, const struct outcome *o)
{
    if (o->signal)
        snprintf(text, size, "signal %d", o->signal);
    else if (!o->answered)
        snprintf(text, size, "no answer");
    else if (o->result < 0)
        snprintf(text, size, "%s", strerror((int)-o->result));
    else
        snprintf(text, size, "%ld", o->result);
}

void tally_good(struct tally *t)
{
    t->good++;
}

void tally_bad(struct tally *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("FAILED %s: ", t->what);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    t->bad++;
}

void tally_skip(struct tally *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("skipped %s: ", t->what);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    t->skipped++;
}

int tally_end(const struct tally *t)
{
    printf("%s: %u probes ok, %u skipped, %u failed\n", t->what, t->good, t->skipped, t->bad);
    return t->bad == 0 && t->good > 0 ? 0 : 1;
}

int as_each_user(int (*test)(void *), void *argument)
{
    int status;
    printf("-- as user %d\n", (int)getuid());
    int code = test(argument);
    if (getuid() != 0)
        return code;
    printf("-- as user %d\n", PLAIN_USER);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (setgroups(0, NULL) != 0 || setresgid(PLAIN_USER, PLAIN_USER, PLAIN_USER) != 0 ||
            setresuid(PLAIN_USER, PLAIN_USER, PLAIN_USER) != 0 ||
            prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
            _exit(1);
        exit(test(argument));
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0)
        return 1;
    return code;
}

bool make_directory(char *path, size_t size)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(path, size, "%s/tw-deny-XXXXXX", tmp && *tmp && access(tmp, W_OK) == 0 ? tmp : "/tmp");
    if (mkdtemp(path) && chmod(path, 0755) == 0)
        return true;
    printf("FAILED: no directory %s: %s\n", path, strerror(errno));
    return false;
}
