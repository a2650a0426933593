/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deny_role ROLE: every system call number there is, and every test of an argument, against the
 * tables; the dangerous ones against a run without filter first, so that an answer of the kernel is
 * not taken for the filter's.
 */
#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/filter.h"
#include "tests/attack/deny/probe.h"

#define CALLS 470 /* a few more than Linux has */
#if defined(__x86_64__)
#define CALL_URETPROBE 335 /* Linux 6.11 */
#define CALL_UPROBE    336 /* Linux 6.18 */
#else
#define CALL_URETPROBE (-1)
#define CALL_UPROBE    (-1)
#endif

struct subject {
    enum sandbox_role role;
    const struct plan *plan;
};

static const char *call_name(long number)
{
    static char text[24];
    if ((size_t)number < syscall_names_count && syscall_names[number])
        return syscall_names[number];
    snprintf(text, sizeof text, "call %ld", number);
    return text;
}

/* Did the child's call meet the answer that the tables promise? */
static void judge(struct tally *t, const struct subject *s, long number, const uint64_t a[6])
{
    char text[64];
    int promised = plan_answer(s->plan, (int)number, a);
    struct outcome o = probe_syscall(s->role, number, a);
    bool ok;
    if (promised == SANDBOX_TRAPPED)
        ok = outcome_trapped(&o);
    else if (promised != 0)
        ok = outcome_is(&o, promised);
    else if (s->plan->kind == PLAN_TRAP)
        ok = o.signal != SIGSYS;
    else
        ok = o.signal != SIGSYS && !outcome_is(&o, EPERM);
    /* An allowed call may get EPERM from the kernel itself. */
    if (!ok && promised == 0 && outcome_is(&o, EPERM)) {
        struct outcome bare = probe_syscall(NO_ROLE, number, a);
        ok = outcome_is(&bare, EPERM);
    }
    outcome_print(text, sizeof text, &o);
    if (ok)
        tally_good(t);
    else
        tally_bad(t, "%s: %s, promised %d", call_name(number), text, promised);
}

/* Every number, with bad arguments: denied ones never reach the kernel, allowed ones do no harm. */
static int sweep(const struct subject *s)
{
    struct tally t = {.what = "every system call"};
    if (s->plan->kind == PLAN_DENY)
        return 0; /* would run everything else for real */
    for (long n = 0; n < CALLS; n++) {
        uint64_t a[6];
        if (n == CALL_URETPROBE || n == CALL_UPROBE) {
            tally_skip(&t,
                       "call %ld: a tracer's trampoline, which the kernel hides from filters; "
                       "anything else that makes it is refused",
                       n);
            continue;
        }
        probe_bad_arguments(n, a);
        judge(&t, s, n, a);
    }
    return tally_end(&t);
}

static void arguments_for(const struct row *row, uint64_t a[6])
{
    probe_bad_arguments(row->number, a);
    for (size_t i = 0; i < ROW_TESTS; i++) {
        const struct row_test *t = &row->tests[i];
        if (t->mask != 0)
            a[t->argument] = (a[t->argument] & ~(uint64_t)t->mask) | t->value;
    }
}

/*
 * Each row with arguments that it accepts; then, for rows with tests, each tested bit turned, and
 * the upper half of the argument set to zero (a comparison of 64 bits would show).
 */
static int each_row(const struct subject *s)
{
    struct tally t = {.what = "every row, every tested bit"};
    for (const struct row_group *const *g = s->plan->groups; *g; g++)
        for (size_t i = 0; i < (*g)->n; i++) {
            const struct row *row = &(*g)->rows[i];
            uint64_t a[6];
            if (row->number < 0)
                continue;
            arguments_for(row, a);
            judge(&t, s, row->number, a);
            for (size_t k = 0; k < ROW_TESTS && row->tests[k].mask != 0; k++) {
                const struct row_test *test = &row->tests[k];
                uint64_t kept = a[test->argument];
                a[test->argument] = (uint32_t)kept;
                judge(&t, s, row->number, a);
                for (uint64_t bit = 1; bit <= test->mask; bit <<= 1) {
                    a[test->argument] = kept ^ bit;
                    if (test->mask & bit)
                        judge(&t, s, row->number, a);
                }
                a[test->argument] = kept;
            }
        }
    return tally_end(&t);
}

static void baseline(struct tally *t, const struct subject *s, const char *name, long number,
                     const uint64_t a[6])
{
    char text[64];
    int promised = plan_answer(s->plan, (int)number, a);
    struct outcome bare = probe_syscall(NO_ROLE, number, a);
    outcome_print(text, sizeof text, &bare);
    if (promised == 0) {
        tally_bad(t, "%s is allowed", name);
    } else if (promised == SANDBOX_TRAPPED ? outcome_trapped(&bare) : outcome_is(&bare, promised)) {
        tally_skip(t, "%s: without a sandbox it says %s as well", name, text);
    } else {
        judge(t, s, number, a);
    }
}

