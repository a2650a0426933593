/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "exec/command.h"
#include "exec/reaper.h"
#include "exec/workdir.h"

/* Between TERM and KILL when the agent ends; its parent waits at most two seconds. */
#define STOP_MS 1000
/* And between KILL and our own end: time to reap, not to wait for what hangs in the kernel. */
#define KILLED_MS 300
/* Answers that wait for core: one of each command, and each is far below a hundred bytes. */
#define QUEUE_MAX 65536

static enum verdict on_run(void *context, const struct msg_run *m, int *fd)
{
    return command_take(context, m, fd);
}

static enum verdict on_ping(void *context, const struct msg_ping *m, int *fd)
{
    struct exec *exec = context;
    struct msg_pong pong = {0};
    (void)m;
    (void)fd;
    send_pong(exec->core, &pong, -1); /* one that is lost is one that is not heard */
    return VERDICT_OK;
}

static enum verdict on_reload(void *context, const struct msg_reload *m, int *fd)
{
    struct exec *exec = context;
    (void)m;
    (void)fd;
    if (exec->stopping)
        return VERDICT_OK;
    log_info("obtaining the environment of commands anew");
    capture_start(exec);
    if (exec->workdir.state == WORKDIR_BAD)
        workdir_check(exec);
    return VERDICT_OK;
}

static void on_end(void *context, enum channel_end end, const char *why)
{
    if (end != CHANNEL_EOF)
        log_error("a channel ended: %s", why);
    exec_stop(context, end == CHANNEL_EOF ? 0 : 1);
}

static void on_drained(void *context)
{
    commands_resend(context);
}

static void on_resend(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    commands_resend(arg);
}

static void on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
    struct exec *exec = arg;
    (void)fd;
    (void)what;
    groups_signal(&exec->groups, SIGKILL);
    if (exec->killed) {
        event_base_loopbreak(exec->base);
        return;
    }
    struct timeval soon = clock_timeval(KILLED_MS);
    exec->killed = true;
    event_add(&exec->stop_timer, &soon);
}

static const struct channel_handlers handlers = {
    .run = on_run, .reload = on_reload, .ping = on_ping};

static struct channel *open_channel(struct exec *exec, int fd, unsigned receives, unsigned sends)
{
    struct channel_setup setup = {.base = exec->base,
                                  .fd = fd,
                                  .receives = receives,
                                  .sends = sends,
                                  .phase = PHASE_RUN,
                                  .queue_max = QUEUE_MAX,
                                  .handlers = &handlers,
                                  .context = exec,
                                  .on_end = on_end,
                                  .on_drained = on_drained};
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? channel_new(&setup) : NULL;
}

int exec_start(struct exec *exec)
{
    TAILQ_INIT(&exec->commands);
    groups_init(&exec->groups, exec->base);
    drains_init(&exec->drains, exec->base, exec->scratch, sizeof exec->scratch);
    workdir_init(exec);
    capture_init(exec);
    event_assign(&exec->resend, exec->base, -1, 0, on_resend, exec);
    event_assign(&exec->stop_timer, exec->base, -1, 0, on_stop_timer, exec);
    exec->parent = open_channel(exec, BIRTH_FD_FIRST, PARENT_TO_EXEC, EXEC_TO_PARENT);
    exec->core = open_channel(exec, BIRTH_FD_PEER, CORE_TO_EXEC, EXEC_TO_CORE);
    return exec->parent && exec->core ? reaper_start(exec) : -1;
}

void exec_prepare(struct exec *exec)
{
    workdir_check(exec);
    capture_start(exec);
}

bool exec_ready(const struct exec *exec)
{
    return exec->workdir.state == WORKDIR_GOOD && exec->environment.vector;
}

static void announce(struct exec *exec, int error)
{
    if (exec->announced)
        return;
    struct msg_exec_ready ready = {.work_dir = span_of(exec->workdir.path)};
    exec->announced = true;
    if (error == 0 && send_exec_ready(exec->core, &ready, -1) == 0)
        return;
    /* The resolved name may be no UTF-8, which Tower cannot be told; the configured one is. */
    struct msg_exec_unready unready = {.error = error ? error : EILSEQ,
                                       .work_dir = span_of(exec->config.work_dir)};
    send_exec_unready(exec->core, &unready, -1);
}

void exec_settled(struct exec *exec)
{
    if (exec->workdir.state == WORKDIR_CHECKING || exec->stopping)
        return;
    if (exec->workdir.state == WORKDIR_BAD) {
        announce(exec, exec->workdir.error);
        commands_go(exec);
        return;
    }
    if (!exec->capture.ready)
        return;
    if (capture_compose(exec, &exec->environment) != 0) {
        int error = errno;
        log_error("the environment of commands cannot be composed: %s", strerror(error));
        if (!exec->environment.vector) {
            exec->workdir.state = WORKDIR_BAD;
            exec->workdir.error = error;
        }
    }
    config_start_state(&exec->config, capture_limits(&exec->capture), &exec->spawner.state);
    announce(exec, exec->workdir.state == WORKDIR_BAD ? exec->workdir.error : 0);
    commands_go(exec);
}

void exec_stop(struct exec *exec, int code)
{
    if (exec->stopping)
        return;
    struct timeval grace = clock_timeval(STOP_MS);
    exec->stopping = true;
    exec->exit_code = code;
    workdir_finish(&exec->workdir);
    capture_cancel(&exec->capture);
    groups_signal(&exec->groups, SIGTERM);
    groups_signal(&exec->groups, SIGCONT);
    event_add(&exec->stop_timer, &grace);
    exec_check_stopped(exec);
}

void exec_check_stopped(struct exec *exec)
{
    if (exec->stopping && groups_gone(&exec->groups))
        event_base_loopbreak(exec->base);
}

void exec_finish(struct exec *exec)
{
    commands_finish(exec);
    groups_finish(&exec->groups);
    drains_finish(&exec->drains);
    capture_finish(&exec->capture);
    workdir_finish(&exec->workdir);
    environment_finish(&exec->environment);
    channel_free(exec->core);
    channel_free(exec->parent);
    event_del(&exec->reaper);
    event_del(&exec->resend);
    event_del(&exec->stop_timer);
    event_base_free(exec->base);
    spawner_finish(&exec->spawner);
    config_finish(&exec->config);
}
