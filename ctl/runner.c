/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fds.h"
#include "base/log.h"
#include "config/exec_config.h"
#include "config/spawn.h"
#include "ipc/memfd.h"
#include "ipc/packet.h"

/* A login shell and env_init may take 10 s each, the work directory as long. */
#define READY_MS 40000
/* Beyond a command's own limit: TERM, KILL, and a group that does not end. */
#define LATER_MS 15000
#define END_MS   3000

static void log_end(struct runner *r)
{
    int status = 0;
    if (r->pid > 0 && waitpid(r->pid, &status, WNOHANG) == r->pid) {
        r->pid = 0;
        log_error("tw-agent-exec ended (%s %d): its lines above say why",
                  WIFSIGNALED(status) ? "signal" : "code",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    } else {
        log_error("tw-agent-exec does not answer any more");
    }
}

/* One packet of this channel until the deadline. */
static bool receive(struct runner *r, int fd, unsigned direction, struct packet *p,
                    uint64_t deadline)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    const char *why = "";
    for (;;) {
        uint64_t now = clock_ms();
        int n = now < deadline ? poll(&ready, 1, (int)(deadline - now)) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            log_error("tw-agent-exec does not answer in time");
            return false;
        }
        enum packet_outcome outcome = packet_receive(fd, p, direction, PHASE_RUN, &why);
        if (outcome == PACKET_OK)
            return true;
        if (outcome == PACKET_AGAIN)
            continue;
        if (outcome == PACKET_HOSTILE)
            log_error("tw-agent-exec broke the rules of its channel: %s", why);
        else
            log_end(r);
        return false;
    }
}

static int configure(const struct runner *r, const struct subject *s, int fd)
{
    struct msg_exec_config m;
    char work_dir[LIMIT_PATH + 1];
    exec_config_fill(&m, &s->options, &s->settings, &s->users, &s->facts, &s->start, work_dir);
    m.log_level = LOG_LEVEL_WARN;
    m.log_format = LOG_FORMAT_TEXT;
    m.command_timeout_ms = r->timeout_ms;
    int environment = environment_memfd(environ);
    int rc = environment >= 0 ? packet_send_message(fd, MSG_exec_config, &m, environment) : -1;
    fds_close(&environment);
    return rc;
}

static bool launch(struct runner *r, const struct subject *s)
{
    struct programs programs;
    int parent[2] = {-1, -1}, core[2] = {-1, -1};
    bool ok = programs_find(&programs) == 0;
    if (ok &&
        (packet_pair(parent) != 0 || packet_pair(core) != 0 || configure(r, s, parent[0]) != 0)) {
        log_error("tw-agent-exec cannot be configured: %s", strerror(errno));
        ok = false;
    }
    if (ok) {
        int ends[2] = {parent[1], core[1]};
        r->pid = program_start(&programs, "tw-agent-exec", ends, 2);
    }
    fds_close(&parent[1]);
    fds_close(&core[1]);
    r->parent = parent[0];
    r->core = core[0];
    return ok && r->pid > 0;
}

static bool await_ready(struct runner *r)
{
    static struct packet p;
    uint64_t deadline = clock_ms() + READY_MS;
    if (!receive(r, r->parent, EXEC_TO_PARENT, &p, deadline) ||
        !receive(r, r->core, EXEC_TO_CORE, &p, deadline))
        return false;
    if (p.type == MSG_exec_ready)
        return span_copy(r->work_dir, sizeof r->work_dir, p.message.exec_ready.work_dir);
    if (p.type == MSG_exec_unready)
        log_error("%.*s: %s", (int)p.message.exec_unready.work_dir.len,
                  p.message.exec_unready.work_dir.data,
                  strerror((int)p.message.exec_unready.error));
    return false;
}

bool runner_start(struct runner *r, const struct subject *s, uint64_t timeout_ms)
{
    uint64_t configured = s->settings.numbers[OPT_COMMAND_TIMEOUT];
    *r = (struct runner){.parent = -1, .core = -1, .timeout_ms = timeout_ms};
    if (configured > 0 && configured < timeout_ms)
        r->timeout_ms = configured;
    return launch(r, s) && await_ready(r);
}

static bool take_output(struct run_result *result, int fd)
{
    struct memfd_map map = {{NULL, 0}, NULL};
    if (fd >= 0 && memfd_map(&map, fd, LIMIT_OUTPUT) != 0)
        return false;
    result->output = span_dup(map.bytes);
    for (size_t i = 0; result->output && i < map.bytes.len; i++)
        if (result->output[i] == '\0')
            result->output[i] = ' ';
    memfd_unmap(&map);
    return result->output;
}

bool runner_run(struct runner *r, const char *text, struct run_result *result)
{
    static struct packet p;
    struct msg_run m = {.ticket = ++r->ticket, .text = span_of(text)};
    *result = (struct run_result){.status = -1};
    if (packet_send_message(r->core, MSG_run, &m, -1) != 0) {
        log_error("tw-agent-exec takes no command: %s", strerror(errno));
        return false;
    }
    if (!receive(r, r->core, EXEC_TO_CORE, &p, clock_ms() + r->timeout_ms + LATER_MS))
        return false;
    bool ok = p.type == MSG_finished && take_output(result, p.fd);
    fds_close(&p.fd);
    result->status = (int)p.message.finished.status;
    result->timed_out = p.message.finished.timed_out;
    if (!ok)
        log_error("a result cannot be read");
    return ok;
}

void run_result_finish(struct run_result *result)
{
    free(result->output);
    result->output = NULL;
}

void runner_finish(struct runner *r)
{
    fds_close(&r->core);
    fds_close(&r->parent);
    if (r->pid <= 0)
        return;
    int process = (int)syscall(SYS_pidfd_open, r->pid, 0);
    struct pollfd ended = {.fd = process, .events = POLLIN};
    if (process < 0 || poll(&ended, 1, END_MS) <= 0)
        kill(r->pid, SIGKILL);
    fds_close(&process);
    waitpid(r->pid, NULL, 0);
    r->pid = 0;
}
