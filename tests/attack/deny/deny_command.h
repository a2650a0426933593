/* SPDX-License-Identifier: Apache-2.0 */
/* What a command may try against exec: one attempt is one function. */
#ifndef TW_TESTS_DENY_COMMAND_H
#define TW_TESTS_DENY_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>

#include "sandbox/sandbox.h"

/* Of programs that commands start. */
enum gain {
    GAIN_NOTHING,
    GAIN_POSSIBLE, /* one domain for all, entered by root, who then became a user */
    GAIN_ROOT      /* the same, and the attacker has become root by such a program */
};

/* Shared by all processes of one scene. */
struct scene {
    pid_t agent;    /* outside exec's sandbox */
    pid_t exec;     /* in exec's sandbox, no command */
    pid_t sibling;  /* another command */
    int ruleset;    /* of commands; -1: commands get no domain */
    bool sandboxed; /* exec has its sandbox */
    enum sandbox_isolation isolation;
    enum gain gain;
};

/* 0: it succeeded; -errno. */
typedef long attempt(const struct scene *s);

/* deny_ways.c: signals and scheduling by the calls that few programs know. */
attempt tkill_exec, queue_to_thread_of_exec, param_exec, attr_exec, disk_priority_exec,
    disk_priority_user, move_pages_of_exec, migrate_pages_of_exec;

#endif
