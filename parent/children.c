/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fds.h"
#include "parent/parent.h"

/* For DNS, TCP and a proxy together; and for each step of a session (handshake, answer). */
#define CONNECT_TIMEOUT_MS 10000
#define SESSION_TIMEOUT_MS 10000

static const char *const names[CHILDREN] = {"core", "exec", "net"};
static const char *const programs[CHILDREN] = {"tw-agent-core", "tw-agent-exec", "tw-agent-net"};

const char *child_name(enum child_id id)
{
    return names[id];
}

static struct span text(const struct parent *p, enum option_id id)
{
    return span_of(settings_text(&p->options, id));
}

static int configure_core(const struct parent *p, int fd)
{
    const struct settings *s = &p->settings;
    struct msg_core_config m = {.uid = p->users.agent.uid,
                                .gid = p->users.agent.gid,
                                .log_level = s->log_level,
                                .log_format = s->numbers[OPT_LOG_FORMAT],
                                .heartbeat_ms = s->numbers[OPT_HEARTBEAT],
                                .max_commands = s->numbers[OPT_MAX_COMMANDS],
                                .max_output = s->numbers[OPT_MAX_OUTPUT],
                                .max_results_memory = s->numbers[OPT_MAX_RESULTS_MEMORY],
                                .system_mode = s->system_mode,
                                .connection_id = span_of(s->connection_id),
                                .url = span_of(s->url.text),
                                .user_name = span_of(p->users.reported)};
    return packet_send_message(fd, MSG_core_config, &m, p->state.dirfd);
}

/* ~ is the home of the commands' user. */
static struct span work_dir(const struct parent *p, char *out, size_t size)
{
    const char *given = settings_text(&p->options, OPT_WORK_DIR);
    if (given[0] != '~' || (given[1] != '/' && given[1] != '\0'))
        return span_of(given);
    int n = snprintf(out, size, "%s%s", p->users.home, given + 1);
    return n > 0 && (size_t)n < size ? span_of(out) : span_of("");
}

static int configure_exec(const struct parent *p, int fd)
{
    const struct settings *s = &p->settings;
    const struct identity *id = &p->users.commands;
    char path[LIMIT_PATH + 1];
    _Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups travel as uint32_t");
    struct msg_exec_config m = {
        .uid = id->uid,
        .gid = id->gid,
        .system_mode = s->system_mode,
        .log_level = s->log_level,
        .log_format = s->numbers[OPT_LOG_FORMAT],
        .umask = p->options.values[OPT_UMASK].text ? s->numbers[OPT_UMASK] : p->start.umask,
        .isolation = s->numbers[OPT_ISOLATE],
        .max_commands = s->numbers[OPT_MAX_COMMANDS],
        .max_output = s->numbers[OPT_MAX_OUTPUT],
        .command_timeout_ms = s->numbers[OPT_COMMAND_TIMEOUT],
        .env_from = s->env_from,
        .groups = {(const char *)id->groups, id->n_groups * sizeof *id->groups},
        .limits = {(const char *)p->start.limits, sizeof p->start.limits},
        .ignored_signals = {(const char *)&p->start.ignored, sizeof p->start.ignored},
        .blocked_signals = {(const char *)&p->start.blocked, sizeof p->start.blocked},
        .work_dir = work_dir(p, path, sizeof path),
        .env_file = span_of(s->env_file),
        .env_init = text(p, OPT_ENV_INIT),
        .user = span_of(p->users.name),
        .home = span_of(p->users.home),
        .shell = span_of(p->users.shell),
        .set_env = {s->set_env, s->set_env_len},
        .pass_env = {s->pass_env, s->pass_env_len}};
    return packet_send_message(fd, MSG_exec_config, &m, p->environment);
}

static int configure_launcher(const struct parent *p, int fd)
{
    const struct settings *s = &p->settings;
    struct msg_launcher_config m = {.uid = p->users.net.uid,
                                    .gid = p->users.net.gid,
                                    .log_level = s->log_level,
                                    .log_format = s->numbers[OPT_LOG_FORMAT],
                                    .port = s->url.port,
                                    .timeout_ms = CONNECT_TIMEOUT_MS,
                                    .host = span_of(s->url.host),
                                    .proxy = span_of(s->proxy.address),
                                    .proxy_auth = span_of(s->proxy.credentials)};
    return packet_send_message(fd, MSG_launcher_config, &m, -1);
}

/* What each session is told, apart from its purpose and serial. */
static void configure_sessions(struct parent *p)
{
    const struct settings *s = &p->settings;
    p->release.ca = p->ca;
    p->release.session = (struct msg_session_config){.log_level = s->log_level,
                                                     .log_format = s->numbers[OPT_LOG_FORMAT],
                                                     .port = s->url.port,
                                                     .timeout_ms = SESSION_TIMEOUT_MS,
                                                     .host = span_of(s->url.host),
                                                     .url_path = span_of(s->url.path),
                                                     .connection_id = span_of(s->connection_id),
                                                     .pins = {s->pins, s->pins_len}};
}

/* The configuration waits in the channel before the program is there. peer: its channel to another
 * child, or -1. */
static int start_child(struct parent *p, enum child_id id,
                       int (*configure)(const struct parent *, int), int peer)
{
    struct child *c = &p->children[id];
    int pair[2] = {-1, -1};
    if (packet_pair(pair) != 0 || configure(p, pair[0]) != 0) {
        log_error("%s cannot be configured: %s", programs[id],
                  errno == EMSGSIZE ? "an option is too long, or not UTF-8" : strerror(errno));
        fds_close(&pair[0]);
        fds_close(&pair[1]);
        return EXIT_CONFIG;
    }
    int fds[2] = {pair[1], peer};
    *c = (struct child){.parent = p, .id = id, .fd = pair[0]};
    c->pid = program_start(&p->programs, programs[id], fds, peer >= 0 ? 2 : 1);
    fds_close(&pair[1]);
    return c->pid > 0 ? 0 : EXIT_OTHER;
}

int children_start(struct parent *p)
{
    int between[2] = {-1, -1};
    int code = EXIT_OTHER;
    if (packet_pair(between) != 0) {
        log_error("no channel between core and exec: %s", strerror(errno));
        return code;
    }
    /* The one with the longest way to its first work comes first. */
    code = start_child(p, CHILD_LAUNCHER, configure_launcher, -1);
    if (code == 0)
        code = start_child(p, CHILD_CORE, configure_core, between[0]);
    if (code == 0)
        code = start_child(p, CHILD_EXEC, configure_exec, between[1]);
    fds_close(&between[0]);
    fds_close(&between[1]);
    fds_close(&p->environment);
    fds_close(&p->state.dirfd);
    explicit_bzero(&p->settings.proxy, sizeof p->settings.proxy);
    configure_sessions(p);
    return code;
}
