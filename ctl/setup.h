/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tw-agentctl setup: from nothing to a configured instance.
 *
 *   setup.c         the order: judge everything, then write
 *   setup_text.c    the configuration's text, which reads back as it was meant
 *   setup_place.c   directory and files: owner and mode from the start, replaced whole
 *   setup_host.c    what it offers to make: users, work directory
 *   setup_report.c  what was written, what is next, what is not well
 */
#ifndef TW_CTL_SETUP_H
#define TW_CTL_SETUP_H

#include "base/secret.h"
#include "config/instances.h"
#include "config/users.h"
#include "ctl/ctl.h"
#include "ctl/page.h"

#define SETUP_TEXT_MAX 262144

struct setup {
    const char *name;
    bool system_mode, yes, force, offline;
    struct options given;     /* the command line */
    struct options old;       /* the configuration that is there */
    struct options merged;    /* what is to be written */
    struct settings settings; /* of merged */
    struct users users;
    struct secret token;
    bool exists;     /* a configuration of this name */
    bool has_token;  /* a token file of this name */
    bool keep_token; /* nothing else was given */
    char directory[LIMIT_PATH + 1];
    char config[LIMIT_PATH + 1], token_file[LIMIT_PATH + 1]; /* their paths */
    char connection_id[LIMIT_CONNECTION_ID + 1];
    char text[SETUP_TEXT_MAX];
    char backup[LIMIT_PATH + 8]; /* of the configuration that was there; empty: none */
    bool json;
};

extern const struct page setup_page;

int setup_run(const struct ctl *ctl, int argc, char **argv);

/* Each an exit code of ctl.h, after an error is logged unless it is CTL_WELL. */

/* Fills connection_id, if it is empty, with a fresh UUID. */
int setup_make_id(struct setup *s);
/* Merges the command line over what is there. */
int setup_merge(struct setup *s);
/* Writes merged into text, and reads it again: the same must come out. */
int setup_compose(struct setup *s);

/* Service users that are missing: offers to make them. */
int setup_users(struct setup *s);
/* The work directory: offers to make it, as its user. */
int setup_work_dir(struct setup *s);

/* Writes both files; the configuration last, since it is what makes the instance. */
int setup_write(struct setup *s);

/* Says what was written and what is next, and judges the whole as `check` does. */
int setup_report(struct setup *s);

#endif
