/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "config/files.h"
#include "config/programs.h"

#define CONFIG_MAX 262144

/* So many mistakes are told: beyond, it is no configuration file. */
#define MISTAKES_MAX 20

static enum option_id find_key(const char *key)
{
    for (unsigned i = 0; i < OPTIONS; i++)
        if (option_rows[i].key && strcmp(option_rows[i].key, key) == 0)
            return (enum option_id)i;
    return OPTIONS;
}

static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t len = strlen(s);
    while (len > 0 && strchr(" \t\r", s[len - 1]))
        len--;
    s[len] = '\0';
    return s;
}

struct reading {
    struct options *options;
    const char *name;
    unsigned line;
    unsigned mistakes;
    enum option_id last; /* an indented line goes on with it */
    bool passing;        /* after an unknown key: indented lines may be its */
};

static bool refuse(const struct reading *r, const char *key, const char *what)
{
    log_error("%s:%u: %s%s%s", r->name, r->line, key, *key ? ": " : "", what);
    return false;
}

/* Looks like a key. Anything else, such as a token file read by mistake, stays out of the log. */
static bool is_plain(const char *key)
{
    size_t len = strspn(key, "abcdefghijklmnopqrstuvwxyz_-");
    return key[len] == '\0' && len <= 32;
}

/* The row that knows this name as its variable, or as its option's name; OPTIONS: none. */
static enum option_id find_elsewhere(const char *key)
{
    for (unsigned i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        for (size_t k = 0; k < 2; k++)
            if (row->variables[k] && strcmp(row->variables[k], key) == 0)
                return (enum option_id)i;
        if (row->name && strcmp(row->name, key) == 0)
            return (enum option_id)i;
    }
    return OPTIONS;
}

/* As keys are spelt: small letters and _, no dashes in front. */
static void respell(const char *key, char *out, size_t size)
{
    size_t n = 0;
    for (key += strspn(key, "-"); *key && n + 1 < size; key++)
        out[n++] = *key == '-' || *key == ' ' ? '_' : (char)tolower((unsigned char)*key);
    out[n] = '\0';
}

/* Nothing of the value is repeated, and of the key what is surely one: a misplaced token must not
 * reach the log. */
static bool refuse_key(const struct reading *r, const char *key)
{
    char spelling[40], what[160];
    respell(key, spelling, sizeof spelling);
    enum option_id known = find_elsewhere(key), meant = find_key(spelling);
    const char *nearest = options_nearest(spelling, true);
    if (known == OPT_ACCESS_TOKEN || strcmp(spelling, "access_token") == 0)
        return refuse(r, spelling, "the token does not belong here; name its file by token_file");
    if (meant != OPTIONS)
        snprintf(what, sizeof what, "keys are written with small letters and _: %s", spelling);
    else if (known != OPTIONS && option_rows[known].key)
        snprintf(what, sizeof what, "a variable of the environment; the key is %s",
                 option_rows[known].key);
    else if (known != OPTIONS)
        snprintf(what, sizeof what, "has no key: it is an option or a variable only");
    else if (nearest)
        snprintf(what, sizeof what, "unknown key; did you mean %s?", nearest);
    else
        snprintf(what, sizeof what, "unknown key (tw-agent.conf(5) lists them)");
    return refuse(r, known != OPTIONS || meant != OPTIONS || is_plain(key) ? key : "", what);
}

/* What is surely a mistake in a value that is no free text. */
static const char *mistake_in(enum option_id id, const char *value)
{
    size_t len = strlen(value);
    if (id == OPT_ENV_INIT || option_rows[id].kind == OPTION_LIST)
        return NULL;
    if (len > 1 && strchr("\"'", value[0]) && value[len - 1] == value[0])
        return "quotes are not taken off here: write the value without them";
    if (strstr(value, " #") || strstr(value, " ;") || strstr(value, "\t#"))
        return "a comment stands on a line of its own, not behind a value";
    return NULL;
}

