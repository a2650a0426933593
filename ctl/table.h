/* SPDX-License-Identifier: Apache-2.0 */
/* Columns on a terminal, of texts from elsewhere. */
#ifndef TW_CTL_TABLE_H
#define TW_CTL_TABLE_H

#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 8

struct table {
    const char *const *titles; /* n_columns of them, borrowed */
    size_t n_columns;
    char **cells; /* escaped; owned */
    size_t n_cells;
    size_t widths[TABLE_COLUMNS_MAX];
};

void table_init(struct table *t, const char *const *titles, size_t n_columns);

/* The next cell, left to right, row by row; escaped and copied. Ends the program when memory runs
 * out. */
void table_add(struct table *t, const char *text);

/* Titles and rows; nothing when there is no row. */
void table_print(const struct table *t, FILE *out);

void table_finish(struct table *t);

#endif
