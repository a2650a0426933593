/* SPDX-License-Identifier: Apache-2.0 */
#include "config/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define HELP_COLUMN 30

/* A long path keeps its end, so that line and key stay in the message. */
#define ORIGIN_REST 64

static const char *origin_at(const struct options *o, enum option_id id, unsigned line, char *out,
                             size_t size)
{
    const struct option_row *row = &option_rows[id];
    enum option_level level = o->values[id].level;
    const char *file = o->values[OPT_CONFIG].text, *cut = "";
    if (level == LEVEL_FILE && strlen(file) > size - ORIGIN_REST) {
        file += strlen(file) - (size - ORIGIN_REST);
        cut = "...";
    }
    if (level == LEVEL_FILE)
        snprintf(out, size, "%s%s:%u: %s", cut, file, line, row->key);
    else if (level == LEVEL_VARIABLE)
        snprintf(out, size, "%s", row->variables[0]);
    else
        snprintf(out, size, "%s%s", row->name ? "--" : "", row->name ? row->name : row->key);
    return out;
}

const char *options_origin(const struct options *o, enum option_id id, char *out, size_t size)
{
    return origin_at(o, id, o->values[id].line, out, size);
}

const char *options_entry_origin(const struct options *o, enum option_id id, const char *at,
                                 char *out, size_t size)
{
    const struct option_value *value = &o->values[id];
    size_t entry = 0;
    /* Elsewhere a text of several lines is one entry. */
    if (!value->lines || value->level != LEVEL_FILE)
        return options_origin(o, id, out, size);
    for (const char *c = value->text; c < at; c++)
        entry += *c == '\n';
    return origin_at(o, id, value->lines[entry], out, size);
}

const char *options_connection_id(const struct options *o)
{
    return o->connection_id ? o->connection_id : o->values[OPT_CONNECTION_ID].text;
}

int options_bad(const struct options *o, enum option_id id)
{
    return o->values[id].level == LEVEL_OPTION ? EXIT_USAGE : EXIT_CONFIG;
}

static bool refuse_twice(const struct options *o, enum option_id id)
{
    char origin[512];
    log_error("%s is given twice", options_origin(o, id, origin, sizeof origin));
    return false;
}

/* The lines of a list with one more; the old ones are taken over when it is appended. */
static unsigned *list_lines(const struct option_value *value, bool append, unsigned line)
{
    size_t n = 0;
    for (const char *c = append ? value->text : ""; *c; c++)
        n += *c == '\n';
    unsigned *lines = realloc(append ? value->lines : NULL, (n + 1) * sizeof *lines);
    if (lines)
        lines[n] = line;
    return lines;
}

bool options_set(struct options *o, enum option_id id, enum option_level level, unsigned line,
                 const char *text)
{
    struct option_value *value = &o->values[id];
    bool list = option_rows[id].kind == OPTION_LIST, append = list && value->level == level;
    if (value->level > level)
        return true;
    if (value->level == level && !list)
        return refuse_twice(o, id);
    size_t old = append ? strlen(value->text) : 0, len = strlen(text);
    char *joined = malloc(old + len + 2);
    if (!joined) {
        log_error("no memory");
        return false;
    }
    if (old)
        memcpy(joined, value->text, old);
    memcpy(joined + old, text, len);
    memcpy(joined + old + len, list ? "\n" : "", list ? 2 : 1);
    unsigned *lines = list ? list_lines(value, append, line) : NULL;
    if (list && !lines) {
        free(joined);
        log_error("no memory");
        return false;
    }
    free(value->text);
    if (!append)
        free(value->lines);
    *value = (struct option_value){joined, level, line, lines};
    return true;
}

/* Letters to insert, drop or replace to get from a to b; both are short. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t n = strlen(b);
    if (n >= sizeof row / sizeof *row)
        return 64;
    for (size_t j = 0; j <= n; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; a[i]; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < n; j++) {
            unsigned best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            if (row[j + 1] + 1 < best)
                best = row[j + 1] + 1;
            if (row[j] + 1 < best)
                best = row[j] + 1;
            row[j + 1] = best;
        }
    }
    return row[n];
}

const char *options_nearest(const char *name, bool key)
{
    const char *closest = NULL;
    /* More than a third of other letters is another word. */
    unsigned least = (unsigned)(strlen(name) + 2) / 3 + 1;
    if (least > 4)
        least = 4;
    for (size_t i = 0; i < OPTIONS; i++) {
        const char *known = key ? option_rows[i].key : option_rows[i].name;
        unsigned d = known ? distance(name, known) : least;
        if (d < least) {
            least = d;
            closest = known;
        }
    }
    return closest;
}

