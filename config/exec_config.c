/* SPDX-License-Identifier: Apache-2.0 */
#include "config/exec_config.h"

void exec_config_fill(struct msg_exec_config *m, const struct options *o, const struct settings *s,
                      const struct users *u, const struct facts *f, const struct start_state *start,
                      char *work_dir)
{
    const struct identity *id = &u->commands;
    bool umask_fixed = o->values[OPT_UMASK].text != NULL;
    _Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups travel as uint32_t");
    *m = (struct msg_exec_config){
        .uid = id->uid,
        .gid = id->gid,
        .system_mode = s->system_mode,
        .log_level = s->log_level,
        .log_format = s->numbers[OPT_LOG_FORMAT],
        .umask_fixed = umask_fixed,
        .umask = umask_fixed ? s->numbers[OPT_UMASK] : start->umask,
        .isolation = s->numbers[OPT_ISOLATE],
        .max_commands = s->numbers[OPT_MAX_COMMANDS],
        .max_output = s->numbers[OPT_MAX_OUTPUT],
        .command_timeout_ms = s->numbers[OPT_COMMAND_TIMEOUT],
        .env_from = s->env_from,
        .setuid_helpers = f->setuid_helpers,
        .allow_namespaces = f->allow_namespaces,
        .groups = {(const char *)id->groups, id->n_groups * sizeof *id->groups},
        .limits = {(const char *)start->limits, sizeof start->limits},
        .ignored_signals = {(const char *)&start->ignored, sizeof start->ignored},
        .blocked_signals = {(const char *)&start->blocked, sizeof start->blocked},
        .work_dir = span_of(users_work_dir(u, o, work_dir, LIMIT_PATH + 1)),
        .env_file = span_of(s->env_file),
        .env_init = span_of(settings_text(o, OPT_ENV_INIT)),
        .user = span_of(u->name),
        .home = span_of(u->home),
        .shell = span_of(u->shell),
        .set_env = {s->set_env, s->set_env_len},
        .pass_env = {s->pass_env, s->pass_env_len}};
}
