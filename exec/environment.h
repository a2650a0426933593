/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of commands: composed of NUL-separated blocks, without what is not theirs. */
#ifndef TW_EXEC_ENVIRONMENT_H
#define TW_EXEC_ENVIRONMENT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

struct environment {
    char *bytes;
    char **vector; /* for execve; NULL: not composed yet */
};

/* Blocks of NUL-separated NAME=value entries; of one name, the later block's value holds. */
struct environment_parts {
    struct span defaults; /* what holds where nothing else is said */
    struct span base;     /* what the commands' user has */
    struct span agent;    /* the agent's own, of which */
    struct span pass;     /* these names are passed on (NUL-separated) */
    struct span set;      /* the site's */
    const char *work_dir; /* TW_AGENT_WORK and PWD; NULL: neither */
};

/* Replaces *e. 0, or -1 with errno (*e is unchanged then). */
int environment_compose(struct environment *e, const struct environment_parts *parts);

/* The block as it is, as a vector. 0 or -1 with errno. */
int environment_of_block(struct environment *e, struct span block);

void environment_finish(struct environment *e);

/* The value of name in a block; data NULL when it is not there. */
struct span environment_get(struct span block, const char *name);

/*
 * True for an entry that no command may have: the agent's token, a proxy address with credentials,
 * what a service manager told the agent alone.
 */
bool environment_withheld(struct span entry);

/* Appends "name=value" and a NUL. False: over the buffer's maximum. */
bool environment_append(struct buf *block, const char *name, struct span value);

/*
 * Appends the NAME=value lines of a file as a block. Blank lines, comments and lines that are no
 * assignment are skipped; one pair of quotes around a value is taken off. False: over the maximum.
 */
bool environment_append_file(struct buf *block, struct span file);

#endif
