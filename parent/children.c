/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fds.h"
#include "config/exec_config.h"
#include "ipc/probes.h"
#include "parent/attest.h"
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

static int configure_core(const struct parent *p, int fd)
{
    const struct settings *s = &p->settings;
    char token[LIMIT_PATH + 1], probe[LIMIT_PATH + 64];
    if (!program_path(probe, sizeof probe, &p->programs, PROBE_PROGRAM))
        return -1;
    struct msg_core_config m = {.uid = p->users.agent.uid,
                                .gid = p->users.agent.gid,
                                .log_level = s->log_level,
                                .log_format = s->numbers[OPT_LOG_FORMAT],
                                .heartbeat_ms = s->numbers[OPT_HEARTBEAT],
                                .max_commands = s->numbers[OPT_MAX_COMMANDS],
                                .max_output = s->numbers[OPT_MAX_OUTPUT],
                                .max_results_memory = s->numbers[OPT_MAX_RESULTS_MEMORY],
                                .max_results_disk = s->numbers[OPT_MAX_RESULTS_DISK],
                                .system_mode = s->system_mode,
                                .commands = facts_commands(&p->facts),
                                .allow_namespaces = p->facts.allow_namespaces,
                                .sandbox_log = p->facts.sandbox_log,
                                .notifies = p->notify.fd >= 0,
                                .pulse_ms = notify_pulse_ms(&p->notify),
                                .metrics_mode = s->numbers[OPT_METRICS_MODE],
                                .metrics_name = span_of(p->state.metrics.name),
                                .connection_id = span_of(s->connection_id),
                                .url = span_of(s->url.text),
                                .user_name = span_of(p->users.reported),
                                .isolation = s->numbers[OPT_ISOLATE],
                                .probe = span_of(probe),
                                .token_file = attest_token_file(p, token, sizeof token)};
    return packet_send_message(fd, MSG_core_config, &m, p->state.dirfd);
}

static int configure_exec(const struct parent *p, int fd)
{
    struct msg_exec_config m;
    char path[LIMIT_PATH + 1];
    /* Exec knows its parent itself. */
    pid_t guarded[] = {p->children[CHILD_LAUNCHER].pid, p->children[CHILD_CORE].pid};
    _Static_assert(sizeof(pid_t) == sizeof(uint32_t), "pids travel as uint32_t");
    exec_config_fill(&m, &p->options, &p->settings, &p->users, &p->facts, &p->start, path);
    m.guarded = (struct span){(const char *)guarded, sizeof guarded};
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
                                    .sandbox_log = p->facts.sandbox_log,
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
    attest_open_programs(p);
    p->release.session = (struct msg_session_config){.log_level = s->log_level,
                                                     .log_format = s->numbers[OPT_LOG_FORMAT],
                                                     .port = s->url.port,
                                                     .timeout_ms = SESSION_TIMEOUT_MS,
                                                     .sandbox_log = p->facts.sandbox_log,
                                                     .host = span_of(s->url.host),
                                                     .url_path = span_of(s->url.path),
                                                     .connection_id = span_of(s->connection_id),
                                                     .pins = {s->pins, s->pins_len}};
}

/* The configuration waits in the channel before the program is there. more: its further descriptors
 * (ipc/birth.h). */
static int start_child(struct parent *p, enum child_id id,
                       int (*configure)(const struct parent *, int), const int *more, int n)
{
    struct child *c = &p->children[id];
    int pair[2] = {-1, -1}, fds[3];
    if (packet_pair(pair) != 0 || configure(p, pair[0]) != 0) {
        /* What other processes of this user used up comes back: the service manager tries again. */
        int code = errno == ETOOMANYREFS ? EXIT_OTHER : EXIT_CONFIG;
        log_error("%s cannot be configured: %s", programs[id],
                  errno == EMSGSIZE ? "an option is too long, or not UTF-8" : strerror(errno));
        fds_close(&pair[0]);
        fds_close(&pair[1]);
        return code;
    }
    fds[0] = pair[1];
    for (int i = 0; i < n; i++)
        fds[1 + i] = more[i];
    *c = (struct child){.parent = p, .id = id, .fd = pair[0]};
    c->pid = program_start(&p->programs, programs[id], fds, 1 + n);
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
    int metrics = p->state.metrics.dirfd, for_core[] = {between[0], metrics};
    if (metrics < 0)
        for_core[1] = p->state.dirfd;
    /* The one with the longest way to its first work comes first, and exec last: it guards the
     * others' pids from commands. */
    code = start_child(p, CHILD_LAUNCHER, configure_launcher, NULL, 0);
    if (code == 0)
        code = start_child(p, CHILD_CORE, configure_core, for_core, 2);
    if (code == 0)
        code = start_child(p, CHILD_EXEC, configure_exec, &between[1], 1);
    fds_close(&between[0]);
    fds_close(&between[1]);
    fds_close(&p->environment);
    fds_close(&p->state.dirfd);
    fds_close(&p->state.metrics.dirfd);
    explicit_bzero(&p->settings.proxy, sizeof p->settings.proxy);
    configure_sessions(p);
    return code;
}
