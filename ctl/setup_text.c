/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"
#include "config/config.h"
#include "ctl/setup.h"

/* RFC 9562 section 5.4. */
int setup_make_id(struct setup *s)
{
    unsigned char b[16];
    if (*s->connection_id)
        return CTL_WELL;
    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b) {
        log_error("no random numbers for a connection ID: give --connection-id");
        return CTL_PROBLEM;
    }
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    snprintf(s->connection_id, sizeof s->connection_id,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
    return CTL_WELL;
}

/* Where the token comes from is setup's own affair. */
static bool is_token(enum option_id id)
{
    return id == OPT_ACCESS_TOKEN || id == OPT_TOKEN_FILE || id == OPT_TOKEN_FD;
}

/* Copies a value; a list entry by entry. */
static bool copy(struct options *to, const struct options *from, enum option_id id)
{
    const struct option_value *v = &from->values[id];
    if (option_rows[id].kind != OPTION_LIST)
        return options_set(to, id, v->level, v->line, v->text);
    for (const char *entry = v->text; *entry;) {
        size_t n = strcspn(entry, "\n");
        char *text = span_dup((struct span){entry, n});
        bool ok = text && options_set(to, id, v->level, v->line, text);
        free(text);
        if (!ok)
            return false;
        entry += n + (entry[n] == '\n');
    }
    return true;
}

/* What a variable says of a new instance, its --help having named it, goes into the file: the token
 * must not be tried at, nor the service speak to, another Tower than that of this shell. A proxy
 * does not, as the file has no word for the exceptions from it. */
static bool is_of_shell(const struct setup *s, enum option_id id)
{
    bool ours = false;
    for (const enum option_id *p = setup_page.shared; *p != OPTIONS; p++)
        ours = ours || *p == id;
    return ours && !s->exists && id != OPT_PROXY && s->given.values[id].level == LEVEL_VARIABLE;
}

int setup_merge(struct setup *s)
{
    struct options *m = &s->merged;
    if (!options_set(m, OPT_CONFIG, LEVEL_OPTION, 0, s->config) ||
        !options_set(m, OPT_CONNECTION_ID, LEVEL_OPTION, 0, s->connection_id) ||
        !options_set(m, OPT_TOKEN_FILE, LEVEL_OPTION, 0, s->token_file))
        return CTL_PROBLEM;
    for (unsigned i = 0; i < OPTIONS; i++) {
        enum option_id id = (enum option_id)i;
        if (!option_rows[i].key || is_token(id) || id == OPT_CONNECTION_ID)
            continue;
        const struct options *from = s->given.values[i].level == LEVEL_OPTION ? &s->given
                                     : s->old.values[i].level == LEVEL_FILE   ? &s->old
                                     : is_of_shell(s, id)                     ? &s->given
                                                                              : NULL;
        if (from && !copy(m, from, id))
            return CTL_PROBLEM;
    }
    /* In the file all the same, so that whoever reads it sees which Tower it is. */
    if (!m->values[OPT_URL].text &&
        !options_set(m, OPT_URL, LEVEL_FILE, 0, settings_text(m, OPT_URL)))
        return CTL_PROBLEM;
    return CTL_WELL;
}

static bool is_writable(const char *text, bool list)
{
    for (const char *c = text; *c; c++)
        if (((unsigned char)*c < 0x20 && !(list && *c == '\n')) || *c == 0x7f)
            return false;
    return text_is_utf8(text, strlen(text));
}

static bool append(struct buf *b, const char *key, const char *value, size_t len)
{
    return buf_append(b, key, strlen(key)) && buf_append(b, " = ", 3) &&
           buf_append(b, value, len) && buf_append(b, "\n", 1);
}

static bool append_value(struct buf *b, const struct setup *s, enum option_id id)
{
    const char *key = option_rows[id].key, *text = s->merged.values[id].text;
    if (option_rows[id].kind != OPTION_LIST)
        return append(b, key, text, strlen(text));
    for (const char *entry = text; *entry;) {
        size_t n = strcspn(entry, "\n");
        if (!append(b, key, entry, n))
            return false;
        entry += n + (entry[n] == '\n');
    }
    return true;
}

static int refuse(const struct setup *s, enum option_id id)
{
    char origin[512];
    log_error("%s cannot stand in a configuration file: control characters, blanks at its ends, or "
              "no UTF-8",
              options_origin(&s->merged, id, origin, sizeof origin));
    return CTL_USAGE;
}

/* What is read back must be what was meant. */
static int read_back(const struct setup *s)
{
    struct options back = {.connection_id = NULL};
    char *copy_of_text = strdup(s->text);
    int code = !copy_of_text ? CTL_PROBLEM
               : config_parse(&back, copy_of_text, strlen(copy_of_text), s->config) == 0
                   ? CTL_WELL
                   : CTL_USAGE;
    for (unsigned i = 0; i < OPTIONS && code == CTL_WELL; i++) {
        const char *meant = s->merged.values[i].text, *read = back.values[i].text;
        if (option_rows[i].key && (!meant != !read || (meant && strcmp(meant, read) != 0)))
            code = refuse(s, (enum option_id)i);
    }
    if (copy_of_text)
        explicit_bzero(copy_of_text, strlen(s->text));
    free(copy_of_text);
    options_finish(&back);
    return code;
}

int setup_compose(struct setup *s)
{
    static const char head[] =
        "# Written by tw-agentctl setup; tw-agentctl check NAME judges it.\n";
    static const enum option_id first[] = {OPT_CONNECTION_ID, OPT_URL, OPT_TOKEN_FILE, OPT_RUN_AS,
                                           OPT_WORK_DIR};
    bool done[OPTIONS] = {false}, ok;
    struct buf b;
    buf_init(&b, sizeof s->text - 1);
    ok = buf_append(&b, head, sizeof head - 1);
    for (size_t i = 0; i < sizeof first / sizeof *first + OPTIONS && ok; i++) {
        const size_t n = sizeof first / sizeof *first;
        enum option_id id = i < n ? first[i] : (enum option_id)(i - n);
        if (done[id] || !option_rows[id].key || !s->merged.values[id].text)
            continue;
        done[id] = true;
        if (!is_writable(s->merged.values[id].text, option_rows[id].kind == OPTION_LIST)) {
            buf_finish(&b);
            return refuse(s, id);
        }
        ok = append_value(&b, s, id);
    }
    if (ok)
        span_copy(s->text, sizeof s->text, (struct span){buf_data(&b), buf_len(&b)});
    buf_finish(&b);
    if (ok)
        return read_back(s);
    log_error("the configuration is too long");
    return CTL_PROBLEM;
}
