/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows make up which filter. */
#include "sandbox/rows.h"

#include <errno.h>

static const struct row_group *const parent[] = {
    &rows_loop, &rows_send, &rows_memory, &rows_basic, &rows_parent, &rows_sanitizer, NULL};
static const struct row_group *const core[] = {
    &rows_loop, &rows_send, &rows_memory, &rows_basic, &rows_core, &rows_sanitizer, NULL};
static const struct row_group *const session[] = {
    &rows_loop, &rows_send, &rows_memory, &rows_basic, &rows_session, &rows_sanitizer, NULL};
static const struct row_group *const connect_groups[] = {
    &rows_loop, &rows_network_memory, &rows_basic, &rows_network, &rows_connect, NULL};
static const struct row_group *const launcher[] = {&rows_loop,    &rows_network_memory, &rows_basic,
                                                   &rows_network, &rows_launcher,       NULL};
static const struct row_group *const exec_groups[] = {&rows_exec, &rows_exec_namespaces, NULL};
static const struct row_group *const exec_with_namespaces[] = {&rows_exec, NULL};

const struct plan sandbox_plans[PLANS] = {
    [SANDBOX_PARENT] = {"parent", PLAN_TRAP, parent},
    [SANDBOX_CORE] = {"core", PLAN_TRAP, core},
    [SANDBOX_EXEC] = {"exec", PLAN_DENY, exec_groups},
    [SANDBOX_LAUNCHER] = {"net", PLAN_ERRNO, launcher},
    [SANDBOX_CONNECT] = {"net-connect", PLAN_ERRNO, connect_groups},
    [SANDBOX_SESSION] = {"net-session", PLAN_TRAP, session},
    [PLAN_EXEC_NAMESPACES] = {"exec", PLAN_DENY, exec_with_namespaces},
};

static bool matches(const struct row *row, const uint64_t arguments[6])
{
    for (size_t i = 0; i < ROW_TESTS; i++) {
        const struct row_test *t = &row->tests[i];
        if (((uint32_t)arguments[t->argument] & t->mask) != t->value)
            return false;
    }
    return true;
}

int plan_answer(const struct plan *plan, int number, const uint64_t arguments[6])
{
    static const int otherwise[] = {
        [PLAN_TRAP] = SANDBOX_TRAPPED, [PLAN_ERRNO] = EPERM, [PLAN_DENY] = 0};
    for (const struct row_group *const *g = plan->groups; *g; g++)
        for (size_t i = 0; i < (*g)->n; i++) {
            const struct row *row = &(*g)->rows[i];
            if (row->number == number && matches(row, arguments))
                return row->answer ? row->answer : plan->kind == PLAN_DENY ? EPERM : 0;
        }
    return otherwise[plan->kind];
}
