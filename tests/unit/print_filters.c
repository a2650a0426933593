/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the filters as docs/filters.md. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/filter.h"

#define NUMBERS 512

/* What a plan's rows say of one system call. */
struct call {
    const char *name;
    bool tested;
    bool unknown; /* answered as if the kernel had no such call */
};

static unsigned collect(const struct plan *plan, struct call calls[NUMBERS])
{
    unsigned n = 0;
    memset(calls, 0, NUMBERS * sizeof *calls);
    for (const struct row_group *const *g = plan->groups; *g; g++)
        for (size_t i = 0; i < (*g)->n; i++) {
            const struct row *row = &(*g)->rows[i];
            if (row->number < 0 || row->number >= NUMBERS)
                continue;
            struct call *c = &calls[row->number];
            n += c->name == NULL;
            /* One row without tests is enough to say it of the whole call. */
            c->tested = row->tests[0].mask != 0 && (c->name == NULL || c->tested);
            c->unknown = row->answer == ENOSYS;
            c->name = row->name;
        }
    return n;
}

static int by_name(const void *a, const void *b)
{
    const struct call *x = a, *y = b;
    if (!x->name || !y->name)
        return (x->name == NULL) - (y->name == NULL);
    return strcmp(x->name, y->name);
}

static void print_plan(size_t index, const char *process)
{
    static const char *const otherwise[] = {[PLAN_TRAP] = "allowed; any other ends the process",
                                            [PLAN_ERRNO] = "allowed; any other is EPERM",
                                            [PLAN_DENY] = "denied; any other is allowed"};
    const struct plan *plan = &sandbox_plans[index];
    struct call calls[NUMBERS];
    unsigned n = collect(plan, calls), tested = 0;
    if (n != filter_programs[index].syscalls) {
        fprintf(stderr, "%s: the rows have %u calls, the filter %u\n", process, n,
                filter_programs[index].syscalls);
        exit(1);
    }
    for (size_t i = 0; i < NUMBERS; i++)
        tested += calls[i].tested;
    qsort(calls, NUMBERS, sizeof *calls, by_name);
    printf("| %s | %u | %u | %s |", process, n, tested, otherwise[plan->kind]);
    for (unsigned i = 0; i < n; i++)
        printf("%s%s%s%s", i ? ", " : " ", calls[i].name, calls[i].tested ? "*" : "",
               calls[i].unknown ? " (ENOSYS)" : "");
    printf(" |\n");
}

int main(void)
{
    static const char *const processes[PLANS] = {[SANDBOX_PARENT] = "`tw-agent`",
                                                 [SANDBOX_CORE] = "`tw-agent-core`",
                                                 [SANDBOX_EXEC] = "`tw-agent-exec` and commands",
                                                 [SANDBOX_LAUNCHER] = "`tw-agent-net`",
                                                 [SANDBOX_CONNECT] = "`tw-agent-net-connect`",
                                                 [SANDBOX_SESSION] = "`tw-agent-net-session`",
                                                 [PLAN_EXEC_NAMESPACES] =
                                                     "the same with `allow_namespaces = yes`"};
    static const size_t order[] = {SANDBOX_PARENT,      SANDBOX_CORE,     SANDBOX_SESSION,
                                   SANDBOX_CONNECT,     SANDBOX_LAUNCHER, SANDBOX_EXEC,
                                   PLAN_EXEC_NAMESPACES};
    puts("# System calls of each process\n\nMade from `sandbox/rows_*.c` by "
         "`tests/unit/print_filters.c`, for x86-64. Linux has about 380 calls there. A call\n"
         "marked `*` only with certain arguments; the rows say which, and why. The launcher's "
         "filter is inherited by the connector\nand the session, which add their own, so it "
         "allows what they do. Commands have a second filter, `sandbox/guard.c`.\n\n"
         "| process | calls | by argument | they are | which |\n"
         "| --- | --- | --- | --- | --- |");
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        print_plan(order[i], processes[order[i]]);
    return 0;
}
