/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/setup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "config/ca.h"
#include "config/config.h"
#include "ctl/arguments.h"
#include "ctl/http.h"
#include "ctl/token.h"

enum own { OWN_CONNECTION_ID, OWN_FORCE, OWN_OFFLINE, OWN_YES, OWN_END };

static const struct parameter own[] = {
    [OWN_CONNECTION_ID] = {"connection-id", "ID",
                           "that of the credential in Tower; else a new UUID"},
    [OWN_FORCE] = {"force", NULL,
                   "changes an instance that is there; what is not given is kept, and the file as "
                   "it was stays as NAME.conf.bak"},
    [OWN_OFFLINE] = {"offline", NULL, "does not ask Tower whether URL and token are right"},
    [OWN_YES] = {"yes", NULL, "makes missing service users and the work directory without asking"},
    [OWN_END] = {NULL, NULL, NULL}};

static const enum option_id shared[] = {
    OPT_RUN_AS,    OPT_URL,          OPT_WORK_DIR,        OPT_TOKEN_FILE, OPT_TOKEN_FD,
    OPT_CA_FILE,   OPT_PROXY_FILE,   OPT_PROXY,           OPT_PIN_SPKI,   OPT_REQUIRE,
    OPT_STATE_DIR, OPT_MAX_COMMANDS, OPT_COMMAND_TIMEOUT, OPT_MAX_OUTPUT, OPT_HEARTBEAT,
    OPT_ISOLATE,   OPT_LOG_LEVEL,    OPT_LOG_FORMAT,      OPTIONS};

const struct page setup_page = {
    .name = "setup",
    .arguments = "[OPTIONS] NAME",
    .help = "writes configuration and token of an instance, and judges them",
    .own = own,
    .shared = shared,
    .positionals = 1,
    .more =
        "As root NAME is /etc/tw-agent/NAME.conf with NAME.token beside it, for root:tw-agent; "
        "else they are in\n~/.config/tw-agent, for you alone. The token is read from --token-file "
        "or --token-fd, or asked for.\n"};

static bool given_name(struct setup *s)
{
    const struct options *o = &s->given;
    const char *name = o->connection_id, *slash;
    static char held[INSTANCE_NAME_MAX + 8];
    /* An instance that is there was found by its name: its file's. */
    if (!name && o->values[OPT_CONFIG].text) {
        slash = strrchr(o->values[OPT_CONFIG].text, '/');
        name = slash ? slash + 1 : "";
        size_t len = strlen(name);
        if (len > 5 && strcmp(name + len - 5, ".conf") == 0 &&
            span_copy(held, sizeof held, (struct span){name, len - 5}))
            name = held;
    }
    s->name = name;
    return name && instance_name_valid(name);
}

static int take_arguments(struct setup *s, int argc, char **argv)
{
    const char *values[OWN_END];
    if (!page_take(&setup_page, values, &argc, argv))
        return CTL_USAGE;
    /* Before the name stands for its file: --config is no option here. */
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strncmp(argv[i], "--config", 8) == 0)
            return log_error("tw-agentctl setup has no option --config: give NAME"), CTL_USAGE;
    int code = arguments_take_token(&s->given, &s->token, argc, argv);
    if (code != CTL_WELL || s->given.values[OPT_HELP].text)
        return code;
    enum option_level config = s->given.values[OPT_CONFIG].level;
    s->given.values[OPT_CONFIG].level = LEVEL_FILE;
    bool good = page_check(&setup_page, &s->given);
    s->given.values[OPT_CONFIG].level = config;
    if (!good)
        return CTL_USAGE;
    if (!given_name(s)) {
        log_error("NAME must be 1 to 64 letters, digits, '_', '.' and '-', not beginning with '.' "
                  "or '-'");
        return CTL_USAGE;
    }
    s->force = values[OWN_FORCE];
    s->offline = values[OWN_OFFLINE];
    s->yes = values[OWN_YES];
    if (values[OWN_CONNECTION_ID] && !*values[OWN_CONNECTION_ID]) {
        log_error("--connection-id is empty: leave it out for a new UUID");
        return CTL_USAGE;
    }
    if (!values[OWN_CONNECTION_ID] ||
        span_copy(s->connection_id, sizeof s->connection_id, span_of(values[OWN_CONNECTION_ID])))
        return CTL_WELL;
    log_error("--connection-id: at most 1024 bytes");
    return CTL_USAGE;
}

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static int find_places(struct setup *s)
{
    s->system_mode = geteuid() == 0;
    if (!instance_directory(s->system_mode, s->directory, sizeof s->directory) ||
        !instance_file(s->name, ".conf", s->system_mode, s->config, sizeof s->config) ||
        !instance_file(s->name, ".token", s->system_mode, s->token_file, sizeof s->token_file)) {
        log_error("no place for the configuration: HOME is not set");
        return CTL_PROBLEM;
    }
    s->exists = is_there(s->config);
    s->has_token = is_there(s->token_file);
    if ((!s->exists && !s->has_token) || s->force)
        return CTL_WELL;
    log_error("%s is there already: --force changes it and keeps what is not given; see "
              "tw-agentctl check %s",
              s->exists ? s->config : s->token_file, s->name);
    return CTL_PROBLEM;
}