static void refuse_unknown(const char *name)
{
    const char *closest = options_nearest(name, false);
    /* Anything that does not look like a name stays out of the log: a token may stick to it. */
    bool plain = name[strspn(name, "abcdefghijklmnopqrstuvwxyz-")] == '\0' && strlen(name) < 24;
    log_error("unknown option%s%s%s%s%s", plain ? " --" : "", plain ? name : "",
              closest ? "; did you mean --" : "", closest ? closest : "", closest ? "?" : "");
}

static enum option_id find_long(const char *name, size_t len)
{
    for (unsigned i = 0; i < OPTIONS; i++)
        if (option_rows[i].name && strlen(option_rows[i].name) == len &&
            memcmp(option_rows[i].name, name, len) == 0)
            return (enum option_id)i;
    return OPTIONS;
}

static enum option_id find_letter(char letter)
{
    for (unsigned i = 0; i < OPTIONS; i++)
        if (letter && option_rows[i].letter == letter)
            return (enum option_id)i;
    return OPTIONS;
}

/* The option that this argument names, or OPTIONS after an error is logged; *value is what is
 * attached to it, or NULL. */
static enum option_id name_of(char *argument, char **value)
{
    enum option_id id;
    *value = NULL;
    if (argument[1] == '-') {
        char *equals = strchr(argument, '=');
        size_t len = equals ? (size_t)(equals - argument) - 2 : strlen(argument + 2);
        id = find_long(argument + 2, len);
        if (id == OPTIONS) {
            char name[40];
            snprintf(name, sizeof name, "%.*s", len < 39 ? (int)len : 39, argument + 2);
            refuse_unknown(name);
        }
        *value = equals ? equals + 1 : NULL;
        return id;
    }
    id = find_letter(argument[1]);
    if (id == OPTIONS)
        log_error("unknown option -%c", argument[1]);
    else if (argument[2])
        *value = argument + (argument[2] == '=' ? 3 : 2);
    return id;
}

static bool is_option(const char *argument)
{
    return argument[0] == '-' && argument[1] != '\0';
}

static bool names_option(const char *argument)
{
    if (!is_option(argument))
        return false;
    if (argument[1] == '-')
        return find_long(argument + 2, strcspn(argument + 2, "=")) != OPTIONS;
    return argument[2] == '\0' && find_letter(argument[1]) != OPTIONS;
}

struct secret_taker {
    options_secret *take;
    void *context;
};

static bool take_option(struct options *o, const struct secret_taker *secret, enum option_id id,
                        char *value)
{
    const struct option_row *row = &option_rows[id];
    bool again = o->values[id].level == LEVEL_OPTION;
    if (row->kind == OPTION_TOKEN)
        secret->take(secret->context, value);
    bool ok = !(again && row->kind == OPTION_TOKEN) &&
              options_set(o, id, LEVEL_OPTION, 0, row->kind == OPTION_TOKEN ? "" : value);
    if (row->kind == OPTION_SECRET)
        explicit_bzero(value, strlen(value));
    return ok || (again && row->kind == OPTION_TOKEN && refuse_twice(o, id));
}

static bool take_positional(struct options *o, const char *argument)
{
    if (!o->connection_id) {
        o->connection_id = argument;
        return true;
    }
    /* Not repeated here: it may be a token whose option was forgotten. */
    log_error("more than one AGENT_CONNECTION_ID");
    return false;
}

