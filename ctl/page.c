/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/page.h"

#include <string.h>

#include "base/log.h"

#define HELP_COLUMN 26

/* The row that this argument names, or -1; *value is what is attached by "=", or NULL. */
static int find(const struct page *page, const char *argument, const char **value)
{
    *value = NULL;
    if (strncmp(argument, "--", 2) != 0)
        return -1;
    size_t len = strcspn(argument + 2, "=");
    for (int i = 0; page->own[i].name; i++) {
        const char *name = page->own[i].name;
        if (strlen(name) != len || memcmp(name, argument + 2, len) != 0)
            continue;
        *value = argument[2 + len] ? argument + 2 + len + 1 : NULL;
        return i;
    }
    return -1;
}

static bool refuse(const struct page *page, int row, const char *what)
{
    log_error("option --%s %s", page->own[row].name, what);
    return false;
}

/* The value of the row; *at is the argument that named it, and moves on when the next is taken. */
static bool take_value(const struct page *page, int row, const char *attached, const char **value,
                       int *at, int argc, char **argv)
{
    const char *argument = page->own[row].argument;
    const char *next = *at + 1 < argc && argv[*at + 1][0] != '-' ? argv[*at + 1] : NULL;
    if (*value)
        return refuse(page, row, "is given twice");
    if (!argument && attached)
        return refuse(page, row, "takes no value");
    if (argument && !attached && next) {
        attached = next;
        ++*at;
    }
    if (argument && argument[0] != '[' && !attached)
        return refuse(page, row, "needs a value");
    *value = attached ? attached : "";
    return true;
}

bool page_take(const struct page *page, const char **values, int *argc, char **argv)
{
    int kept = 1;
    bool options = true;
    for (int i = 0; page->own[i].name; i++)
        values[i] = NULL;
    for (int i = 1; i < *argc; i++) {
        const char *attached = NULL;
        options = options && strcmp(argv[i], "--") != 0;
        int row = options ? find(page, argv[i], &attached) : -1;
        if (row < 0)
            argv[kept++] = argv[i];
        else if (!take_value(page, row, attached, &values[row], &i, *argc, argv))
            return false;
    }
    argv[kept] = NULL;
    *argc = kept;
    return true;
}

static bool has_shared(const struct page *page, enum option_id id)
{
    for (const enum option_id *p = page->shared; *p != OPTIONS; p++)
        if (*p == id)
            return true;
    return id == OPT_HELP;
}

bool page_check(const struct page *page, const struct options *o)
{
    for (unsigned i = 0; i < OPTIONS; i++)
        if (o->values[i].level == LEVEL_OPTION && option_rows[i].name &&
            !has_shared(page, (enum option_id)i)) {
            log_error("tw-agentctl %s has no option --%s", page->name, option_rows[i].name);
            return false;
        }
    if (page->positionals > 0 || !o->connection_id)
        return true;
    /* Not repeated: it may be a token whose option was forgotten. */
    log_error("tw-agentctl %s takes options alone", page->name);
    return false;
}

static void print_row(FILE *out, char letter, const char *name, const char *argument,
                      const char *help)
{
    char left[96];
    bool optional = argument && argument[0] == '[';
    snprintf(left, sizeof left, "%c%c%s--%s%s%s", letter ? '-' : ' ', letter ? letter : ' ',
             letter ? ", " : "  ", name, argument ? (optional ? " " : "=") : "",
             argument ? argument : "");
    if (strlen(left) > HELP_COLUMN)
        fprintf(out, "  %s\n  %-*s  %s", left, HELP_COLUMN, "", help);
    else
        fprintf(out, "  %-*s  %s", HELP_COLUMN, left, help);
}

void page_print_usage(const struct page *page, FILE *out)
{
    fprintf(out, "Usage: tw-agentctl %s%s%s    (tw-agentctl %s --help)\n", page->name,
            *page->arguments ? " " : "", page->arguments, page->name);
}

void page_print(const struct page *page, FILE *out)
{
    fprintf(out, "Usage: tw-agentctl %s%s%s\n\n%s.\n\n", page->name, *page->arguments ? " " : "",
            page->arguments, page->help);
    for (const struct parameter *p = page->own; p->name; p++)
        page_print_parameter(p, out);
    page_print_shared(page, out);
    if (page->more)
        fprintf(out, "\n%s", page->more);
}

void page_print_parameter(const struct parameter *p, FILE *out)
{
    print_row(out, 0, p->name, p->argument, p->help);
    fputc('\n', out);
}

void page_print_shared(const struct page *page, FILE *out)
{
    print_row(out, 0, "json", NULL, "one JSON object instead of text\n");
    if (*page->shared != OPTIONS)
        fprintf(out, "\nAs tw-agent has them, [variable] (default):\n");
    for (const enum option_id *p = page->shared; *p != OPTIONS; p++) {
        const struct option_row *row = &option_rows[*p];
        print_row(out, row->letter, row->name, row->argument, row->help);
        if (row->variables[0])
            fprintf(out, " [%s]", row->variables[0]);
        if (row->standard)
            fprintf(out, " (%s)", row->standard);
        fputc('\n', out);
    }
}
