/* SPDX-License-Identifier: Apache-2.0 */
#include "pages/ctl.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pages/markup.h"

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyz-"

struct row {
    char name[40], arguments[500], help[500];
};

static FILE *open_in(const char *directory, const char *name, const char *suffix)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s%s", directory, name, suffix);
    return fopen(path, "r");
}

static FILE *open_help(const char *directory, const char *name)
{
    FILE *file = open_in(directory, name, ".help");
    if (file)
        return file;
    fprintf(stderr, "%s/%s.help is missing: run pages/ctl_help\n", directory, name);
    exit(1);
}

/* "  NAME ARGUMENTS", then "      HELP". */
static bool next_row(FILE *file, struct row *row)
{
    char line[1000];
    while (fgets(line, sizeof line, file)) {
        size_t n = strncmp(line, "  ", 2) == 0 ? strspn(line + 2, NAME_LETTERS) : 0;
        line[strcspn(line, "\n")] = '\0';
        if (n == 0 || n >= sizeof row->name || line[2] == '-' ||
            (line[2 + n] && line[2 + n] != ' '))
            continue;
        snprintf(row->name, sizeof row->name, "%.*s", (int)n, line + 2);
        snprintf(row->arguments, sizeof row->arguments, "%s", line + 2 + n);
        if (!fgets(line, sizeof line, file))
            return false;
        line[strcspn(line, "\n")] = '\0';
        snprintf(row->help, sizeof row->help, "%s", line + strspn(line, " "));
        return true;
    }
    return false;
}

/* As it is; false: empty or not there. */
static bool copy(FILE *file, const char *before, const char *after)
{
    int c = file ? fgetc(file) : EOF, last = 0;
    if (c != EOF)
        fputs(before, stdout);
    for (; file && c != EOF; last = c, c = fgetc(file))
        putchar(c);
    if (last && last != '\n')
        putchar('\n');
    if (last)
        fputs(after, stdout);
    if (file)
        fclose(file);
    return last != 0;
}

void ctl_scd(const char *help, const char *texts)
{
    struct row row;
    FILE *file = open_help(help, "tw-agentctl");
    while (next_row(file, &row)) {
        printf("## %s\n\n*tw-agentctl* ", row.name);
        markup_scd_bold(row.name);
        markup_scd(row.arguments);
        printf("\n\n");
        markup_scd_sentence(row.help);
        printf("\n\n");
        copy(open_in(texts, row.name, ".scd"), "", "\n");
        copy(open_help(help, row.name), "```\n", "```\n\n");
    }
    fclose(file);
}

void ctl_scd_exit_codes(const char *help)
{
    char line[1000];
    FILE *file = open_help(help, "tw-agentctl");
    while (fgets(line, sizeof line, file)) {
        char *text = line + strspn(line, " ");
        size_t n = strspn(text, "0123456789");
        if (text == line || n == 0 || text[n] != ' ')
            continue;
        text[strcspn(text, "\n")] = '\0';
        text[n] = '\0';
        printf("*%s*\n\t", text);
        markup_scd_sentence(text + n + 1 + strspn(text + n + 1, " "));
        printf("\n\n");
    }
    fclose(file);
}

void ctl_completion_names(const char *help)
{
    struct row row;
    FILE *file = open_help(help, "tw-agentctl");
    while (next_row(file, &row))
        printf("%s\n", row.name);
    fclose(file);
}

/* What was printed for a subcommand, so that no word comes twice. */
struct words {
    char text[8192];
};

static void print_word(struct words *seen, const char *word, size_t n)
{
    char quoted[64];
    size_t used = strlen(seen->text);
    snprintf(quoted, sizeof quoted, " '%.*s'", (int)n, word);
    if (strstr(seen->text, quoted) || used + strlen(quoted) >= sizeof seen->text)
        return;
    memcpy(seen->text + used, quoted, strlen(quoted) + 1);
    fputs(quoted, stdout);
}

/* Each --word of a text. */
static void print_options(struct words *seen, const char *text)
{
    for (const char *at = text; (at = strstr(at, "--")); at += 2) {
        size_t n = strspn(at + 2, NAME_LETTERS);
        if (n > 0 && (at == text || !isalnum((unsigned char)at[-1])))
            print_word(seen, at, n + 2);
    }
}

/* The words of "add|list|show", when arguments begin so. */
static void print_actions(struct words *seen, const char *arguments)
{
    const char *at = arguments + strspn(arguments, " ");
    size_t all = strspn(at, NAME_LETTERS "|");
    if (!memchr(at, '|', all) || (at[all] && at[all] != ' '))
        return;
    for (const char *end = at + all; at < end;) {
        size_t n = strspn(at, NAME_LETTERS);
        print_word(seen, at, n);
        at += n + 1;
    }
}

void ctl_completion_words(const char *help)
{
    struct row row;
    struct words seen;
    char line[1000];
    FILE *file = open_help(help, "tw-agentctl");
    while (next_row(file, &row)) {
        seen.text[0] = '\0';
        printf("    %s) _tw_agent_words", row.name);
        print_actions(&seen, row.arguments);
        print_options(&seen, "--json");
        print_options(&seen, row.arguments);
        if (strstr(row.arguments, "OPTIONS OF tw-agent"))
            printf(" \"${options[@]}\"");
        FILE *own = open_help(help, row.name);
        while (fgets(line, sizeof line, own))
            print_options(&seen, line);
        fclose(own);
        printf(" ;;\n");
    }
    fclose(file);
}