/* What is there, and what of it is kept. */
static int read_old(struct setup *s)
{
    const char *id;
    if (!s->exists)
        return CTL_WELL;
    if (!options_set(&s->old, OPT_CONFIG, LEVEL_OPTION, 0, s->config) ||
        config_read(&s->old) != 0) {
        log_error("what is there cannot be kept: repair %s, or remove it", s->config);
        return CTL_CONFIGURATION;
    }
    id = s->old.values[OPT_CONNECTION_ID].text;
    if (!*s->connection_id && id)
        span_copy(s->connection_id, sizeof s->connection_id, span_of(id));
    return CTL_WELL;
}

/* By the same code as the agent. */
static int judge(struct setup *s)
{
    const char *path, *why;
    size_t len;
    int code = settings_take(&s->settings, &s->merged);
    if (code == 0)
        code = users_find(&s->users, &s->settings, &s->merged);
    if (code != 0)
        return code == EXIT_USAGE ? CTL_USAGE : CTL_CONFIGURATION;
    char *pem = ca_read(&s->merged, &len, &path, &why);
    if (!pem)
        log_error("%s%s%s", path ? path : "", path ? ": " : "", why);
    bool good = pem;
    free(pem);
    return good ? CTL_WELL : CTL_CONFIGURATION;
}

static int take_token(struct setup *s)
{
    const struct option_value *v = s->given.values;
    /* One that happens to be in this shell's environment replaces none that is there. */
    if (s->has_token)
        arguments_forget(&s->given, OPT_ACCESS_TOKEN);
    bool said = v[OPT_ACCESS_TOKEN].text || v[OPT_TOKEN_FILE].text || v[OPT_TOKEN_FD].text;
    s->keep_token = s->has_token && !said;
    return token_obtain(&s->token, &s->given, s->has_token ? s->token_file : NULL);
}

/* Whether what Tower says forbids going on. */
static int judge_answer(const struct http_result *r, const char *what)
{
    int code = http_exit_code(r);
    if (code == CTL_WELL)
        return CTL_WELL;
    if (code == CTL_UNREACHABLE || r->code != 0 || r->status >= 500 || r->status == 429) {
        log_warn("%s was not tried: %s; tw-agentctl doctor says more", what, r->detail);
        return CTL_UNREACHABLE;
    }
    log_error("%s; nothing was written (--offline does not ask Tower)", r->detail);
    return code;
}

static int ask(struct http *h, const char *path, bool anonymous, const char *what)
{
    const struct http_request request = {.method = "GET", .path = path, .anonymous = anonymous};
    struct http_result r;
    http_perform(h, &request, &r);
    int code = judge_answer(&r, what);
    if (code == CTL_WELL && anonymous && !json_object_get(r.json, "serviceInfo")) {
        log_error(
            "what answers at the URL is not a Tower: it must be the API endpoint, on-premises "
            "https://HOST/api; nothing was written (--offline does not ask)");
        code = CTL_CONFIGURATION;
    }
    http_result_finish(&r);
    return code;
}

/* Tower is asked when it can be reached. */
static int ask_tower(struct setup *s)
{
    if (s->offline)
        return CTL_WELL;
    struct http *h = http_new(&s->settings, &s->merged, &s->token);
    if (!h)
        return CTL_CONFIGURATION;
    int code = ask(h, "/service-info", true, "the URL");
    if (code == CTL_WELL)
        code = ask(h, "/user", false, "the token");
    http_free(h);
    return code == CTL_UNREACHABLE ? CTL_WELL : code;
}

static int walk(struct setup *s)
{
    int (*const steps[])(struct setup *) = {
        find_places,   read_old,   setup_make_id, setup_merge,    setup_users, judge,
        setup_compose, take_token, ask_tower,     setup_work_dir, setup_write, setup_report};
    int code = CTL_WELL;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && code == CTL_WELL; i++)
        code = steps[i](s);
    return code;
}

static void finish(struct setup *s)
{
    secret_finish(&s->token);
    explicit_bzero(&s->settings.proxy, sizeof s->settings.proxy);
    explicit_bzero(s->text, sizeof s->text); /* a proxy's password may be in it */
    options_finish(&s->given);
    options_finish(&s->old);
    options_finish(&s->merged);
    users_finish(&s->users);
}

int setup_run(const struct ctl *ctl, int argc, char **argv)
{
    static struct setup s;
    s.json = ctl->json;
    umask(077);
    if (secret_init(&s.token) != 0)
        return log_error("no memory for the token: %s", strerror(errno)), CTL_PROBLEM;
    int code = take_arguments(&s, argc, argv);
    if (code == CTL_USAGE)
        page_print_usage(&setup_page, stderr);
    else if (code == CTL_WELL && s.given.values[OPT_HELP].text)
        page_print(&setup_page, stdout);
    else if (code == CTL_WELL)
        code = walk(&s);
    finish(&s);
    return code;
}
