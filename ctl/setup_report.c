/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl/check.h"
#include "ctl/output.h"
#include "ctl/setup.h"

#define NEXT_MAX  5
#define NEXT_SIZE (LIMIT_PATH + 128)

struct next {
    char commands[NEXT_MAX][NEXT_SIZE];
    size_t n;
};

static bool has_systemd(const struct setup *s)
{
    char path[LIMIT_PATH + 16];
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (s->system_mode)
        return access("/run/systemd/system", F_OK) == 0;
    return runtime && (size_t)snprintf(path, sizeof path, "%s/systemd", runtime) < sizeof path &&
           access(path, F_OK) == 0;
}

static void find_next(const struct setup *s, struct next *next)
{
    const char *user = s->system_mode ? "" : "--user ";
    char(*to)[NEXT_SIZE] = next->commands;
    next->n = 0;
    if (has_systemd(s))
        snprintf(to[next->n++], NEXT_SIZE, "systemctl %s%s tw-agent@%s", user,
                 s->exists ? "restart" : "enable --now", s->name);
    else
        snprintf(to[next->n++], NEXT_SIZE, "tw-agent --config %s", s->config);
    if (has_systemd(s) && !s->system_mode)
        snprintf(to[next->n++], NEXT_SIZE, "loginctl enable-linger");
    snprintf(to[next->n++], NEXT_SIZE, "tw-agentctl doctor %s", s->name);
    snprintf(to[next->n++], NEXT_SIZE, "tw-agentctl selftest %s", s->name);
    snprintf(to[next->n++], NEXT_SIZE,
             "tw-agentctl credentials add --name CREDENTIAL --for %s --wait", s->name);
}

static void print_text(const struct setup *s, const struct next *next)
{
    const char *owner = s->system_mode ? "root:tw-agent, mode 0640" : "mode 0600";
    printf("connection ID  ");
    output_escaped(stdout, s->connection_id, false);
    printf("\n");
    if (*s->backup) {
        printf("kept           ");
        output_escaped(stdout, s->backup, false);
        printf(" (the configuration as it was)\n");
    }
    printf("%s          ", s->keep_token ? "kept " : "wrote");
    output_escaped(stdout, s->token_file, false);
    printf(" (%s)\nwrote          ", owner);
    output_escaped(stdout, s->config, false);
    printf(" (%s)\n\nNext\n", owner);
    for (size_t i = 0; i < next->n; i++) {
        printf("  ");
        output_escaped(stdout, next->commands[i], false);
        putchar('\n');
    }
}

static void print_json(const struct setup *s, const struct next *next, const struct check *c)
{
    putchar('{');
    output_json_bool(stdout, true, "ok", check_is_well(c));
    output_json_text(stdout, false, "name", s->name);
    output_json_text(stdout, false, "connectionId", s->connection_id);
    output_json_text(stdout, false, "config", s->config);
    output_json_text(stdout, false, "tokenFile", s->token_file);
    output_json_bool(stdout, false, "tokenKept", s->keep_token);
    output_json_text(stdout, false, "backup", s->backup);
    printf(",\"next\":[");
    for (size_t i = 0; i < next->n; i++) {
        printf("%s\"", i ? "," : "");
        output_escaped(stdout, next->commands[i], true);
        putchar('"');
    }
    printf("],\"check\":");
    check_print(c, true);
    /* check_print ends its object with a line end, which JSON allows here. */
    printf("}\n");
}

int setup_report(struct setup *s)
{
    static struct check check;
    struct next next;
    find_next(s, &next);
    check_file(&check, s->config);
    if (s->json) {
        print_json(s, &next, &check);
    } else {
        print_text(s, &next);
        check_print_problems(&check);
    }
    bool well = check_is_well(&check) && fflush(stdout) == 0;
    check_finish(&check);
    return well ? CTL_WELL : CTL_PROBLEM;
}
