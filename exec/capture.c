/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fds.h"
#include "base/log.h"
#include "exec/exec.h"
#include "exec/login.h"
#include "ipc/memfd.h"

#define CAPTURE_DEADLINE_MS 10000
/* A shell or reader that cannot be started for want of something is tried for five seconds. */
#define RETRY_MS 250
#define ATTEMPTS 20
/* A file of assignments; more is a mistake. */
#define ENV_FILE_MAX 65536

static struct span block_of(const struct buf *b)
{
    return (struct span){buf_len(b) ? buf_data(b) : NULL, buf_len(b)};
}

static bool make_minimal(struct buf *block, const struct exec_config *c)
{
    struct span lang = environment_get(c->agent_env.bytes, "LANG");
    buf_init(block, 4 * LIMIT_PATH + LIMIT_ENVIRONMENT);
    return environment_append(block, "HOME", span_of(*c->home ? c->home : "/")) &&
           environment_append(block, "USER", span_of(c->user)) &&
           environment_append(block, "LOGNAME", span_of(c->user)) &&
           environment_append(block, "SHELL", span_of(*c->shell ? c->shell : "/bin/sh")) &&
           environment_append(block, "PATH", span_of("/usr/local/bin:/usr/bin:/bin")) &&
           (!lang.data || environment_append(block, "LANG", lang));
}

static void base_finish(struct env_base *base)
{
    free(base->owned);
    *base = (struct env_base){.owned = NULL};
}

/* Takes a copy, unless the bytes are the agent's own, which stay. */
static bool set_next(struct exec *exec, struct span block, bool use_minimal)
{
    struct capture *c = &exec->capture;
    char *copy = NULL;
    if (block.len > 0 && block.data != exec->config.agent_env.bytes.data) {
        copy = span_dup(block);
        if (!copy)
            return false;
        block.data = copy;
    }
    base_finish(&c->next);
    c->next = (struct env_base){.block = block, .use_minimal = use_minimal, .owned = copy};
    return true;
}

static void hold_next(struct capture *c)
{
    base_finish(&c->held);
    c->held = c->next;
    c->next = (struct env_base){.owned = NULL};
    c->ready = true;
}

static void settled(struct exec *exec)
{
    struct capture *c = &exec->capture;
    c->stage = CAPTURE_IDLE;
    if (c->again) {
        c->again = false;
        capture_start(exec);
    } else {
        exec_settled(exec);
    }
}

static const char *stage_name(const struct exec *exec)
{
    switch (exec->capture.stage) {
    case CAPTURE_LOGIN:
        return "env_from = login";
    case CAPTURE_FILE:
        return exec->config.env_file;
    default:
        return "env_init";
    }
}

/* The new one cannot be had as asked: the one before stays, or at first what there is. */
static void fail(struct exec *exec, const char *why)
{
    struct capture *c = &exec->capture;
    const char *what = stage_name(exec);
    bool before = c->ready;
    if (before)
        base_finish(&c->next);
    else
        hold_next(c);
    log_warn("%s: %s; commands get %s", what, why,
             before                  ? "the environment as it was before"
             : c->held.block.len > 0 ? "the environment without it"
                                     : "a minimal environment");
    settled(exec);
}

static void then_init(struct exec *exec);

/* What the shell said: its limits with their end mark, a NUL, its environment. NULL, or why not. */
static const char *take_answer(struct exec *exec, struct span answer)
{
    static const size_t mark = sizeof LOGIN_LIMITS_END - 1;
    const char *nul = answer.len > 0 ? memchr(answer.data, '\0', answer.len) : NULL;
    size_t head = nul ? (size_t)(nul - answer.data) : 0;
    struct shell_limits limits;
    if (answer.len == 0)
        return "without saying its environment";
    /* Without the mark this NUL would be that of a variable. */
    if (head < mark || memcmp(nul - mark, LOGIN_LIMITS_END, mark) != 0 ||
        !shell_limits_parse(&limits, (struct span){answer.data, head - mark}))
        return "without saying its limits";
    if (head + 1 == answer.len || answer.data[answer.len - 1] != '\0')
        return "without saying its environment";
    if (!set_next(exec, (struct span){nul + 1, answer.len - head - 1}, false))
        return "and there is no memory for its environment";
    exec->capture.next.limits = limits;
    exec->capture.next.has_limits = true;
    return NULL;
}

