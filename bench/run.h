/* SPDX-License-Identifier: Apache-2.0 */
/* The least that running a command takes: posix_spawn of sh -c, a pipe, a wait. */
#ifndef TW_BENCH_RUN_H
#define TW_BENCH_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct run {
    pid_t pid; /* 0: unused */
    int pipe;
    int64_t begun; /* ns */
    char *output;  /* its buffer stays for the next command */
    size_t len, size;
};

void run_start(struct run *r, const char *text);

/* One read of what there is, kept if `keep`. True at its end. */
bool run_read(struct run *r, bool keep);

/* Waits for the shell; its exit status, 128 + n for signal n. */
int run_finish(struct run *r);

#endif
