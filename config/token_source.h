/* SPDX-License-Identifier: Apache-2.0 */
/* Where the access token comes from, and who else can read it there. Never reads a byte of it. */
#ifndef TW_CONFIG_TOKEN_SOURCE_H
#define TW_CONFIG_TOKEN_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/options.h"
#include "config/users.h"

/* Room for an access control list of 127 entries. */
#define TOKEN_ACL_MAX 1024

enum token_kind {
    TOKEN_NONE,
    TOKEN_ARGUMENT,
    TOKEN_VARIABLE,
    TOKEN_FILE,
    TOKEN_CREDENTIAL, /* $CREDENTIALS_DIRECTORY/token */
    TOKEN_FD
};

struct token_source {
    enum token_kind kind;
    int dirfd;   /* of the file's directory, O_PATH; -1: not from a file */
    char *name;  /* in it; owned */
    int fd;      /* --token-fd; -1: none */
    uid_t owner; /* of the file, once it was opened */
    gid_t group;
    mode_t mode;             /* 0: not a regular file, or not opened yet */
    char acl[TOKEN_ACL_MAX]; /* as the kernel keeps it; read the first time only */
    long acl_len;            /* 0: none; -1: longer than that */
    bool acl_read;
};

void token_source_init(struct token_source *s);

/*
 * Decides which source counts and takes hold of it (directory, or a copy of descriptor fd), before
 * other descriptors are opened; opens no file yet. 0, or an exit code after an error is logged.
 */
int token_source_find(struct token_source *s, const struct options *o, int fd);

/*
 * Opens the file without following a link, or takes the descriptor over, and judges what was
 * opened, not what had the name before: fills owner, group and mode. The descriptor is the
 * caller's. -1 with a text in *why.
 */
int token_source_open(struct token_source *s, const char **why);

/* Its name in messages. Static string that holds nothing of the source. */
const char *token_source_text(const struct token_source *s);

/* True when it was readable by others of the host at start: environment or command line. */
bool token_source_open_to_all(const struct token_source *s);

/*
 * Takes TOWER_ACCESS_TOKEN out of the environment, in place, and gives each value that is not empty
 * to take, which wipes it. False: it was not there.
 */
bool token_source_take_environment(char **environment, options_secret *take, void *context);

/* Who can read it where it comes from (after token_source_open): by owner, mode and access control
 * list. */
enum token_exposure token_source_exposure(const struct token_source *s, const struct users *u);

/* For EXPOSED_TO_GROUP, who that is, in words; out is returned. */
const char *token_source_reader(const struct token_source *s, char *out, size_t size);

/* Lets go of directory and descriptor: it cannot be read again. */
void token_source_release(struct token_source *s);

void token_source_finish(struct token_source *s);

#endif
