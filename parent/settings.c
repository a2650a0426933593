/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/text.h"

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
    case OPTION_NO:
        return strcmp(text, "no") == 0;
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
    case OPTION_NO:
        snprintf(what, sizeof what, "not supported in this version; say no");
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
    for (unsigned i = 0; i < OPTIONS; i++) {
        enum option_id id = (enum option_id)i;
        bool said = o->values[i].text || option_rows[i].standard;
        if (said && !parse_value(&option_rows[i], settings_text(o, id), &s->numbers[i]))
            return bad_value(o, id);
    }
    if (!log_level_parse(settings_text(o, OPT_LOG_LEVEL), &s->log_level))
        return bad(o, OPT_LOG_LEVEL, "not one of error, warn, info, debug, trace");
    return 0;
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
            return bad(o, OPT_PIN_SPKI, "a pin is 64 hexadecimal digits");
        if (s->pins_len == sizeof s->pins)
            return bad(o, OPT_PIN_SPKI, "more than 8 pins");
        for (size_t i = 0; i < pin.len; i += 2) {
            int high = hex_digit(pin.data[i]), low = hex_digit(pin.data[i + 1]);
            if (high < 0 || low < 0)
                return bad(o, OPT_PIN_SPKI, "a pin is 64 hexadecimal digits");
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

static int take_environment(struct settings *s, const struct options *o)
{
    const char *rest = settings_text(o, OPT_SET_ENV);
    struct span entry;
    while (next_entry(&rest, "\n", &entry)) {
        const char *equals = memchr(entry.data, '=', entry.len);
        if (!equals || !text_is_name((struct span){entry.data, (size_t)(equals - entry.data)}))
            return bad(o, OPT_SET_ENV, "not NAME=VALUE");
        if (!append(s->set_env, sizeof s->set_env, &s->set_env_len, entry))
            return bad(o, OPT_SET_ENV, "more than 8 KiB");
    }
    rest = settings_text(o, OPT_PASS_ENV);
    while (next_entry(&rest, ", \n", &entry)) {
        if (!text_is_name(entry))
            return bad(o, OPT_PASS_ENV, "not the name of a variable");
        if (!append(s->pass_env, sizeof s->pass_env, &s->pass_env_len, entry))
            return bad(o, OPT_PASS_ENV, "more than 4 KiB");
    }
    const char *from = settings_text(o, OPT_ENV_FROM);
    s->env_from = ENV_FROM_LOGIN;
    if (strcmp(from, "none") == 0)
        s->env_from = ENV_FROM_NONE;
    else if (strncmp(from, "file:/", 6) == 0 && strlen(from + 5) < LIMIT_PATH)
        s->env_from = ENV_FROM_FILE, s->env_file = from + 5;
    else if (*from && strcmp(from, "login") != 0)
        return bad(o, OPT_ENV_FROM, "not login, none or file:/absolute/path");
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
    size_t len = o->connection_id ? strlen(o->connection_id) : 0;
    bool plain = text_is_utf8(o->connection_id, len);
    for (size_t i = 0; i < len; i++)
        plain = plain && (unsigned char)o->connection_id[i] >= 0x20 && o->connection_id[i] != 0x7f;
    if (len == 0)
        log_error("AGENT_CONNECTION_ID is missing: the connection ID of the credential in Tower");
    else if (!plain || len > LIMIT_CONNECTION_ID)
        log_error(
            "AGENT_CONNECTION_ID is not a text of 1 to 1024 bytes without control characters");
    else
        return s->connection_id = o->connection_id, 0;
    return EXIT_USAGE;
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

int settings_take(struct settings *s, const struct options *o)
{
    int (*const steps[])(struct settings *, const struct options *) = {
        take_connection_id, take_values, take_url, take_pins, take_environment, check_mode};
    *s = (struct settings){0};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int code = steps[i](s, o);
        if (code != 0)
            return code;
    }
    if (!requirements_parse(&s->requirements, settings_text(o, OPT_REQUIRE)))
        return bad(o, OPT_REQUIRE,
                   "the names are landlock>=N, seccomp, split-uid, secret-memory, "
                   "token-unreachable, member-isolation");
    return proxy_take(&s->proxy, o, s->url.host, s->url.port);
}
