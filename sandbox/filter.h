/* SPDX-License-Identifier: Apache-2.0 */
/* The prebuilt filters and their loading. */
#ifndef TW_SANDBOX_FILTER_H
#define TW_SANDBOX_FILTER_H

#include <linux/filter.h>
#include <stddef.h>

#include "sandbox/rows.h"

struct filter_program {
    const struct sock_filter *code;
    unsigned short length;
    unsigned syscalls; /* different system calls that have a row */
    const char *role;  /* as it appears in logs */
    bool traps;        /* a denied call is a SIGSYS, not an errno */
};

/* Written by generate.c: index is a plan's. */
extern const struct filter_program filter_programs[PLANS];

/* Written by generate.c: NULL where libseccomp knows no name. */
extern const char *const syscall_names[];
extern const size_t syscall_names_count;

/* Loads a program for good. 0, or -1 with errno. */
int filter_load(const struct sock_filter *code, unsigned short length, unsigned flags);

/* The same for a prebuilt one, whose refusals become records in the kernel's log: the calls are let
 * pass. */
int filter_load_permissive(const struct filter_program *program);

/* Makes a trapped call print its line and end the process. 0, or -1 with errno. */
int filter_catch_violations(const char *role);

/*
 * Exec's second filter: calls that name another process. Exec, its parent, their process groups and
 * access->guard_pids are out of the reach of commands. Returns the program's length, or -1 with
 * errno.
 */
int guard_load(const struct sandbox_access *access, int landlock_abi);

#endif
