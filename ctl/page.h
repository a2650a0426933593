/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subcommand's options as data: its --help, its parsing, and what is made of all pages (man page,
 * completion) follow one table.
 */
#ifndef TW_CTL_PAGE_H
#define TW_CTL_PAGE_H

#include <stdbool.h>
#include <stdio.h>

#include "config/options.h"

/* An option of the subcommand's own, --name. */
struct parameter {
    const char *name;     /* without the dashes; NULL ends a table */
    const char *argument; /* NULL: takes none; "[X]": may be left out */
    const char *help;
};

struct page {
    const char *name;             /* "credentials add" */
    const char *arguments;        /* what stands behind the name in the usage line */
    const char *help;             /* a sentence without a stop */
    const struct parameter *own;  /* ends with a NULL name */
    const enum option_id *shared; /* options of tw-agent that it takes; ends with OPTIONS */
    unsigned positionals;         /* how many arguments that are no options, at most: 0 or 1 */
    const char *more;             /* lines for the end of --help; NULL: none */
};

/* At most this many rows in a table of parameters. */
#define PAGE_OWN_MAX 24

/*
 * Takes the page's own options out of argv, wherever they stand before "--"; one that tw-agent has
 * as well is the page's. values[row] is the text, "" for one without, NULL for one that was not
 * given. False, after an error is logged: a value is missing or too much, or given twice.
 */
bool page_take(const struct page *page, const char **values, int *argc, char **argv);

/* After arguments_take: refuses the options of tw-agent that the page does not have, and arguments
 * beyond those that it has. False after an error is logged. */
bool page_check(const struct page *page, const struct options *o);

/* What --help prints. */
void page_print(const struct page *page, FILE *out);

/* The pieces of it, for a help of several pages: an option of one's own; --json and tw-agent's. */
void page_print_parameter(const struct parameter *p, FILE *out);
void page_print_shared(const struct page *page, FILE *out);

/* The usage line, for behind an error. */
void page_print_usage(const struct page *page, FILE *out);

#endif