static const char *const dangerous[] = {"ptrace",
                                        "process_vm_readv",
                                        "process_vm_writev",
                                        "pidfd_getfd",
                                        "kcmp",
                                        "execve",
                                        "execveat",
                                        "fork",
                                        "vfork",
                                        "clone3",
                                        "listen",
                                        "accept",
                                        "accept4",
                                        "open",
                                        "creat",
                                        "openat2",
                                        "open_by_handle_at",
                                        "unlink",
                                        "rename",
                                        "link",
                                        "linkat",
                                        "symlink",
                                        "symlinkat",
                                        "mkdir",
                                        "mknod",
                                        "mknodat",
                                        "chmod",
                                        "fchmodat",
                                        "chown",
                                        "truncate",
                                        "mount",
                                        "umount2",
                                        "pivot_root",
                                        "chroot",
                                        "setns",
                                        "unshare",
                                        "keyctl",
                                        "add_key",
                                        "bpf",
                                        "perf_event_open",
                                        "userfaultfd",
                                        "io_uring_setup",
                                        "io_uring_enter",
                                        "init_module",
                                        "finit_module",
                                        "kexec_load",
                                        "reboot",
                                        "swapon",
                                        "acct",
                                        "quotactl",
                                        "settimeofday",
                                        "clock_settime",
                                        "adjtimex",
                                        "sethostname",
                                        "syslog",
                                        "iopl",
                                        "ioperm",
                                        "modify_ldt",
                                        "personality",
                                        "setuid",
                                        "setresuid",
                                        "setgroups",
                                        "capset",
                                        "kill",
                                        "tkill",
                                        "tgkill",
                                        "rt_sigqueueinfo",
                                        "pidfd_open",
                                        "pidfd_send_signal",
                                        "prlimit64",
                                        "setpriority",
                                        "sched_setscheduler",
                                        "sched_setaffinity",
                                        "ioprio_set",
                                        "socket",
                                        "connect",
                                        "bind",
                                        "rt_sigaction",
                                        "mprotect",
                                        "pkey_mprotect",
                                        "prctl",
                                        "seccomp",
                                        "memfd_create",
                                        "memfd_secret",
                                        "openat",
                                        "socketpair",
                                        "clone",
                                        "sendmmsg",
                                        "inotify_init1",
                                        "timerfd_create",
                                        "shmget",
                                        "semget",
                                        "mq_open"};
#define N_DANGEROUS (sizeof dangerous / sizeof *dangerous)

/* Each row of the deny-list, or each dangerous call that an allow-list leaves out. */
static int against_baseline(const struct subject *s)
{
    struct tally t = {.what = "denied, and not so without a sandbox"};
    if (s->plan->kind == PLAN_DENY) {
        for (const struct row_group *const *g = s->plan->groups; *g; g++)
            for (size_t i = 0; i < (*g)->n; i++) {
                const struct row *row = &(*g)->rows[i];
                uint64_t a[6];
                if (row->number < 0)
                    continue;
                arguments_for(row, a);
                baseline(&t, s, row->name, row->number, a);
            }
        return tally_end(&t);
    }
    for (size_t i = 0; i < N_DANGEROUS; i++) {
        int number = seccomp_syscall_resolve_name(dangerous[i]);
        uint64_t a[6];
        if (number < 0)
            continue;
        probe_bad_arguments(number, a);
        if (plan_answer(s->plan, number, a) != 0)
            baseline(&t, s, dangerous[i], number, a);
    }
    return tally_end(&t);
}

#if defined(__x86_64__)
static long by_interrupt(const void *argument)
{
    long result;
    (void)argument;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(20L) /* getpid of i386 */
                     : "memory", "r8", "r9", "r10", "r11");
    return result;
}

static long by_x32(const void *argument)
{
    long result = syscall(0x40000000L | SYS_getpid);
    (void)argument;
    return result < 0 ? -errno : result;
}
#endif

/* System calls of another architecture have other numbers, so each of them ends the process. */
static int other_entries(const struct subject *s)
{
    struct tally t = {.what = "entries of other architectures"};
#if defined(__x86_64__)
    static const struct {
        const char *name;
        probe_call *call;
    } entries[] = {{"int 0x80", by_interrupt}, {"x32", by_x32}};
    for (size_t i = 0; i < 2; i++) {
        struct outcome bare = probe_run(NO_ROLE, NULL, entries[i].call, NULL);
        struct outcome inside = probe_run(s->role, NULL, entries[i].call, NULL);
        if (bare.signal)
            tally_skip(&t, "%s: the kernel has none (signal %d)", entries[i].name, bare.signal);
        else if (outcome_trapped(&inside))
            tally_good(&t);
        else
            tally_bad(&t, "%s: signal %d, %ld", entries[i].name, inside.signal, inside.result);
    }
    return tally_end(&t);
#else
    tally_skip(&t, "x86-64 alone has them");
    (void)s;
    return 0;
#endif
}

static int all(void *argument)
{
    const struct subject *s = argument;
    int bad = 0;
    /* Thousands of denials would print a line each. */
    bad += sweep(s) + each_row(s) + against_baseline(s) + other_entries(s);
    return bad ? 1 : 0;
}

int main(int argc, char **argv)
{
    static const char *const names[SANDBOX_ROLES] = {
        [SANDBOX_PARENT] = "parent",   [SANDBOX_CORE] = "core",
        [SANDBOX_EXEC] = "exec",       [SANDBOX_LAUNCHER] = "launcher",
        [SANDBOX_CONNECT] = "connect", [SANDBOX_SESSION] = "session"};
    for (unsigned r = 0; argc == 2 && r < SANDBOX_ROLES; r++)
        if (strcmp(argv[1], names[r]) == 0) {
            struct subject s = {.role = r, .plan = &sandbox_plans[r]};
            if (!freopen("/dev/null", "w", stderr))
                return 1;
            return as_each_user(all, &s);
        }
    printf("usage: deny_role parent|core|exec|launcher|connect|session\n");
    return 2;
}
