/* SPDX-License-Identifier: Apache-2.0 */
/* The canary: whether a command's output contains the token, as it is or encoded. */
#ifndef TW_PARENT_SEARCH_H
#define TW_PARENT_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"
#include "base/span.h"

/* As it is; hex in lower and upper case; base64, standard and URL-safe, at three alignments. */
#define SEARCH_NEEDLES 9

struct search {
    struct secret page; /* tables and needles, which are as secret as the token */
    struct {
        size_t start, len;
    } needles[SEARCH_NEEDLES];
    size_t n;
    size_t words; /* of the text, hashed at a time */
};

/* 0, or -1 with errno. */
int search_init(struct search *s);

/* Searches for this token from now on. 0, or -1: no random numbers. */
int search_set(struct search *s, struct span token);

/* Takes as long for one text as for any other of that length, unless it holds half of the token. */
bool search_found(const struct search *s, struct span text);

void search_finish(struct search *s);

#endif