static void on_shell(void *context, enum helper_outcome outcome, int status, struct span answer)
{
    struct exec *exec = context;
    char why[96] = "";
    const char *missing = NULL;
    if (outcome == HELPER_TIMEOUT)
        snprintf(why, sizeof why, "the shell did not end within %d s", CAPTURE_DEADLINE_MS / 1000);
    else if (outcome == HELPER_TOO_LONG)
        snprintf(why, sizeof why, "the environment is too large");
    else if ((missing = take_answer(exec, answer)))
        snprintf(why, sizeof why, "the shell ended (status %d) %s", status, missing);
    if (why[0]) {
        fail(exec, why);
        return;
    }
    if (status != 0 && exec->config.env_init[0])
        log_warn("env_init ended with status %d", status);
    log_debug("the environment of commands was captured: %zu bytes", answer.len);
    hold_next(&exec->capture);
    settled(exec);
}

static pid_t start_shell(struct exec *exec, int out, char *const *envp,
                         struct spawn_failure *failure)
{
    const struct exec_config *config = &exec->config;
    struct login_shell shell;
    if (!login_shell_init(&shell, config->shell, config->env_init,
                          exec->capture.stage == CAPTURE_LOGIN)) {
        *failure = (struct spawn_failure){SPAWN_STEP_MEMORY, ENOMEM};
        return -1;
    }
    struct spawn what = {.path = shell.path,
                         .argv = shell.argv,
                         .envp = envp,
                         .directory = *config->home ? config->home : "/",
                         .in = shell.answer_fd == STDIN_FILENO ? out : exec->spawner.null_fd,
                         .out = exec->spawner.null_fd,
                         .extra = shell.answer_fd == STDIN_FILENO ? -1 : out,
                         .extra_at = shell.answer_fd,
                         .state = &exec->initial};
    pid_t pid = spawn_program_slowly(&exec->spawner, &what, failure);
    login_shell_finish(&shell);
    return pid;
}

static struct span minimal_of(const struct capture *c, bool wanted)
{
    return wanted ? block_of(&c->minimal) : (struct span){NULL, 0};
}

/* A shell that says its environment after env_init, starting from what there is. -1 with *failure.
 */
static pid_t run_shell(struct exec *exec, int answer, struct spawn_failure *failure)
{
    struct capture *c = &exec->capture;
    struct environment initial = {NULL, NULL};
    struct environment_parts parts = {.defaults = minimal_of(c, c->next.use_minimal),
                                      .base = c->next.block};
    pid_t pid = -1;
    if (environment_compose(&initial, &parts) == 0)
        pid = start_shell(exec, answer, initial.vector, failure);
    else
        failure->error = errno;
    environment_finish(&initial);
    c->helper.done = on_shell;
    return pid;
}

static void on_file(void *context, enum helper_outcome outcome, int status, struct span answer)
{
    struct exec *exec = context;
    struct buf block;
    const char *why = NULL;
    buf_init(&block, 2 * ENV_FILE_MAX);
    if (outcome == HELPER_TIMEOUT)
        why = "it could not be read within its deadline";
    else if (outcome == HELPER_TOO_LONG)
        why = "it is too large";
    else if (status != 0)
        why = strerror(status);
    else if (!environment_append_file(&block, answer) || !set_next(exec, block_of(&block), true))
        why = "no memory";
    buf_finish(&block);
    if (why)
        fail(exec, why);
    else
        then_init(exec);
}