static bool read_arguments(struct options *o, const struct secret_taker *secret, int argc,
                           char **argv)
{
    bool only_positional = false;
    for (int i = 1; i < argc; i++) {
        char *value;
        if (only_positional || !is_option(argv[i])) {
            if (!take_positional(o, argv[i]))
                return false;
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            only_positional = true;
            continue;
        }
        enum option_id id = name_of(argv[i], &value);
        if (id == OPTIONS)
            return false;
        bool on = option_rows[id].kind == OPTION_SWITCH;
        bool flag = on || option_rows[id].kind == OPTION_FLAG;
        if (!flag && !value && i + 1 < argc && !names_option(argv[i + 1]))
            value = argv[++i];
        if (flag != !value) {
            log_error("option --%s %s", option_rows[id].name,
                      flag ? "takes no value" : "needs a value");
            return false;
        }
        if (!take_option(o, secret, id, on ? (char[]){"yes"} : flag ? (char[]){""} : value))
            return false;
    }
    return true;
}

int options_read_arguments(struct options *o, options_secret *take, void *context, int argc,
                           char **argv)
{
    struct secret_taker secret = {take, context};
    return read_arguments(o, &secret, argc, argv) ? 0 : EXIT_USAGE;
}

int options_read_environment(struct options *o)
{
    for (unsigned i = 0; i < OPTIONS; i++)
        for (size_t k = 0; k < 2; k++) {
            const char *name = option_rows[i].variables[k];
            const char *text = name ? getenv(name) : NULL;
            if (!text || !*text || o->values[i].level >= LEVEL_VARIABLE)
                continue;
            if (!options_set(o, (enum option_id)i, LEVEL_VARIABLE, 0, text))
                return EXIT_OTHER;
        }
    return 0;
}

bool options_choose(const struct options *o, const enum option_id *ids, size_t n,
                    enum option_id *chosen)
{
    char one[512], other[512];
    *chosen = OPTIONS;
    for (size_t i = 0; i < n; i++) {
        enum option_level level = o->values[ids[i]].level;
        if (level == LEVEL_DEFAULT)
            continue;
        if (*chosen != OPTIONS && o->values[*chosen].level == level) {
            log_error("give one of %s and %s", options_origin(o, *chosen, one, sizeof one),
                      options_origin(o, ids[i], other, sizeof other));
            return false;
        }
        if (*chosen == OPTIONS || o->values[*chosen].level < level)
            *chosen = ids[i];
    }
    return true;
}

void options_print_usage(void)
{
    fprintf(stderr, "Usage: tw-agent [OPTIONS] AGENT_CONNECTION_ID    (tw-agent --help)\n");
}

const char *option_argument(const struct option_row *row)
{
    return row->kind == OPTION_FLAG || row->kind == OPTION_SWITCH ? NULL : row->argument;
}

static void print_row(const struct option_row *row)
{
    char left[80];
    const char *argument = option_argument(row);
    if (row->name)
        snprintf(left, sizeof left, "%c%c%c --%s%s%s", row->letter ? '-' : ' ',
                 row->letter ? row->letter : ' ', row->letter ? ',' : ' ', row->name,
                 argument ? "=" : "", argument ? argument : "");
    else
        snprintf(left, sizeof left, "%s = %s", row->key, row->argument);
    printf("  %-*s  %s", HELP_COLUMN, left, row->help);
    if (row->variables[0])
        printf(" [%s]", row->variables[0]);
    if (row->standard)
        printf(" (%s)", row->standard);
    putchar('\n');
}

void options_print_help(void)
{
    printf("Usage: tw-agent [OPTIONS] AGENT_CONNECTION_ID\n\n"
           "Connects this host to Tower (Seqera Platform) and runs the commands it sends.\n\n"
           "Options [variable] (default):\n");
    for (size_t i = 0; i < OPTIONS; i++)
        if (option_rows[i].name)
            print_row(&option_rows[i]);
    printf("\nOnly in the configuration file, which knows every option with - as _:\n");
    for (size_t i = 0; i < OPTIONS; i++)
        if (!option_rows[i].name && option_rows[i].key)
            print_row(&option_rows[i]);
    printf("\nAn option wins over a variable, a variable over the file. NO_PROXY and USER are "
           "honoured.\n\nExit codes:\n");
    for (unsigned i = 0; i < EXIT_CODES; i++)
        printf("  %u  %s\n", i, exit_texts[i]);
}

void options_finish(struct options *o)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (o->values[i].text)
            explicit_bzero(o->values[i].text, strlen(o->values[i].text));
        free(o->values[i].text);
        free(o->values[i].lines);
    }
    *o = (struct options){0};
}
