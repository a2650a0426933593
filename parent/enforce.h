/* SPDX-License-Identifier: Apache-2.0 */
/* What this kernel and mode can enforce, against what the site demands. */
#ifndef TW_PARENT_ENFORCE_H
#define TW_PARENT_ENFORCE_H

#include <stdbool.h>

struct requirements {
    unsigned landlock; /* least ABI; 0: not demanded */
    bool seccomp;
    bool split_uid;
    bool secret_memory;
    bool token_unreachable;
    bool member_isolation;
};

struct facts {
    unsigned landlock_abi;
    bool seccomp;
    bool split_uid;          /* commands run as another user than the agent */
    bool secret_memory;      /* memfd_secret(2) */
    bool locked_memory;      /* at least not swapped */
    bool token_given_openly; /* by environment or command line */
    bool token_reachable;    /* the commands' user can read where it came from */
    bool isolate_full;
    const char *user; /* of commands */
};

/* --require. False: an unknown name. */
bool requirements_parse(struct requirements *r, const char *text);

/* Logs one line for each demand that is not met. True: none. */
bool requirements_met(const struct requirements *r, const struct facts *f);

/* Logs one line for each thing that is not enforced. */
void facts_warn(const struct facts *f);

#endif
