/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs at build time: turns the rows into filter programs by libseccomp and prints them as C. So a
 * process that starts loads its filter with one system call, and nothing that faces the network
 * carries libseccomp.
 */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/rows.h"

#define NAMES 512 /* system call numbers in use end below */

static void fail(const char *what, const char *which, int error)
{
    fprintf(stderr, "%s %s: %s\n", what, which, strerror(error));
    exit(1);
}

static uint32_t row_action(const struct plan *plan, const struct row *row)
{
    if (row->answer)
        return SCMP_ACT_ERRNO((unsigned)row->answer);
    return plan->kind == PLAN_DENY ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW;
}

static void add_row(scmp_filter_ctx filter, const struct plan *plan, const struct row *row)
{
    struct scmp_arg_cmp tests[ROW_TESTS];
    unsigned n = 0;
    for (size_t i = 0; i < ROW_TESTS; i++)
        if (row->tests[i].mask != 0)
            tests[n++] = SCMP_CMP(row->tests[i].argument, SCMP_CMP_MASKED_EQ, row->tests[i].mask,
                                  row->tests[i].value);
    int rc = seccomp_rule_add_exact_array(filter, row_action(plan, row), row->number, n, tests);
    if (rc != 0)
        fail("row", row->name, -rc);
}

static unsigned add_rows(scmp_filter_ctx filter, const struct plan *plan)
{
    char seen[NAMES] = {0};
    unsigned count = 0;
    for (const struct row_group *const *g = plan->groups; *g; g++)
        for (size_t i = 0; i < (*g)->n; i++) {
            const struct row *row = &(*g)->rows[i];
            if (row->number < 0)
                continue;
            if (row->number >= NAMES)
                fail("number of", row->name, ERANGE);
            add_row(filter, plan, row);
            count += !seen[row->number];
            seen[row->number] = 1;
        }
    return count;
}

static unsigned print_program(size_t index, unsigned *length)
{
    static const uint32_t otherwise[] = {[PLAN_TRAP] = SCMP_ACT_TRAP,
                                         [PLAN_ERRNO] = SCMP_ACT_ERRNO(EPERM),
                                         [PLAN_DENY] = SCMP_ACT_ALLOW};
    const struct plan *plan = &sandbox_plans[index];
    struct sock_filter one;
    FILE *file = tmpfile();
    scmp_filter_ctx filter = seccomp_init(otherwise[plan->kind]);
    if (!file || !filter)
        fail("filter", plan->name, ENOMEM);
    /* Entries of other architectures (int 0x80, x32) have other numbers: none of them is understood
     * here. */
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    /* A binary tree instead of a chain. */
    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc != 0)
        fail("filter", plan->name, -rc);
    unsigned count = add_rows(filter, plan);
    if ((rc = seccomp_export_bpf(filter, fileno(file))) != 0)
        fail("filter", plan->name, -rc);
    seccomp_release(filter);
    rewind(file);
    printf("static const struct sock_filter program_%zu[] = {\n", index);
    for (*length = 0; fread(&one, sizeof one, 1, file) == 1; ++*length)
        printf("{0x%02x, %u, %u, 0x%08xU},\n", (unsigned)one.code, (unsigned)one.jt,
               (unsigned)one.jf, one.k);
    printf("};\n\n");
    fclose(file);
    return count;
}

static void print_names(void)
{
    printf("const char *const syscall_names[] = {\n");
    for (int i = 0; i < NAMES; i++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
        if (name)
            printf("[%d] = \"%s\",\n", i, name);
        free(name);
    }
    printf(
        "};\nconst size_t syscall_names_count = sizeof syscall_names / sizeof *syscall_names;\n");
}

int main(void)
{
    unsigned count[PLANS], length[PLANS];
    printf("/* Written by sandbox/generate.c from sandbox/rows_*.c. */\n#include "
           "\"sandbox/filter.h\"\n\n");
    for (size_t i = 0; i < PLANS; i++)
        count[i] = print_program(i, &length[i]);
    printf("const struct filter_program filter_programs[PLANS] = {\n");
    for (size_t i = 0; i < PLANS; i++)
        printf("{program_%zu, %u, %u, \"%s\", %s},\n", i, length[i], count[i],
               sandbox_plans[i].name, sandbox_plans[i].kind == PLAN_TRAP ? "true" : "false");
    printf("};\n\n");
    print_names();
    return fflush(stdout) == 0 ? 0 : 1;
}