static bool take_pair(struct reading *r, const char *key, const char *text)
{
    char what[80];
    if (!*key)
        return refuse(r, "", "there is no key in front of \"=\"");
    r->last = find_key(key);
    r->passing = r->last == OPTIONS;
    if (r->last == OPTIONS)
        return refuse_key(r, key);
    const struct option_value *value = &r->options->values[r->last];
    if (value->level == LEVEL_FILE && option_rows[r->last].kind != OPTION_LIST) {
        snprintf(what, sizeof what, "given twice: remove it here or in line %u", value->line);
        return refuse(r, key, what);
    }
    const char *mistake = mistake_in(r->last, text);
    return (!mistake || refuse(r, key, mistake)) &&
           options_set(r->options, r->last, LEVEL_FILE, r->line, text);
}

static bool take_line(struct reading *r, char *line)
{
    bool indented = line[0] == ' ' || line[0] == '\t';
    char *text = trim(line);
    if (*text == '\0' || *text == '#' || *text == ';')
        return true;
    for (const char *c = text; *c; c++)
        if (iscntrl((unsigned char)*c) && *c != '\t')
            return refuse(r, "", "a control character");
    if (indented && r->passing)
        return true;
    if (indented) {
        if (r->last == OPTIONS || option_rows[r->last].kind != OPTION_LIST)
            return refuse(r, "", "an indented line goes on with a list, and there is none here");
        return options_set(r->options, r->last, LEVEL_FILE, r->line, text);
    }
    if (*text == '[')
        return refuse(r, "", "sections are not used here: remove the line");
    char *equals = strchr(text, '=');
    if (!equals)
        return refuse(r, "", "not \"key = value\": there is no \"=\"");
    *equals = '\0';
    return take_pair(r, trim(text), trim(equals + 1));
}

/* NULL, or what makes it another kind of file than a text in UTF-8, and in which line. */
static const char *foreign(const char *text, size_t len, unsigned *line)
{
    uint32_t code;
    *line = 1;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        return "begins with a byte order mark: save it as UTF-8 without one";
    if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return "is UTF-16: save it as UTF-8";
    for (size_t at = 0, n; at < len; at += n) {
        n = text_utf8_char(text + at, len - at, &code);
        if (n == 0)
            return "not UTF-8: save it as UTF-8";
        if (code == 0)
            return "a NUL byte: this is no text file";
        *line += code == '\n';
    }
    return NULL;
}

int config_parse(struct options *o, char *text, size_t len, const char *name)
{
    struct reading r = {.options = o, .name = name, .line = 1, .last = OPTIONS};
    const char *what = foreign(text, len, &r.line);
    if (what) {
        refuse(&r, "", what);
        return EXIT_CONFIG;
    }
    r.line = 1;
    for (char *line = text; line; r.line++) {
        char *next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (!take_line(&r, line) && ++r.mistakes == MISTAKES_MAX) {
            refuse(&r, "", "too many mistakes: the rest is not read");
            break;
        }
        line = next;
    }
    return r.mistakes == 0 ? 0 : EXIT_CONFIG;
}

int config_read(struct options *o)
{
    const char *path = o->values[OPT_CONFIG].text, *why;
    struct stat st = {0};
    size_t len;
    if (!path)
        return 0;
    char *text = file_read(path, CONFIG_MAX, &len, &st, &why);
    if (!text && S_ISREG(st.st_mode) && st.st_size > CONFIG_MAX)
        why = "it is larger than 256 KiB";
    if (!text) {
        log_error("the configuration file %s cannot be read: %s", path, why);
        return EXIT_CONFIG;
    }
    int code = EXIT_CONFIG;
    uid_t user = geteuid();
    /* It says what runs as whom: whoever writes it decides over this start. */
    if ((why = stat_unsafe(&st, user)))
        log_error("the configuration file %s %s: it must belong to %s and be writable by nobody "
                  "else (chown, chmod go-w)",
                  path, why, user == 0 ? "root" : "you or root");
    else
        code = config_parse(o, text, len, path);
    explicit_bzero(text, len);
    free(text);
    return code;
}
