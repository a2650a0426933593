/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/arguments.h"

/* What is shared with tw-agent says its errors in the log: here they are findings. */
static void capture(void *context, enum log_level level, const char *message)
{
    struct check *c = context;
    findings_add(&c->findings, c->capturing,
                 level == LOG_LEVEL_ERROR ? FINDING_ERROR : FINDING_WARNING, NULL, "%s", message);
}

static int take_options(struct check *c, int argc, char **argv)
{
    int code = arguments_take(&c->options, argc, argv);
    return code;
}

static void judge(struct check *c)
{
    static void (*const groups[])(struct check *) = {
        check_configuration, check_memory,  check_token,      check_programs, check_state,
        check_work_dir,      check_metrics, check_schedulers, check_network};
    log_init("ctl", LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    log_to(capture, c);
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        groups[i](c);
    log_to(NULL, NULL);
}

void check_file(struct check *c, const char *path)
{
    *c = (struct check){.has_id = false};
    token_source_init(&c->source);
    if (options_set(&c->options, OPT_CONFIG, LEVEL_OPTION, 0, path))
        judge(c);
}

void check_finish(struct check *c)
{
    explicit_bzero(&c->settings.proxy, sizeof c->settings.proxy);
    token_source_finish(&c->source);
    options_finish(&c->options);
    users_finish(&c->users);
    findings_finish(&c->findings);
}

int check_run(const struct ctl *ctl, int argc, char **argv)
{
    static struct check check;
    struct check *c = &check;
    token_source_init(&c->source);
    int code = take_options(c, argc, argv);
    if (code == CTL_WELL && c->options.values[OPT_HELP].text) {
        printf(
            "Usage: tw-agentctl check [--json] [OPTIONS OF tw-agent] [NAME | "
            "AGENT_CONNECTION_ID]\n\n"
            "Says what this host and configuration can enforce; starts nothing. The options:\n\n");
        options_print_help();
    } else if (code == CTL_WELL) {
        judge(c);
        code = check_print(c, ctl->json) ? CTL_WELL : CTL_PROBLEM;
    }
    check_finish(c);
    return code;
}
