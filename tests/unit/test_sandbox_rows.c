/* SPDX-License-Identifier: Apache-2.0 */
/* The tables themselves: reasons, duplicates, names, and that no child needs what its launcher
 * lacks. */
#include <errno.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#include "sandbox/filter.h"
#include "sandbox/rows.h"

#define REASON_MIN 6

typedef void row_check(const struct plan *plan, const struct row *row);

static void each_row(row_check *check)
{
    for (size_t p = 0; p < PLANS; p++)
        for (const struct row_group *const *g = sandbox_plans[p].groups; *g; g++)
            for (size_t i = 0; i < (*g)->n; i++)
                check(&sandbox_plans[p], &(*g)->rows[i]);
}

static void check_reason(const struct plan *plan, const struct row *row)
{
    if (!row->reason || strlen(row->reason) < REASON_MIN)
        fail_msg("%s: %s has no reason", plan->name, row->name);
}

static void every_row_has_a_reason(void **state)
{
    (void)state;
    each_row(check_reason);
}

static void check_name(const struct plan *plan, const struct row *row)
{
    int number = seccomp_syscall_resolve_name(row->name);
    if (number == __NR_SCMP_ERROR || (row->number >= 0 && number != row->number))
        fail_msg("%s: %s is %d, not %d", plan->name, row->name, number, row->number);
    if (row->number >= 0 && strcmp(syscall_names[row->number], row->name) != 0)
        fail_msg("%s: %s is called %s", plan->name, row->name, syscall_names[row->number]);
}

static void names_and_numbers_agree(void **state)
{
    (void)state;
    each_row(check_name);
}

static void check_tests(const struct plan *plan, const struct row *row)
{
    for (size_t i = 0; i < ROW_TESTS; i++) {
        const struct row_test *t = &row->tests[i];
        if (t->argument > 5 || (t->value & ~t->mask) != 0)
            fail_msg("%s: the test of %s can never hold", plan->name, row->name);
    }
}

static void tests_can_hold(void **state)
{
    (void)state;
    each_row(check_tests);
}

static bool same_tests(const struct row *a, const struct row *b)
{
    return memcmp(a->tests, b->tests, sizeof a->tests) == 0;
}

/* Two rows for one call are alternatives: an unconditional one would make the other meaningless. */
static void check_pair(const struct plan *plan, const struct row *a, const struct row *b)
{
    bool a_always = a->tests[0].mask == 0, b_always = b->tests[0].mask == 0;
    if (a == b || a->number < 0 || a->number != b->number)
        return;
    if (a_always || b_always || same_tests(a, b))
        fail_msg("%s: two rows for %s", plan->name, a->name);
}

static void check_duplicates(const struct plan *plan, const struct row *row)
{
    for (const struct row_group *const *g = plan->groups; *g; g++)
        for (size_t i = 0; i < (*g)->n; i++)
            check_pair(plan, row, &(*g)->rows[i]);
}

static void no_row_twice(void **state)
{
    (void)state;
    each_row(check_duplicates);
}

/* Arguments that a row accepts, all other bits set or clear. */
static void arguments_for(const struct row *row, uint64_t rest, uint64_t arguments[6])
{
    for (int i = 0; i < 6; i++)
        arguments[i] = rest;
    for (size_t i = 0; i < ROW_TESTS; i++) {
        const struct row_test *t = &row->tests[i];
        if (t->mask != 0)
            arguments[t->argument] = (arguments[t->argument] & ~(uint64_t)t->mask) | t->value;
    }
}

static void check_inherited(enum sandbox_role child)
{
    const struct plan *launcher = &sandbox_plans[SANDBOX_LAUNCHER];
    for (const struct row_group *const *g = sandbox_plans[child].groups; *g; g++)
        for (size_t i = 0; i < (*g)->n; i++) {
            const struct row *row = &(*g)->rows[i];
            uint64_t a[6];
            arguments_for(row, 0, a);
            if (row->number < 0 || row->answer != 0 || *g == &rows_sanitizer)
                continue;
            if (plan_answer(launcher, row->number, a) != 0)
                fail_msg("the launcher denies %s, which %s needs", row->name,
                         sandbox_plans[child].name);
        }
}

static void launcher_allows_what_its_children_need(void **state)
{
    (void)state;
    check_inherited(SANDBOX_CONNECT);
    check_inherited(SANDBOX_SESSION);
}

