/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/table.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/output.h"

/* Characters, as far as UTF-8 tells; what is wide on a terminal moves its row alone. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static char *escaped(const char *text)
{
    char *copy = NULL;
    size_t len;
    FILE *out = open_memstream(&copy, &len);
    if (out)
        output_escaped(out, text, false);
    if (!out || fclose(out) != 0) {
        fputs("tw-agentctl: no memory\n", stderr);
        exit(1);
    }
    return copy;
}

void table_init(struct table *t, const char *const *titles, size_t n_columns)
{
    *t = (struct table){.titles = titles, .n_columns = n_columns};
    for (size_t i = 0; i < n_columns; i++)
        t->widths[i] = width_of(titles[i]);
}

void table_add(struct table *t, const char *text)
{
    char **cells = reallocarray(t->cells, t->n_cells + 1, sizeof *cells);
    if (!cells) {
        fputs("tw-agentctl: no memory\n", stderr);
        exit(1);
    }
    t->cells = cells;
    char *cell = escaped(text);
    size_t *widest = &t->widths[t->n_cells % t->n_columns];
    if (width_of(cell) > *widest)
        *widest = width_of(cell);
    cells[t->n_cells++] = cell;
}

static void print_cell(const struct table *t, FILE *out, size_t column, const char *text)
{
    bool last = column + 1 == t->n_columns;
    fputs(text, out);
    for (size_t n = width_of(text); !last && n < t->widths[column] + 2; n++)
        fputc(' ', out);
    if (last)
        fputc('\n', out);
}

void table_print(const struct table *t, FILE *out)
{
    for (size_t i = 0; t->n_cells > 0 && i < t->n_columns; i++)
        print_cell(t, out, i, t->titles[i]);
    for (size_t i = 0; i < t->n_cells; i++)
        print_cell(t, out, i % t->n_columns, t->cells[i]);
}

void table_finish(struct table *t)
{
    for (size_t i = 0; i < t->n_cells; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct table){0};
}
