/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filters as tables: one row per system call, or per permitted form of one, each with its
 * reason. The build turns them into programs (generate.c), so nothing is computed when a process
 * starts.
 */
#ifndef TW_SANDBOX_ROWS_H
#define TW_SANDBOX_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sandbox/sandbox.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANDBOX_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANDBOX_SANITIZER 1
#endif
#endif
#ifndef SANDBOX_SANITIZER
#define SANDBOX_SANITIZER 0
#endif

/*
 * (argument & mask) == value, in the low 32 bits alone: libseccomp before 2.6.1 merges comparisons
 * of 64 bits wrongly (GHSA-4q85-33p6-j5g6), and what is compared here are ints and flags to the
 * kernel. mask 0: no test.
 */
struct row_test {
    unsigned argument;
    uint32_t mask;
    uint32_t value;
};

#define ROW_TESTS 2 /* joined by AND; several rows for one call are joined by OR */

struct row {
    int number; /* negative: not a system call of this architecture */
    const char *name;
    struct row_test tests[ROW_TESTS];
    int answer; /* errno; 0: as the plan says */
    const char *reason;
};

struct row_group {
    const char *name;
    const struct row *rows;
    size_t n;
};

enum plan_kind {
    PLAN_TRAP,  /* rows are allowed, anything else ends the process */
    PLAN_ERRNO, /* rows are allowed, anything else is EPERM */
    PLAN_DENY   /* rows are EPERM, anything else is allowed */
};

/* One filter. The first SANDBOX_ROLES plans are those of the roles. */
struct plan {
    const char *name;
    enum plan_kind kind;
    const struct row_group *const *groups; /* NULL-terminated */
};

#define PLAN_EXEC_NAMESPACES SANDBOX_ROLES
#define PLANS                (SANDBOX_ROLES + 1)

extern const struct plan sandbox_plans[PLANS];

extern const struct row_group rows_loop, rows_send, rows_memory, rows_basic, rows_parent, rows_core,
    rows_session;
extern const struct row_group rows_network, rows_network_memory, rows_connect, rows_launcher;
extern const struct row_group rows_exec, rows_exec_namespaces;
extern const struct row_group rows_sanitizer; /* empty unless SANDBOX_SANITIZER */

/* ROW(call, reason), ROW_IF(call, tests in parentheses, reason). A row without a reason does not
 * compile. */
#define ROW(call, why)                                                                             \
    {                                                                                              \
        __SNR_##call, #call, {{0, 0, 0}}, 0, "" why                                                \
    }
#define ROW_IF(call, t, why)                                                                       \
    {                                                                                              \
        __SNR_##call, #call, {ROW_STRIP t}, 0, "" why                                              \
    }
#define ROW_ANSWER(call, e, why)                                                                   \
    {                                                                                              \
        __SNR_##call, #call, {{0, 0, 0}}, (e), "" why                                              \
    }
#define ROW_STRIP(...) __VA_ARGS__
#define IS(arg, v)                                                                                 \
    {                                                                                              \
        (arg), UINT32_MAX, (uint32_t)(v)                                                           \
    }
#define BITS(arg, m, v)                                                                            \
    {                                                                                              \
        (arg), (uint32_t)(m), (uint32_t)(v)                                                        \
    }
#define ROW_GROUP(id, array)                                                                       \
    const struct row_group id = {#id, (array), sizeof(array) / sizeof *(array)}

/* How the plan answers such a call: 0 allowed, SANDBOX_TRAPPED, or an errno. For tests: the tables'
 * own meaning. */
#define SANDBOX_TRAPPED (-1)
int plan_answer(const struct plan *plan, int number, const uint64_t arguments[6]);

#endif
