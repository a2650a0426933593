/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/tower.h"

#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/log.h"
#include "config/config.h"
#include "config/instances.h"
#include "ctl/arguments.h"
#include "ctl/token.h"

/* Below, nobody answers; above, a hung connection is not noticed. */
#define TIMEOUT_MIN_MS 100
#define TIMEOUT_MAX_MS 600000

const char *tower_value(const struct tower *t, const char *name)
{
    for (int i = 0; t->page->own[i].name; i++)
        if (strcmp(t->page->own[i].name, name) == 0)
            return t->values[i];
    return NULL;
}

static int usage(const struct tower *t)
{
    page_print_usage(t->page, stderr);
    return CTL_USAGE;
}

/* --for NAME is --config of the file of that instance, which has to exist. */
static int find_instance(struct tower *t)
{
    char path[LIMIT_PATH + 1];
    const char *name = tower_value(t, "for");
    if (!name)
        return CTL_WELL;
    if (t->options.values[OPT_CONFIG].text) {
        log_error("give one of --for and --config");
        return CTL_USAGE;
    }
    if (!instance_name_valid(name)) {
        log_error("--for: the name of an instance has letters, digits, '_', '.' and '-', at most "
                  "%d, and begins with none of the latter two",
                  INSTANCE_NAME_MAX);
        return CTL_USAGE;
    }
    if (!instance_file(name, ".conf", geteuid() == 0, path, sizeof path) ||
        access(path, F_OK) != 0) {
        log_error("there is no instance '%s': no file %s (tw-agentctl setup makes one)", name,
                  path);
        return CTL_CONFIGURATION;
    }
    /* Its file says which Tower it is: its token is for no other one that this shell names. */
    if (t->options.values[OPT_URL].level == LEVEL_VARIABLE)
        arguments_forget(&t->options, OPT_URL);
    return options_set(&t->options, OPT_CONFIG, LEVEL_OPTION, 0, path) ? CTL_WELL : CTL_PROBLEM;
}

/* The instance whose file the configuration file is, however it was given. */
static void name_instance(struct tower *t)
{
    char path[LIMIT_PATH + 1];
    const char *config = t->options.values[OPT_CONFIG].text;
    const char *slash = config ? strrchr(config, '/') : NULL,
               *dot = config ? strrchr(config, '.') : NULL;
    if (slash && dot > slash &&
        span_copy(t->instance, sizeof t->instance,
                  (struct span){slash + 1, (size_t)(dot - slash) - 1}) &&
        instance_file(t->instance, ".conf", geteuid() == 0, path, sizeof path) &&
        strcmp(path, config) == 0)
        return;
    t->instance[0] = '\0';
}

static int take_settings(struct tower *t)
{
    const char *id = tower_value(t, "connection-id");
    int code = config_read(&t->options);
    name_instance(t);
    if (code != 0)
        return code;
    if (id)
        t->options.connection_id = id;
    t->has_id = options_connection_id(&t->options);
    /* Tower can be asked without one; the settings always have it. */
    if (!t->has_id)
        t->options.connection_id = "none";
    return settings_take(&t->settings, &t->options);
}

static bool take_timeout(struct tower *t)
{
    const char *text = tower_value(t, "timeout");
    uint64_t ms;
    t->timeout_ms = HTTP_TIMEOUT_MS;
    if (!text)
        return true;
    if (!duration_parse(text, &ms) || ms < TIMEOUT_MIN_MS || ms > TIMEOUT_MAX_MS) {
        log_error("--timeout is not a duration from 100 ms to 10 minutes, such as 30s");
        return false;
    }
    t->timeout_ms = ms;
    return true;
}

bool tower_arguments(struct tower *t, const struct ctl *ctl, const struct page *page, int argc,
                     char **argv, int *code)
{
    *t = (struct tower){.ctl = ctl, .page = page};
    *code = CTL_PROBLEM;
    if (secret_init(&t->token) != 0) {
        log_error("no memory for the token");
        return false;
    }
    /* The token is wiped from argv before anything else is judged. */
    bool own = page_take(page, t->values, &argc, argv);
    *code = arguments_take_token(&t->options, &t->token, argc, argv);
    if (*code == CTL_WELL && t->options.values[OPT_HELP].text) {
        page_print(page, stdout);
        return false;
    }
    if (!own || *code == CTL_USAGE || (*code == CTL_WELL && !page_check(page, &t->options)))
        *code = usage(t);
    if (*code == CTL_WELL)
        *code = take_timeout(t) ? find_instance(t) : CTL_USAGE;
    if (*code == CTL_WELL)
        *code = take_settings(t);
    return *code == CTL_WELL;
}

int tower_connect(struct tower *t)
{
    char path[LIMIT_PATH + 1];
    bool beside =
        *t->instance && instance_file(t->instance, ".token", geteuid() == 0, path, sizeof path);
    int code = token_obtain(&t->token, &t->options, beside ? path : NULL);
    if (code != CTL_WELL)
        return code;
    t->http = http_new(&t->settings, &t->options, &t->token);
    if (!t->http)
        return CTL_CONFIGURATION;
    http_set_timeout(t->http, t->timeout_ms);
    return CTL_WELL;
}

int tower_failed(const struct http_result *r)
{
    log_error("%s", r->detail);
    return (int)http_exit_code(r);
}

int tower_request(struct tower *t, const char *method, const char *path, const json_t *body,
                  json_t **json)
{
    const struct http_request request = {.method = method, .path = path, .body = body};
    struct http_result result;
    http_perform(t->http, &request, &result);
    int code = result.failure == HTTP_NONE ? CTL_WELL : tower_failed(&result);
    if (json)
        *json = code == CTL_WELL ? json_incref(result.json) : NULL;
    http_result_finish(&result);
    return code;
}

const char *tower_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

void tower_finish(struct tower *t)
{
    http_free(t->http);
    secret_finish(&t->token);
    explicit_bzero(&t->settings.proxy, sizeof t->settings.proxy);
    options_finish(&t->options);
}
