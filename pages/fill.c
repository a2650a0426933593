/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill TEMPLATE [HELP-DIRECTORY [TEXTS-DIRECTORY]]: prints the template with each line "@name@"
 * replaced by what that stands for. "-" is the standard input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "pages/ctl.h"
#include "pages/options.h"

static const char *help_directory = ".", *texts_directory = ".";

static void print_version(void)
{
    printf("%s\n", TW_VERSION);
}

static void ctl_sections(void)
{
    ctl_scd(help_directory, texts_directory);
}

static void ctl_exit_codes(void)
{
    ctl_scd_exit_codes(help_directory);
}

static void ctl_names(void)
{
    ctl_completion_names(help_directory);
}

static void ctl_words(void)
{
    ctl_completion_words(help_directory);
}

static const struct part {
    const char *name;
    void (*print)(void);
} parts[] = {{"@version@\n", print_version},
             {"@options@\n", options_scd},
             {"@variables@\n", options_scd_variables},
             {"@keys@\n", options_scd_keys},
             {"@exit-codes@\n", options_scd_exit_codes},
             {"@options-table@\n", options_md},
             {"@exit-codes-table@\n", options_md_exit_codes},
             {"@example@\n", options_example},
             {"@completion-names@\n", options_completion_names},
             {"@completion-values@\n", options_completion_values},
             {"@rows@\n", options_rows},
             {"@ctl-sections@\n", ctl_sections},
             {"@ctl-exit-codes@\n", ctl_exit_codes},
             {"@ctl-completion-names@\n", ctl_names},
             {"@ctl-completion-words@\n", ctl_words}};

#define PARTS (sizeof parts / sizeof *parts)

static void print_line(const char *line)
{
    for (size_t i = 0; i < PARTS; i++)
        if (strcmp(line, parts[i].name) == 0) {
            parts[i].print();
            return;
        }
    if (line[0] == '@' && strcmp(line + strlen(line) - 2, "@\n") == 0) {
        fprintf(stderr, "nothing is called %s", line);
        exit(1);
    }
    fputs(line, stdout);
}

int main(int argc, char **argv)
{
    char line[4096];
    const char *path = argc > 1 ? argv[1] : "-";
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (!file) {
        perror(path);
        return 1;
    }
    help_directory = argc > 2 ? argv[2] : help_directory;
    texts_directory = argc > 3 ? argv[3] : texts_directory;
    while (fgets(line, sizeof line, file))
        print_line(line);
    if (file != stdin)
        fclose(file);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
