/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/usage.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/instances.h"
#include "ctl/output.h"
#include "ctl/shell.h"
#include "ctl/tower.h"

/* What the reader replaces. */
#define TOKEN     "<YOUR TOKEN>"
#define USER      "<UNIX USER>"
#define INSTANCE  "lab"
#define DIRECTORY "/etc/tw-agent/"

static const struct parameter own[] = {{NULL, NULL, NULL}};
static const enum option_id shared[] = {OPT_URL, OPT_RUN_AS, OPT_CONFIG, OPTIONS};

const struct page usage_page = {
    "usage",
    "[--url URL] [--run-as USER] NAME | AGENT_CONNECTION_ID",
    "Prints the lines that start an agent, hardened and plain, with the token left to fill in",
    own,
    shared,
    1,
    "NAME is an instance, whose configuration gives connection ID, URL and user.\n"};

/* Takes the snippet as memory; the caller frees it. */
static char *snippet(void (*write)(FILE *, const struct tower *), const struct tower *t)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (out)
        write(out, t);
    if (!out || fclose(out) != 0) {
        log_error("no memory");
        return NULL;
    }
    return text;
}

static void write_token_file(FILE *out, const char *path, const char *group)
{
    char word[SHELL_WORD_MAX];
    if (!shell_word(word, path))
        return;
    fprintf(out, "umask 077\ncat > %s <<'END'\n" TOKEN "\nEND\n", word);
    if (group)
        fprintf(out, "chgrp %s %s && chmod 0640 %s\n", group, word, word);
}

/* Its configuration file is there already, and stays as it is. */
static void write_instance(FILE *out, const struct tower *t)
{
    const char *path = t->options.values[OPT_TOKEN_FILE].text;
    char beside[LIMIT_PATH + 1];
    if (!path &&
        instance_file(t->instance, ".token", t->settings.system_mode, beside, sizeof beside))
        path = beside;
    if (path)
        write_token_file(out, path, t->settings.system_mode ? "tw-agent" : NULL);
    fprintf(out, "systemctl %senable --now tw-agent@%s\n", t->settings.system_mode ? "" : "--user ",
            t->instance);
}

static void write_hardened(FILE *out, const struct tower *t)
{
    const char *user = t->options.values[OPT_RUN_AS].text;
    if (*t->instance) {
        write_instance(out, t);
        return;
    }
    write_token_file(out, DIRECTORY INSTANCE ".token", "tw-agent");
    fprintf(out, "cat > " DIRECTORY INSTANCE ".conf <<'END'\n");
    fprintf(out, "connection_id = %s\nurl = %s\nrun_as = %s\n", t->settings.connection_id,
            t->settings.url.text, user ? user : USER);
    fprintf(out, "token_file = " DIRECTORY INSTANCE ".token\nEND\n");
    fprintf(out, "systemctl enable --now tw-agent@" INSTANCE "\n");
}

static void write_plain(FILE *out, const struct tower *t)
{
    char id[SHELL_WORD_MAX], url[SHELL_WORD_MAX];
    if (!shell_word(id, t->settings.connection_id) || !shell_word(url, t->settings.url.text))
        return;
    fprintf(out, "export TOWER_ACCESS_TOKEN=" TOKEN "\n");
    fprintf(out, "tw-agent --url %s %s%s\n", url, *t->settings.connection_id == '-' ? "-- " : "",
            id);
}

/* As it is but for what would act on the terminal: here-documents bear no indentation. */
static void print_lines(const char *lines)
{
    while (*lines) {
        size_t n = strcspn(lines, "\n");
        char *line = span_dup((struct span){lines, n});
        if (line)
            output_escaped(stdout, line, false);
        putchar('\n');
        free(line);
        lines += n + (lines[n] == '\n');
    }
}

static void print_text(const char *hardened, const char *plain, const struct tower *t)
{
    bool user = !*t->instance && !t->options.values[OPT_RUN_AS].text;
    printf("# Replace " TOKEN "%s.\n\n", user ? " and " USER ", whom commands run as" : "");
    if (*t->instance)
        printf("# Hardened: the token in a file, and the service of this instance.\n");
    else
        printf("# Hardened, as root: the token in a file, and a service of the system. \"" INSTANCE
               "\" is a name of your\n# choice. (tw-agentctl setup does the same, and asks for the "
               "token.)\n");
    print_lines(hardened);
    printf(
        "\n# Plain: as the user whom commands run as, while this shell lives. Others of the host "
        "may have read the\n# token at the start.\n");
    print_lines(plain);
}

static void print_json(const char *hardened, const char *plain, const struct tower *t)
{
    printf("{\"ok\":true");
    output_json_text(stdout, false, "connectionId", t->settings.connection_id);
    output_json_text(stdout, false, "url", t->settings.url.text);
    output_json_text(stdout, false, "hardened", hardened);
    output_json_text(stdout, false, "plain", plain);
    puts("}");
}

static int show(const struct ctl *ctl, const struct tower *t)
{
    char *hardened = snippet(write_hardened, t), *plain = snippet(write_plain, t);
    bool whole = hardened && plain;
    if (whole && ctl->json)
        print_json(hardened, plain, t);
    else if (whole)
        print_text(hardened, plain, t);
    free(hardened);
    free(plain);
    return whole ? CTL_WELL : CTL_PROBLEM;
}

int usage_run(const struct ctl *ctl, int argc, char **argv)
{
    static struct tower t;
    int code;
    if (tower_arguments(&t, ctl, &usage_page, argc, argv, &code)) {
        if (t.has_id) {
            code = show(ctl, &t);
        } else {
            log_error("give a connection ID, or the name of an instance");
            code = CTL_USAGE;
        }
    }
    tower_finish(&t);
    return code;
}
