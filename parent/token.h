/* SPDX-License-Identifier: Apache-2.0 */
/* The owner's access token: taken from its source, judged, kept in a secret page, read again. */
#ifndef TW_PARENT_TOKEN_H
#define TW_PARENT_TOKEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/secret.h"
#include "base/span.h"
#include "parent/search.h"

struct options;

enum token_source {
    TOKEN_NONE,
    TOKEN_ARGUMENT,
    TOKEN_VARIABLE,
    TOKEN_FILE,
    TOKEN_CREDENTIAL, /* $CREDENTIALS_DIRECTORY/token */
    TOKEN_FD
};

/* What reading again came to; the values of token_alarm. */
enum token_outcome { TOKEN_UNCHANGED, TOKEN_REPLACED, TOKEN_KEPT, TOKEN_NOT_READABLE_AGAIN };

struct token {
    struct secret pages[2]; /* one in use, one for the next token */
    unsigned used;
    struct search search;
    enum token_source source;
    int dirfd;   /* of the file's directory, O_PATH; -1: not from a file */
    char *name;  /* in it */
    int fd;      /* --token-fd; -1: none */
    uid_t owner; /* of the file that it came from */
    gid_t group;
    mode_t mode; /* 0: not from a regular file */
};

/* 0 or -1 with errno. */
int token_init(struct token *t);

/* First thing in main: takes TOWER_ACCESS_TOKEN out of the environment, in place. False: it was
 * not there. */
bool token_take_environment(struct token *t, char **environment);

/* Takes a value of the command line and wipes it there. */
void token_take_argument(struct token *t, char *value);

/*
 * Decides which source counts and takes hold of it (directory, or descriptor fd), before other
 * descriptors are opened; reads nothing yet. 0, or an exit code after an error is logged.
 */
int token_find(struct token *t, const struct options *o, int fd);

/* Reads and judges it. 0, or EXIT_CONFIG after an error is logged that holds no byte of it. */
int token_load(struct token *t);

/* After root was given up: lets go of a file that cannot be read any more, and says so. */
void token_check_rereadable(struct token *t);

/* Reads a file again. A bad new token keeps the old one. */
enum token_outcome token_reload(struct token *t);

/* The token in use. */
struct span token_bytes(const struct token *t);

/* True when that user can read the token from where it came from. */
bool token_reachable(const struct token *t, uid_t uid, const gid_t *groups, size_t n_groups);

/* NULL, or what is wrong with it. *len loses line ends at the end. */
const char *token_judge(const char *bytes, size_t *len);

void token_finish(struct token *t);

#endif
