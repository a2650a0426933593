/* SPDX-License-Identifier: Apache-2.0 */
/* The owner's access token: taken from its source, judged, kept in a secret page, read again. */
#ifndef TW_PARENT_TOKEN_H
#define TW_PARENT_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/secret.h"
#include "base/span.h"
#include "config/token_read.h"
#include "parent/search.h"

/* What reading again came to; the values of token_alarm. */
enum token_outcome { TOKEN_UNCHANGED, TOKEN_REPLACED, TOKEN_KEPT, TOKEN_NOT_READABLE_AGAIN };

struct token {
    struct secret pages[2]; /* one in use, one for the next token */
    unsigned used;
    struct search search;
    struct token_source source;
};

/* 0 or -1 with errno. */
int token_init(struct token *t);

/* First thing in main: takes TOWER_ACCESS_TOKEN out of the environment, in place. False: it was
 * not there. */
bool token_take_environment(struct token *t, char **environment);

/* Takes a value of the command line and wipes it there: the secret handler of
 * options_read_arguments. */
void token_take_argument(void *token, char *value);

/* token_source_find; and judges at once what came by environment or command line. */
int token_find(struct token *t, const struct options *o, int fd);

/* Reads and judges it. 0, or EXIT_CONFIG after an error is logged that holds no byte of it. */
int token_load(struct token *t);

/* After root was given up: lets go of a file that cannot be read any more, and says so. */
void token_check_rereadable(struct token *t);

/* Reads a file again. A bad new token keeps the old one. */
enum token_outcome token_reload(struct token *t);

/* The token in use. */
struct span token_bytes(const struct token *t);

void token_finish(struct token *t);

#endif
