/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line, variables and configuration file, from their texts to the settings, as the parent
 * takes them. What is accepted is within the table's bounds, fits the messages to the children, and
 * is the same when it is read again; nothing of a value reaches the log; the token is no option.
 *
 * Input: a byte of flags; arguments, a line each, up to a NUL; variables' values, a line each in
 * the order of the table, up to a NUL; the file; the proxy's file is its last line. Each $ stands
 * for SECRET, which the agent's own texts do not hold.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "config/config.h"
#include "config/settings.h"
#include "ipc/message.h"
#include "tests/fuzz/fuzz.h"

#define SECRET "Z9q7Yx2W"

#define ARGUMENTS_MOST 24
#define NAME           "agent.conf"

static struct world {
    bool root;
    char *arguments[ARGUMENTS_MOST + 2];
    int argc;
    char *variables[2 * OPTIONS];
    char *file, *proxy_file;
    size_t file_len;
    unsigned tokens; /* taken from the command line */
} world;

/* ---- what the code under test asks the system ---- */

uid_t __wrap_geteuid(void);
char *__wrap_getenv(const char *name);
char *__wrap_file_read(const char *path, size_t max, size_t *len, struct stat *st,
                       const char **why);

uid_t __wrap_geteuid(void)
{
    return world.root ? 0 : 1000;
}

char *__wrap_getenv(const char *name)
{
    for (size_t i = 0; i < OPTIONS; i++)
        for (size_t k = 0; k < 2; k++)
            if (option_rows[i].variables[k] && strcmp(option_rows[i].variables[k], name) == 0)
                return world.variables[2 * i + k];
    return NULL;
}

char *__wrap_file_read(const char *path, size_t max, size_t *len, struct stat *st, const char **why)
{
    (void)path;
    (void)st;
    *why = "No such file or directory";
    *len = world.proxy_file ? strlen(world.proxy_file) : 0;
    return world.proxy_file && *len <= max ? span_dup(span_of(world.proxy_file)) : NULL;
}

/* ---- the input ---- */

/* A copy with every $ replaced; *len gets its length. */
static char *expand(struct span s, size_t *len)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < s.len; i++)
        n += s.data[i] == '$';
    char *out = malloc(s.len + n * sizeof SECRET + 1);
    CHECK(out);
    for (size_t i = 0; i < s.len; i++) {
        size_t more = s.data[i] == '$' ? sizeof SECRET - 1 : 1;
        memcpy(out + at, s.data[i] == '$' ? SECRET : s.data + i, more);
        at += more;
    }
    out[at] = '\0';
    *len = at;
    return out;
}

static struct input section(struct input *in)
{
    const uint8_t *end = in->left ? memchr(in->at, '\0', in->left) : NULL;
    struct span s = input_take(in, end ? (size_t)(end - in->at) : in->left);
    input_byte(in);
    return (struct input){(const uint8_t *)s.data, s.len};
}

static void read_input(struct input *in)
{
    size_t len;
    world = (struct world){.root = input_byte(in) & 1};
    struct input arguments = section(in), variables = section(in);
    world.arguments[world.argc++] = expand(span_of("tw-agent"), &len);
    while (arguments.left && world.argc <= ARGUMENTS_MOST)
        world.arguments[world.argc++] = expand(input_line(&arguments), &len);
    for (size_t i = 0; i < 2 * OPTIONS && variables.left; i++)
        if (option_rows[i / 2].variables[i % 2])
            world.variables[i] = expand(input_line(&variables), &len);
    struct span file = input_take(in, SIZE_MAX);
    const char *last = file.len ? memrchr(file.data, '\n', file.len) : NULL;
    if (last) {
        struct span proxy = {last + 1, file.len - (size_t)(last + 1 - file.data)};
        world.proxy_file = expand(proxy, &len);
    }
    world.file = expand(file, &world.file_len);
}

static void forget_input(void)
{
    for (int i = 0; i < world.argc; i++)
        free(world.arguments[i]);
    for (size_t i = 0; i < 2 * OPTIONS; i++)
        free(world.variables[i]);
    free(world.file);
    free(world.proxy_file);
}

/* As parent/token.c does it. */
static void take_token(void *context, char *value)
{
    struct world *w = context;
    w->tokens++;
    explicit_bzero(value, strlen(value));
}

/* ---- what must hold ---- */

static void check_url(const struct url *url)
{
    struct url again;
    CHECK(url->host[0] && url->port != 0);
    CHECK(url->path[0] == '\0' || (url->path[0] == '/' && url->path[strlen(url->path) - 1] != '/'));
    CHECK(url_parse(&again, url->text) == NULL);
    CHECK(strcmp(again.host, url->host) == 0 && again.port == url->port);
    CHECK(strcmp(again.path, url->path) == 0 && strcmp(again.text, url->text) == 0);
}