/* To an address that comes with the call: who resolves names needs it (getaddrinfo's question to
 * netlink, NIS), nobody else. */
static void only_resolvers_send_to_addresses(void **state)
{
    static const uint64_t to_netlink[6] = {3, 1, 20, 0, 1, 12}, connected[6] = {3, 1, 20};
    int number = seccomp_syscall_resolve_name("sendto");
    (void)state;
    for (int role = 0; role < PLANS; role++) {
        bool resolves = role == SANDBOX_CONNECT || role == SANDBOX_LAUNCHER;
        if (sandbox_plans[role].kind == PLAN_DENY)
            continue;
        assert_int_equal(plan_answer(&sandbox_plans[role], number, connected), 0);
        assert_int_equal(plan_answer(&sandbox_plans[role], number, to_netlink) == 0, resolves);
    }
}

static void never_allowed(const struct plan *plan, const char *name)
{
    static const uint64_t zero[6] = {0};
    uint64_t ones[6];
    memset(ones, 0xff, sizeof ones);
    int number = seccomp_syscall_resolve_name(name);
    if (number < 0)
        return;
    if (plan_answer(plan, number, zero) == 0 || plan_answer(plan, number, ones) == 0)
        fail_msg("%s allows %s", plan->name, name);
}

/* What each role is defined by not having. */
static void roles_lack_what_defines_them(void **state)
{
    static const char *const nobody[] = {"ptrace",         "process_vm_readv",
                                         "pidfd_getfd",    "bpf",
                                         "io_uring_setup", "mount",
                                         "setns",          "unshare",
                                         "keyctl",         "personality",
                                         "clone3",         "open_by_handle_at",
                                         "userfaultfd",    "perf_event_open",
                                         "listen",         "accept",
                                         "accept4",        "mknod",
                                         "mknodat",        "linkat",
                                         "symlinkat",      "chmod",
                                         "setuid"};
    static const char *const agents[] = {
        "execve",    "execveat", "fork",    "vfork",  "clone",        "socket",   "connect",
        "bind",      "kill",     "tkill",   "tgkill", "rt_sigaction", "mprotect", "prlimit64",
        "setrlimit", "prctl",    "seccomp", "open",   "openat2",      "creat"};
    static const enum sandbox_role trapped[] = {SANDBOX_PARENT, SANDBOX_CORE, SANDBOX_SESSION};
    (void)state;
    for (size_t p = 0; p < SANDBOX_ROLES; p++)
        for (size_t i = 0; p != SANDBOX_EXEC && i < sizeof nobody / sizeof *nobody; i++)
            never_allowed(&sandbox_plans[p], nobody[i]);
    for (size_t p = 0; p < sizeof trapped / sizeof *trapped; p++)
        for (size_t i = 0; i < sizeof agents / sizeof *agents; i++)
            never_allowed(&sandbox_plans[trapped[p]], agents[i]);
    never_allowed(&sandbox_plans[SANDBOX_SESSION], "openat");
    never_allowed(&sandbox_plans[SANDBOX_SESSION], "socketpair");
    never_allowed(&sandbox_plans[SANDBOX_CORE], "socketpair");
    never_allowed(&sandbox_plans[SANDBOX_PARENT], "memfd_create");
    never_allowed(&sandbox_plans[SANDBOX_CONNECT], "execve");
    never_allowed(&sandbox_plans[SANDBOX_CONNECT], "fork");
}

static void programs_are_there(void **state)
{
    (void)state;
    for (size_t p = 0; p < PLANS; p++) {
        assert_true(filter_programs[p].length > 10);
        assert_true(filter_programs[p].syscalls > 10);
        print_message("%-12s %3u system calls, %3u instructions\n", sandbox_plans[p].name,
                      filter_programs[p].syscalls, filter_programs[p].length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_a_reason),
        cmocka_unit_test(names_and_numbers_agree),
        cmocka_unit_test(tests_can_hold),
        cmocka_unit_test(no_row_twice),
        cmocka_unit_test(launcher_allows_what_its_children_need),
        cmocka_unit_test(only_resolvers_send_to_addresses),
        cmocka_unit_test(roles_lack_what_defines_them),
        cmocka_unit_test(programs_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
