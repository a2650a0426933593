/* SPDX-License-Identifier: Apache-2.0 */
#include "config/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/text.h"
#include "config/config.h"

const char *settings_text(const struct options *o, enum option_id id)
{
    if (o->values[id].text)
        return o->values[id].text;
    return option_rows[id].standard ? option_rows[id].standard : "";
}

static int bad(const struct options *o, enum option_id id, const char *what)
{
    char origin[512];
    log_error("%s: %s", options_origin(o, id, origin, sizeof origin), what);
    return options_bad(o, id);
}

/* The same for the entry of a list that at points into. */
static int bad_entry(const struct options *o, enum option_id id, const char *at, const char *what)
{
    char origin[512];
    log_error("%s: %s", options_entry_origin(o, id, at, origin, sizeof origin), what);
    return options_bad(o, id);
}

static bool parse_octal(const char *text, uint64_t *value)
{
    char *end;
    if (text[strspn(text, "01234567")] != '\0' || !*text || strlen(text) > 8)
        return false;
    *value = strtoul(text, &end, 8);
    return true;
}

static bool parse_choice(const char *choices, const char *text, uint64_t *value)
{
    size_t len = strlen(text);
    for (uint64_t i = 0;; i++) {
        size_t n = strcspn(choices, "|");
        if (n == len && memcmp(choices, text, n) == 0) {
            *value = i;
            return true;
        }
        if (choices[n] == '\0')
            return false;
        choices += n + 1;
    }
}

static bool parse_duration(const struct option_row *row, const char *text, uint64_t *value)
{
    *value = 0;
    if (row->min == 0 && strcasecmp(text, "off") == 0)
        return true;
    return duration_parse(text, value) && *value >= row->min && *value <= row->max;
}

static bool parse_value(const struct option_row *row, const char *text, uint64_t *value)
{
    switch (row->kind) {
    case OPTION_NUMBER:
        return text_number(text, row->max, value) && *value >= row->min;
    case OPTION_OCTAL:
        return parse_octal(text, value) && *value <= row->max;
    case OPTION_DURATION:
        return parse_duration(row, text, value);
    case OPTION_CHOICE:
        return parse_choice(row->choices, text, value);
    case OPTION_SWITCH:
        return parse_choice("no|yes", text, value);
    default:
        return true;
    }
}

static int bad_value(const struct options *o, enum option_id id)
{
    const struct option_row *row = &option_rows[id];
    char what[128];
    switch (row->kind) {
    case OPTION_NUMBER:
        snprintf(what, sizeof what, "not a number from %" PRIu64 " to %" PRIu64, row->min,
                 row->max);
        break;
    case OPTION_OCTAL:
        snprintf(what, sizeof what, "not an octal number up to %03" PRIo64, row->max);
        break;
    case OPTION_CHOICE:
        snprintf(what, sizeof what, "not one of %s", row->choices);
        break;
    case OPTION_SWITCH:
        snprintf(what, sizeof what, "not yes or no");
        break;
    default:
        snprintf(what, sizeof what,
                 "not a duration of %" PRIu64 " ms or more (45s, 2m, 1500ms, "
                 "1h, PT45S, 45)",
                 row->min);
        break;
    }
    return bad(o, id, what);
}

static int take_values(struct settings *s, const struct options *o)
{
    int code = 0;
    for (unsigned i = 0; i < OPTIONS; i++) {
        enum option_id id = (enum option_id)i;
        bool said = o->values[i].text || option_rows[i].standard;
        if (!said || parse_value(&option_rows[i], settings_text(o, id), &s->numbers[i]))
            continue;
        int found = bad_value(o, id);
        code = code ? code : found;
    }
    if (log_level_parse(settings_text(o, OPT_LOG_LEVEL), &s->log_level))
        return code;
    int found = bad(o, OPT_LOG_LEVEL, "not one of error, warn, info, debug, trace");
    return code ? code : found;
}

