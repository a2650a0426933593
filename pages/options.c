/* SPDX-License-Identifier: Apache-2.0 */
#include "pages/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/options.h"
#include "pages/markup.h"
#include "sandbox/enforce.h"

static const char *text_of(const struct option_row *row)
{
    return row->more ? row->more : row->help;
}

/* "a or b", each printed by put. */
static void print_variables(const struct option_row *row, void (*put)(const char *))
{
    for (size_t k = 0; k < 2 && row->variables[k]; k++) {
        printf("%s", k > 0 ? " or " : "");
        put(row->variables[k]);
    }
}

static void scd_default(const struct option_row *row)
{
    if (!row->standard)
        return;
    printf(" Default: ");
    markup_scd_bold(row->standard);
    putchar('.');
}

static void scd_long(const struct option_row *row)
{
    printf("*--");
    markup_scd(row->name);
    putchar('*');
    if (!option_argument(row))
        return;
    putchar('=');
    markup_scd_word(option_argument(row));
}

void options_scd(void)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        if (!row->name)
            continue;
        if (row->letter)
            printf("*-%c*, ", row->letter);
        scd_long(row);
        printf("\n\t");
        markup_scd_sentence(text_of(row));
        if (row->kind != OPTION_SWITCH)
            scd_default(row);
        if (row->variables[0]) {
            printf(" Variable: ");
            print_variables(row, markup_scd_bold);
            putchar('.');
        }
        printf("\n\n");
    }
}

void options_scd_variables(void)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        if (!row->variables[0])
            continue;
        print_variables(row, markup_scd_bold);
        printf("\n\t");
        if (row->name) {
            printf("As ");
            scd_long(row);
            putchar('.');
        } else {
            markup_scd_sentence(text_of(row));
        }
        printf("\n\n");
    }
}

void options_scd_exit_codes(void)
{
    for (unsigned i = 0; i < EXIT_CODES; i++) {
        printf("*%u*\n\t", i);
        markup_scd_sentence(exit_texts[i]);
        printf("\n\n");
    }
}

void options_scd_keys(void)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        if (!row->key)
            continue;
        markup_scd_bold(row->key);
        printf(" = ");
        markup_scd_word(row->argument);
        printf("\n\t");
        markup_scd_sentence(text_of(row));
        scd_default(row);
        if (row->name) {
            printf(" Option: ");
            scd_long(row);
            putchar('.');
        }
        printf("\n\n");
    }
}

void options_md(void)
{
    printf("| option | variable | key | default | meaning |\n| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        const char *argument = option_argument(row);
        printf("| ");
        if (row->letter)
            printf("`-%c`, ", row->letter);
        if (row->name) {
            printf("`--%s%s", row->name, argument ? "=" : "");
            markup_md(argument ? argument : "");
            printf("` ");
        }
        printf("| ");
        print_variables(row, markup_md_code);
        printf("%s| ", row->variables[0] ? " " : "");
        markup_md_code(row->key);
        printf("%s| ", row->key ? " " : "");
        markup_md_code(row->standard);
        printf("%s| ", row->standard ? " " : "");
        markup_md(text_of(row));
        printf(" |\n");
    }
}

void options_md_exit_codes(void)
{
    printf("| code | meaning |\n| --- | --- |\n");
    for (unsigned i = 0; i < EXIT_CODES; i++)
        printf("| %u | %s |\n", i, exit_texts[i]);
}

void options_example(void)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        if (!row->key)
            continue;
        putchar('\n');
        markup_comment(text_of(row));
        printf("#%s = %s\n", row->key, row->standard ? row->standard : row->argument);
    }
}

void options_completion_names(void)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        if (row->name)
            printf("--%s%s\n", row->name, option_argument(row) ? "=" : "");
    }
}

/* The words between separators, without those that the shell would take for more than a word. */
static void print_words(const char *words, const char *separators)
{
    for (size_t n; *words; words += n + strspn(words + n, separators)) {
        n = strcspn(words, separators);
        if (strcspn(words, "<>&;()$`") >= n)
            printf(" '%.*s'", (int)n, words);
    }
}

/* By what the argument is called. */
static const char *completer_of(const struct option_row *row)
{
    static const char *const completers[][2] = {
        {"FILE", "_tw_agent_files"}, {"DIR", "_tw_agent_directories"}, {"USER", "_tw_agent_users"}};
    for (size_t i = 0; i < sizeof completers / sizeof *completers; i++)
        if (strcmp(row->argument, completers[i][0]) == 0)
            return completers[i][1];
    return "_tw_agent_words";
}

void options_completion_values(void)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        if (!row->name || !option_argument(row))
            continue;
        printf("    --%s", row->name);
        if (row->letter)
            printf(" | -%c", row->letter);
        printf(") %s", completer_of(row));
        if (i == OPT_REQUIRE)
            print_words(requirement_words, ", ");
        else if (row->choices)
            print_words(row->choices, "|");
        printf(" ;;\n");
    }
}

void options_rows(void)
{
    static const char *const kinds[] = {"flag",   "text",  "secret",   "token",  "list",
                                        "number", "octal", "duration", "choice", "switch"};
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        printf("%s\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s\t%s\n", row->name ? row->name : "",
               row->key ? row->key : "", kinds[row->kind], row->min, row->max,
               row->choices ? row->choices : "", row->argument ? row->argument : "",
               row->standard ? row->standard : "");
    }
}
