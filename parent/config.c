/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "parent/files.h"

#define CONFIG_MAX 262144

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
    enum option_id last; /* an indented line goes on with it */
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

static bool take_line(struct reading *r, char *line)
{
    bool indented = line[0] == ' ' || line[0] == '\t';
    char *text = trim(line);
    if (*text == '\0' || *text == '#' || *text == ';')
        return true;
    if (indented) {
        if (r->last == OPTIONS || option_rows[r->last].kind != OPTION_LIST)
            return refuse(r, "", "an indented line goes on with a list, and there is none here");
        return options_set(r->options, r->last, LEVEL_FILE, r->line, text);
    }
    if (*text == '[')
        return refuse(r, "", "sections are not used here");
    char *equals = strchr(text, '=');
    if (!equals)
        return refuse(r, "", "not \"key = value\"");
    *equals = '\0';
    char *key = trim(text);
    /* Nothing of the value is repeated: a misplaced token must not reach the log. */
    if (strcmp(key, "access_token") == 0)
        return refuse(r, key, "the token does not belong here; name its file by token_file");
    r->last = find_key(key);
    if (r->last == OPTIONS)
        return refuse(r, is_plain(key) ? key : "",
                      "unknown key (docs/configuration.md lists them)");
    if (r->options->values[r->last].level == LEVEL_FILE && option_rows[r->last].kind != OPTION_LIST)
        return refuse(r, key, "given twice");
    return options_set(r->options, r->last, LEVEL_FILE, r->line, trim(equals + 1));
}

int config_parse(struct options *o, char *text, size_t len, const char *name)
{
    struct reading r = {.options = o, .name = name, .line = 1, .last = OPTIONS};
    if (strlen(text) != len || !text_is_utf8(text, len)) {
        log_error("%s: not a text file in UTF-8", name);
        return EXIT_CONFIG;
    }
    for (char *line = text; line; r.line++) {
        char *next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (!take_line(&r, line))
            return EXIT_CONFIG;
        line = next;
    }
    return 0;
}

int config_read(struct options *o)
{
    const char *path = o->values[OPT_CONFIG].text, *why;
    struct stat st;
    size_t len;
    if (!path)
        return 0;
    char *text = file_read(path, CONFIG_MAX, &len, &st, &why);
    if (!text) {
        log_error("the configuration file %s cannot be read: %s", path, why);
        return EXIT_CONFIG;
    }
    int code = EXIT_CONFIG;
    /* It says whom commands run as: whoever writes it decides over root's start. */
    if (geteuid() == 0 && (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH))))
        log_error("the configuration file %s must belong to root and be writable by root alone",
                  path);
    else
        code = config_parse(o, text, len, path);
    explicit_bzero(text, len);
    free(text);
    return code;
}