/* In a child, since the file may be on a server that hangs. Its value is an errno. */
static int read_file(void *argument, int out)
{
    static char bytes[ENV_FILE_MAX + 1];
    int fd = open(argument, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errno;
    ssize_t n;
    while ((n = read(fd, bytes, sizeof bytes)) > 0)
        if (fds_write(out, bytes, (size_t)n) != 0)
            return EPIPE;
    return n < 0 ? errno : 0;
}

static pid_t run_file(struct exec *exec, int answer, struct spawn_failure *failure)
{
    pid_t pid = spawn_function(&exec->spawner, read_file, exec->config.env_file, answer, false);
    if (pid < 0)
        *failure = (struct spawn_failure){SPAWN_STEP_PROCESS, errno};
    exec->capture.helper.done = on_file;
    return pid;
}

static void not_started(struct exec *exec, const struct spawn_failure *failure)
{
    struct capture *c = &exec->capture;
    char why[160];
    if (spawn_passes(failure->error) && ++c->attempts < ATTEMPTS) {
        struct timeval later = clock_timeval(RETRY_MS);
        spawn_note_shortage(&exec->spawner, spawn_step_text(failure->step), failure->error);
        event_add(&c->retry, &later);
        return;
    }
    snprintf(why, sizeof why, "%s: %s", spawn_step_text(failure->step), strerror(failure->error));
    fail(exec, why);
}

static void run_stage(struct exec *exec)
{
    struct capture *c = &exec->capture;
    struct spawn_failure failure = {SPAWN_STEP_MEMORY, 0};
    size_t max = c->stage == CAPTURE_FILE ? ENV_FILE_MAX : LIMIT_ENVIRONMENT;
    int pipe[2];
    if (helper_pipe(pipe) != 0) {
        failure.error = errno;
        not_started(exec, &failure);
        return;
    }
    pid_t pid = c->stage == CAPTURE_FILE ? run_file(exec, pipe[1], &failure)
                                         : run_shell(exec, pipe[1], &failure);
    close(pipe[1]);
    if (pid > 0) {
        helper_await(&c->helper, exec->base, pid, pipe[0], CAPTURE_DEADLINE_MS, max);
        return;
    }
    close(pipe[0]);
    not_started(exec, &failure);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    run_stage(arg);
}

static void enter_stage(struct exec *exec, enum capture_stage stage)
{
    exec->capture.stage = stage;
    exec->capture.attempts = 0;
    run_stage(exec);
}

static void then_init(struct exec *exec)
{
    if (exec->config.env_init[0]) {
        enter_stage(exec, CAPTURE_INIT);
        return;
    }
    hold_next(&exec->capture);
    settled(exec);
}

void capture_init(struct exec *exec)
{
    exec->capture.helper.context = exec;
    event_assign(&exec->capture.retry, exec->base, -1, 0, on_retry, exec);
}

void capture_start(struct exec *exec)
{
    struct capture *c = &exec->capture;
    const struct exec_config *config = &exec->config;
    const struct span nothing = {NULL, 0};
    if (c->stage != CAPTURE_IDLE) {
        c->again = true;
        return;
    }
    if (!c->minimal.data && !make_minimal(&c->minimal, config))
        log_error("no memory for a minimal environment");
    if (!config->system_mode) {
        set_next(exec, config->agent_env.bytes, false);
        then_init(exec);
        return;
    }
    set_next(exec, nothing, true);
    if (config->env_from == ENV_FROM_LOGIN)
        enter_stage(exec, CAPTURE_LOGIN);
    else if (config->env_from == ENV_FROM_FILE)
        enter_stage(exec, CAPTURE_FILE);
    else
        then_init(exec);
}

void capture_cancel(struct capture *c)
{
    helper_cancel(&c->helper);
    event_del(&c->retry);
}

void capture_finish(struct capture *c)
{
    capture_cancel(c);
    buf_finish(&c->minimal);
    base_finish(&c->held);
    base_finish(&c->next);
}

const struct shell_limits *capture_limits(const struct capture *c)
{
    return c->held.has_limits ? &c->held.limits : NULL;
}

int capture_compose(const struct exec *exec, struct environment *e)
{
    const struct capture *c = &exec->capture;
    const struct exec_config *config = &exec->config;
    struct environment_parts parts = {.defaults = minimal_of(c, c->held.use_minimal),
                                      .base = c->held.block,
                                      .agent = config->agent_env.bytes,
                                      .pass = config->pass_env,
                                      .set = config->set_env,
                                      .work_dir = exec->workdir.path};
    return environment_compose(e, &parts);
}
