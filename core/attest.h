/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent attacks itself, at start and when asked (SIGUSR2): two commands, one that looks and one
 * that is looked at, and a few sessions without a connection that try what a session must not be
 * able to do. attest.json says what came of it, with digests of the programs that run.
 */
#ifndef TW_CORE_ATTEST_H
#define TW_CORE_ATTEST_H

#include <event2/event.h>

#include "base/limits.h"
#include "ipc/channel.h"
#include "ipc/probes.h"

struct core;

#define ATTEST_ROLES    4
#define ATTEST_PROGRAMS 8
#define ATTEST_SHA256   32

/* What a trial came to. Letters as tw-agent-probe's: PROBE_DENIED, PROBE_UNTRIED, or this. */
#define TRIAL_SURVIVED 's'

struct attest_process {
    unsigned pid; /* 0: not known yet */
    unsigned landlock_abi, syscalls;
    bool landlock_scoped, seccomp;
};

struct attest_program {
    char name[65];
    char sha256[2 * ATTEST_SHA256 + 1]; /* hexadecimal; empty: not known */
};

enum attest_state {
    ATTEST_NEVER,   /* not run yet */
    ATTEST_RUNNING, /* for the first time, or again */
    ATTEST_OK,
    ATTEST_INCOMPLETE, /* nothing succeeded, something could not be tried */
    ATTEST_FAILED      /* something succeeded */
};

struct attest {
    struct attest_process processes[ATTEST_ROLES]; /* parent, core, exec, net */
    struct attest_program programs[ATTEST_PROGRAMS];
    size_t n_programs;
    struct msg_facts facts; /* what was said at start */
    bool informed;          /* facts are here */
    enum attest_state state;
    bool again; /* asked for while running */
    struct event *timer;
    uint64_t deadline_ms;
    unsigned commands;         /* of the two, still running: trials come after them */
    char answer[PROBES + 1];   /* tw-agent-probe's */
    char trials[TRIALS + 1];   /* what came of each */
    unsigned trial;            /* the one under way; TRIALS: all done */
    struct channel *session;   /* its session */
    bool asked_for, attempted; /* open_session is with the parent; trial was sent */
    bool failed_write;
};

/* 0, or -1: no memory. attest_finish undoes it. */
int attest_init(struct core *core);
void attest_finish(struct core *core);

/* Commands can run: attacks soon for the first time. */
void attest_ready(struct core *core);

/* The parent's messages. attest_opened takes *fd over. */
enum verdict attest_on_process(void *context, const struct msg_process *m, int *fd);
enum verdict attest_on_facts(void *context, const struct msg_facts *m, int *fd);
enum verdict attest_on_request(void *context, const struct msg_attest *m, int *fd);
enum verdict attest_opened(struct core *core, const struct msg_session_opened *m, int *fd);
enum verdict attest_refused(struct core *core);

/* True when the finished command is one of the two: it is dealt with. */
bool attest_finished(struct core *core, const struct msg_finished *m, int fd);

/* For status.json. Static string. */
const char *attest_state_name(enum attest_state state);

/* report.c: writes attest.json and the line in the log. */
void attest_report(struct core *core);

#endif
