/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guarantees, as one table: what each says, whose promise it belongs to (SECURITY.md), the word
 * of --require that demands it, and how it follows from facts. The warnings at start, --require,
 * `tw-agentctl check` and the table in SECURITY.md come from it.
 */
#ifndef TW_SANDBOX_GUARANTEES_H
#define TW_SANDBOX_GUARANTEES_H

#include <stdbool.h>
#include <stddef.h>

/* Who can read the access token where it comes from, beside root and the agent's own users. */
enum token_exposure {
    EXPOSED_TO_NOBODY,
    EXPOSED_TO_GROUP,    /* a further group, but not the commands' user */
    EXPOSED_TO_ALL,      /* every user, so the commands' user too */
    EXPOSED_TO_COMMANDS, /* the commands' user, as owner or by a group */
    EXPOSED_AT_START,    /* environment or command line: readable until it was wiped */
    EXPOSED_UNKNOWN      /* no usable source is named */
};

struct facts {
    unsigned landlock_abi; /* 0: none */
    bool seccomp;
    bool memfd_secret;  /* the kernel offers it */
    bool secret_memory; /* the token's pages are from it: RLIMIT_MEMLOCK counts too */
    bool locked_memory; /* at least not swapped */
    bool split_uid;     /* commands run as another user than the agent */
    enum token_exposure token;
    const char *token_reader; /* for EXPOSED_TO_GROUP: "group 'x'" */
    bool isolate_full;
    bool setuid_helpers;   /* commands may gain privileges: one domain for all of them, or none */
    bool allow_namespaces; /* commands may make user namespaces */
    bool sandbox_log;      /* the agent's own filters log and let pass; those of commands do not */
    const char *user;      /* of commands */
};

/* What keeps one command from another. */
enum commands_are {
    COMMANDS_SEPARATE, /* each in a Landlock domain of its own */
    COMMANDS_SHARED,   /* under the filters, but not kept apart */
    COMMANDS_OPEN      /* in no sandbox at all */
};

enum commands_are facts_commands(const struct facts *f);

enum holds { HOLDS_FULL, HOLDS_PARTLY, HOLDS_NOT };

struct judgement {
    enum holds holds;
    char lost[400];   /* what is lost, in one line; empty when nothing is */
    char remedy[240]; /* what to do about it; may be empty */
};

enum guarantee_id {
    GUARANTEE_SYSTEM_CALLS,
    GUARANTEE_PRIVILEGES,
    GUARANTEE_NAMESPACES,
    GUARANTEE_FILES,
    GUARANTEE_PORTS,
    GUARANTEE_SIGNALS,
    GUARANTEE_MEMBERS,
    GUARANTEE_SOCKETS,
    GUARANTEE_RENAMES,
    GUARANTEE_SPLIT_UID,
    GUARANTEE_SECRET_MEMORY,
    GUARANTEE_TOKEN,
    GUARANTEES_MAX
};

struct guarantee {
    const char *name;    /* lower case, with dashes */
    const char *promise; /* "P1" … */
    const char *word;    /* of --require; NULL: cannot be demanded */
    bool necessary;      /* `check` fails when it does not hold at all */
    const char *what;    /* what holds, in one line */
    void (*judge)(const struct facts *f, struct judgement *j);
};

extern const struct guarantee guarantees[GUARANTEES_MAX];

/* Judges one row. */
void guarantee_judge(enum guarantee_id id, const struct facts *f, struct judgement *j);

/* "ok", "partly", "no". */
const char *holds_name(enum holds holds);

#endif