/* The next entry of a text separated by any of separators; empty ones are passed over. */
static bool next_entry(const char **rest, const char *separators, struct span *entry)
{
    *rest += strspn(*rest, separators);
    *entry = (struct span){*rest, strcspn(*rest, separators)};
    *rest += entry->len;
    return entry->len > 0;
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static int take_pins(struct settings *s, const struct options *o)
{
    const char *rest = settings_text(o, OPT_PIN_SPKI);
    struct span pin;
    while (next_entry(&rest, ", \n", &pin)) {
        if (pin.len != 2 * LIMIT_PIN_BYTES)
            return bad_entry(o, OPT_PIN_SPKI, pin.data, "a pin is 64 hexadecimal digits");
        if (s->pins_len == sizeof s->pins)
            return bad_entry(o, OPT_PIN_SPKI, pin.data, "more than 8 pins");
        for (size_t i = 0; i < pin.len; i += 2) {
            int high = hex_digit(pin.data[i]), low = hex_digit(pin.data[i + 1]);
            if (high < 0 || low < 0)
                return bad_entry(o, OPT_PIN_SPKI, pin.data, "a pin is 64 hexadecimal digits");
            s->pins[s->pins_len++] = (char)(high << 4 | low);
        }
    }
    if (s->pins_len == 0 && o->values[OPT_PIN_SPKI].text)
        return bad(o, OPT_PIN_SPKI, "no pin in it");
    return 0;
}

static bool append(char *out, size_t size, size_t *len, struct span entry)
{
    if (entry.len + 1 > size - *len)
        return false;
    memcpy(out + *len, entry.data, entry.len);
    out[*len + entry.len] = '\0';
    *len += entry.len + 1;
    return true;
}

static int take_set_env(struct settings *s, const struct options *o)
{
    const char *rest = settings_text(o, OPT_SET_ENV);
    struct span entry;
    while (next_entry(&rest, "\n", &entry)) {
        const char *equals = memchr(entry.data, '=', entry.len);
        if (!equals || !text_is_name((struct span){entry.data, (size_t)(equals - entry.data)}))
            return bad_entry(o, OPT_SET_ENV, entry.data, "not NAME=VALUE");
        if (!append(s->set_env, sizeof s->set_env, &s->set_env_len, entry))
            return bad_entry(o, OPT_SET_ENV, entry.data, "more than 8 KiB");
    }
    return 0;
}

static int take_pass_env(struct settings *s, const struct options *o)
{
    const char *rest = settings_text(o, OPT_PASS_ENV);
    struct span entry;
    while (next_entry(&rest, ", \n", &entry)) {
        if (!text_is_name(entry))
            return bad_entry(o, OPT_PASS_ENV, entry.data, "not the name of a variable");
        if (!append(s->pass_env, sizeof s->pass_env, &s->pass_env_len, entry))
            return bad_entry(o, OPT_PASS_ENV, entry.data, "more than 4 KiB");
    }
    return 0;
}

/* As a plain user check_mode refuses any. */
static int take_env_from(struct settings *s, const struct options *o)
{
    const char *from = settings_text(o, OPT_ENV_FROM);
    s->env_from = ENV_FROM_LOGIN;
    if (strcmp(from, "none") == 0)
        s->env_from = ENV_FROM_NONE;
    else if (strncmp(from, "file:/", 6) == 0 && strlen(from + 5) < LIMIT_PATH)
        s->env_from = ENV_FROM_FILE, s->env_file = from + 5;
    else if (*from && strcmp(from, "login") != 0 && geteuid() == 0)
        return bad(o, OPT_ENV_FROM, "not login, none or file:/absolute/path");
    return 0;
}

static int take_env_init(struct settings *s, const struct options *o)
{
    (void)s;
    if (strlen(settings_text(o, OPT_ENV_INIT)) > LIMIT_PATH)
        return bad(o, OPT_ENV_INIT, "more than 4 KiB");
    return 0;
}

static int take_url(struct settings *s, const struct options *o)
{
    const char *why = url_parse(&s->url, settings_text(o, OPT_URL));
    return why ? bad(o, OPT_URL, why) : 0;
}

static int take_connection_id(struct settings *s, const struct options *o)
{
    const char *id = options_connection_id(o);
    size_t len = id ? strlen(id) : 0;
    bool plain = id && text_is_utf8(id, len);
    for (size_t i = 0; i < len; i++)
        plain = plain && (unsigned char)id[i] >= 0x20 && id[i] != 0x7f;
    s->connection_id = id;
    if (plain && len > 0 && len <= LIMIT_CONNECTION_ID)
        return 0;
    const char *what = "not a text of 1 to 1024 bytes without control characters";
    if (id && !o->connection_id)
        return bad(o, OPT_CONNECTION_ID, what);
    log_error("AGENT_CONNECTION_ID is %s",
              len == 0 ? "missing: the connection ID of the credential in Tower; or give "
                         "connection_id in the configuration file"
                       : what);
    return EXIT_USAGE;
}

/* Its directory is judged by whoever can act as the agent's user. */
static int take_metrics(struct settings *s, const struct options *o)
{
    const char *path = settings_text(o, OPT_METRICS_FILE);
    uint64_t mode;
    /* What is no mode at all was told already. */
    bool told =
        !parse_value(&option_rows[OPT_METRICS_MODE], settings_text(o, OPT_METRICS_MODE), &mode);
    (void)s;
    if (!told && mode != 0600 && mode != 0640 && mode != 0644)
        return bad(o, OPT_METRICS_MODE, "not 0600, 0640 or 0644");
    if (!*path)
        return 0;
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : "";
    if (path[0] != '/' || strlen(path) > LIMIT_PATH || strlen(name) > LIMIT_FILE_NAME || !*name ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return bad(o, OPT_METRICS_FILE,
                   "not the absolute path of a file, such as "
                   "/var/lib/prometheus/node-exporter/tw-agent.prom");
    return 0;
}

/* What only one of the modes can do is refused in the other, not passed over. */
static int check_mode(struct settings *s, const struct options *o)
{
    static const enum option_id system_only[] = {OPT_NET_USER, OPT_ENV_FROM};
    s->system_mode = geteuid() == 0;
    for (size_t i = 0; !s->system_mode && i < sizeof system_only / sizeof *system_only; i++)
        if (o->values[system_only[i]].text)
            return bad(o, system_only[i], "only when started as root");
    return 0;
}

static int take_requirements(struct settings *s, const struct options *o)
{
    const char *rest = settings_text(o, OPT_REQUIRE);
    struct requirements one;
    struct span entry;
    char what[256], word[64];
    while (next_entry(&rest, ", \n", &entry)) {
        if (span_copy(word, sizeof word, entry) && requirements_parse(&one, word))
            continue;
        snprintf(what, sizeof what, "the names are %s", requirement_words);
        return bad_entry(o, OPT_REQUIRE, entry.data, what);
    }
    requirements_parse(&s->requirements, settings_text(o, OPT_REQUIRE));
    return 0;
}

static int take_proxy(struct settings *s, const struct options *o)
{
    return proxy_take(&s->proxy, o, s->url.host, s->url.port);
}

static int judge(struct settings *s, const struct options *o, int code)
{
    int (*const steps[])(struct settings *, const struct options *) = {
        take_connection_id, take_values,   take_url,          take_pins,
        take_set_env,       take_pass_env, take_env_from,     take_env_init,
        take_metrics,       check_mode,    take_requirements, take_proxy};
    *s = (struct settings){0};
    /* A file with mistakes may hold it, misspelt. */
    for (size_t i = code != 0 && !options_connection_id(o); i < sizeof steps / sizeof *steps; i++) {
        int found = steps[i](s, o);
        code = code ? code : found;
    }
    return code;
}

int settings_take(struct settings *s, const struct options *o)
{
    return judge(s, o, 0);
}

int settings_read(struct settings *s, struct options *o)
{
    int code = options_read_environment(o);
    return code == 0 ? judge(s, o, config_read(o)) : code;
}