static void check_proxy(const struct proxy *p)
{
    struct proxy again;
    CHECK(proxy_parse(&again, p->address) == NULL);
    CHECK(strcmp(again.address, p->address) == 0 && again.credentials[0] == '\0');
    for (const char *c = p->credentials; *c; c++)
        CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_numbers(const struct settings *s, const struct options *o)
{
    for (unsigned i = 0; i < OPTIONS; i++) {
        const struct option_row *row = &option_rows[i];
        bool said = o->values[i].text || row->standard;
        bool bounded =
            row->kind == OPTION_NUMBER || row->kind == OPTION_OCTAL || row->kind == OPTION_DURATION;
        if (said && bounded)
            CHECK(s->numbers[i] >= row->min && s->numbers[i] <= row->max);
        if (said && row->kind == OPTION_CHOICE)
            CHECK(s->numbers[i] <= 1);
    }
}

/* NUL-terminated entries, each NAME or NAME=VALUE. */
static void check_entries(const char *entries, size_t len, size_t size, bool values)
{
    CHECK(len <= size && (len == 0 || entries[len - 1] == '\0'));
    for (size_t at = 0; at < len; at += strlen(entries + at) + 1) {
        size_t name = strcspn(entries + at, "=");
        CHECK(text_is_name((struct span){entries + at, name}));
        CHECK(values == (entries[at + name] == '='));
    }
}

/* As children.c puts them together; what is not of the settings is at its least. */
static void check_messages(const struct settings *s, const struct options *o)
{
    static char frame[LIMIT_PACKET];
    const char *metrics = settings_text(o, OPT_METRICS_FILE);
    struct msg_core_config core = {.log_level = s->log_level,
                                   .log_format = s->numbers[OPT_LOG_FORMAT],
                                   .heartbeat_ms = s->numbers[OPT_HEARTBEAT],
                                   .max_commands = s->numbers[OPT_MAX_COMMANDS],
                                   .max_output = s->numbers[OPT_MAX_OUTPUT],
                                   .max_results_memory = s->numbers[OPT_MAX_RESULTS_MEMORY],
                                   .max_results_disk = s->numbers[OPT_MAX_RESULTS_DISK],
                                   .metrics_mode = s->numbers[OPT_METRICS_MODE],
                                   .metrics_name =
                                       span_of(*metrics ? strrchr(metrics, '/') + 1 : "m"),
                                   .connection_id = span_of(s->connection_id),
                                   .url = span_of(s->url.text),
                                   .user_name = span_of("u"),
                                   .probe = span_of("/p")};
    struct msg_exec_config exec = {.umask = s->numbers[OPT_UMASK],
                                   .isolation = s->numbers[OPT_ISOLATE],
                                   .max_commands = s->numbers[OPT_MAX_COMMANDS],
                                   .max_output = s->numbers[OPT_MAX_OUTPUT],
                                   .command_timeout_ms = s->numbers[OPT_COMMAND_TIMEOUT],
                                   .env_from = s->env_from,
                                   .ignored_signals = {"\0\0\0\0\0\0\0", 8},
                                   .blocked_signals = {"\0\0\0\0\0\0\0", 8},
                                   .work_dir = span_of("/"),
                                   .env_file = span_of(s->env_file),
                                   .env_init = span_of(settings_text(o, OPT_ENV_INIT)),
                                   .user = span_of("u"),
                                   .set_env = {s->set_env, s->set_env_len},
                                   .pass_env = {s->pass_env, s->pass_env_len}};
    struct msg_launcher_config net = {.port = s->url.port,
                                      .host = span_of(s->url.host),
                                      .proxy = span_of(s->proxy.address),
                                      .proxy_auth = span_of(s->proxy.credentials)};
    struct msg_session_config session = {.port = s->url.port,
                                         .host = span_of(s->url.host),
                                         .url_path = span_of(s->url.path),
                                         .connection_id = span_of(s->connection_id),
                                         .pins = {s->pins, s->pins_len}};
    CHECK(ipc_encode(frame, sizeof frame, MSG_core_config, &core) > 0);
    CHECK(ipc_encode(frame, sizeof frame, MSG_exec_config, &exec) > 0);
    CHECK(ipc_encode(frame, sizeof frame, MSG_launcher_config, &net) > 0);
    CHECK(ipc_encode(frame, sizeof frame, MSG_session_config, &session) > 0);
}

static void check_settings(const struct settings *s, const struct options *o)
{
    CHECK(s->system_mode == world.root);
    check_url(&s->url);
    check_proxy(&s->proxy);
    check_numbers(s, o);
    check_entries(s->set_env, s->set_env_len, sizeof s->set_env, true);
    check_entries(s->pass_env, s->pass_env_len, sizeof s->pass_env, false);
    CHECK(s->pins_len % LIMIT_PIN_BYTES == 0 && s->pins_len <= sizeof s->pins);
    CHECK((s->env_from == ENV_FROM_FILE) == (s->env_file != NULL));
    check_messages(s, o);
}

/* A file's name may be said, and is not a secret: it is the one thing that is repeated. */
static void check_log(void)
{
    CHECK(!fuzz_log_has(span_of(SECRET)));
}

static int take(struct options *o, struct settings *s)
{
    int code = options_read_arguments(o, take_token, &world, world.argc, world.arguments);
    CHECK(code == 0 || code == EXIT_USAGE);
    CHECK(!o->values[OPT_ACCESS_TOKEN].text || !*o->values[OPT_ACCESS_TOKEN].text);
    CHECK(o->values[OPT_ACCESS_TOKEN].level != LEVEL_OPTION || world.tokens > 0);
    if (o->values[OPT_CONFIG].text) { /* the name is repeated in messages; ours is tame */
        free(o->values[OPT_CONFIG].text);
        o->values[OPT_CONFIG] = (struct option_value){0};
    }
    if (code == 0)
        code = options_set(o, OPT_CONFIG, LEVEL_OPTION, 0, NAME) ? 0 : EXIT_OTHER;
    if (code == 0)
        code = options_read_environment(o);
    if (code != 0)
        return code;
    /* What is good in a bad file is judged too. */
    code = config_parse(o, world.file, world.file_len, NAME);
    int found = settings_take(s, o);
    return code ? code : found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct settings s;
    struct input in = {data, size};
    struct options o = {0};
    fuzz_log_clear();
    read_input(&in);
    int code = take(&o, &s);
    CHECK(code == 0 || code == EXIT_USAGE || code == EXIT_CONFIG);
    CHECK((code == 0) == (fuzz_log.lines == 0));
    check_log();
    if (code == 0)
        check_settings(&s, &o);
    options_finish(&o);
    forget_input();
    return 0;
}
