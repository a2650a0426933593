/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The longest program has a few hundred instructions. */
#define FILTER_MAX 1024

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* siginfo.h: si_code of a trapped call */
#endif

/* A signal handler gets no context, so the role's name stands at file scope; it is set once, before
 * the filter. */
static const char *violating_role = "?";

int filter_load(const struct sock_filter *code, unsigned short length, unsigned flags)
{
    struct sock_fprog program = {.len = length, .filter = (struct sock_filter *)(uintptr_t)code};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

int filter_load_permissive(const struct filter_program *program)
{
    struct sock_filter code[FILTER_MAX];
    if (program->length > FILTER_MAX) {
        errno = E2BIG;
        return -1;
    }
    for (unsigned i = 0; i < program->length; i++) {
        code[i] = program->code[i];
        bool refuses = code[i].code == (BPF_RET | BPF_K) &&
                       (code[i].k == SECCOMP_RET_TRAP || code[i].k == (SECCOMP_RET_ERRNO | EPERM));
        if (refuses)
            code[i].k = SECCOMP_RET_LOG;
    }
    return filter_load(code, program->length, 0);
}

struct line {
    char text[192];
    size_t len;
};

static void add(struct line *l, const char *s)
{
    while (*s && l->len < sizeof l->text)
        l->text[l->len++] = *s++;
}

static void add_number(struct line *l, unsigned n)
{
    char digits[12] = {0};
    size_t at = sizeof digits - 1;
    do
        digits[--at] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    add(l, digits + at);
}

static void on_violation(int signal, siginfo_t *info, void *context)
{
    struct line l = {.len = 0};
    struct pollfd err = {.fd = STDERR_FILENO, .events = POLLOUT};
    (void)signal;
    (void)context;
    add(&l, "tw-agent[");
    add(&l, violating_role);
    if (info->si_code == SYS_SECCOMP) {
        unsigned n = (unsigned)info->si_syscall;
        add(&l, "]: sandbox violation: system call ");
        add(&l, n < syscall_names_count && syscall_names[n] ? syscall_names[n] : "without a name");
        add(&l, " (");
        add_number(&l, n);
        add(&l,
            n == SYS_tgkill ? ") is not allowed; abort(3) ends like this\n" : ") is not allowed\n");
    } else {
        add(&l, "]: ended by a SIGSYS from another process\n");
    }
    /* A reader that stopped must not keep this process alive. */
    if (poll(&err, 1, 0) == 1 && (err.revents & POLLOUT)) {
        ssize_t n = write(STDERR_FILENO, l.text, l.len);
        (void)n;
    }
    /*
     * Die of SIGSYS, so that the wait status tells. The handler was removed when it was entered
     * (SA_RESETHAND), and the kernel unblocks a signal that it forces: another call that no filter
     * with this handler allows is the end.
     */
    syscall(SYS_ptrace, -1L, 0L, 0L, 0L);
    __builtin_trap();
}

int filter_catch_violations(const char *role)
{
    struct sigaction action = {.sa_sigaction = on_violation, .sa_flags = SA_SIGINFO | SA_RESETHAND};
    violating_role = role;
    sigfillset(&action.sa_mask);
    return sigaction(SIGSYS, &action, NULL);
}
