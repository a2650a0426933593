/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "exec/exec.h"
#include "exec/login.h"
#include "ipc/memfd.h"

#define CAPTURE_DEADLINE_MS 10000
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
    *base = (struct env_base){{NULL, 0}, false, NULL};
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
    c->next = (struct env_base){block, use_minimal, copy};
    return true;
}

static void hold_next(struct capture *c)
{
    base_finish(&c->held);
    c->held = c->next;
    c->next = (struct env_base){{NULL, 0}, false, NULL};
    c->ready = true;
}

static void settled(struct exec *exec)
{
    struct capture *c = &exec->capture;
    if (c->again) {
        c->again = false;
        capture_start(exec);
    } else {
        exec_settled(exec);
    }
}

/* The new one cannot be had as asked: the one before stays, or at first what there is. */
static void fail(struct exec *exec, const char *what, const char *why)
{
    struct capture *c = &exec->capture;
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

static void on_shell(void *context, enum helper_outcome outcome, int status, struct span answer)
{
    struct exec *exec = context;
    const char *what = exec->capture.login ? "env_from = login" : "env_init";
    const char *why = NULL;
    if (outcome == HELPER_TIMEOUT)
        why = "the shell did not end within its deadline";
    else if (outcome == HELPER_TOO_LONG)
        why = "the environment is too large";
    else if (answer.len == 0 || answer.data[answer.len - 1] != '\0')
        why = "the shell ended without saying its environment";
    else if (!set_next(exec, answer, false))
        why = "no memory";
    if (why) {
        fail(exec, what, why);
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
    if (!login_shell_init(&shell, config->shell, config->env_init, exec->capture.login)) {
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
                         .extra_at = shell.answer_fd};
    pid_t pid = spawn_program_slowly(&exec->spawner, &what, failure);
    login_shell_finish(&shell);
    return pid;
}

/* A shell that says its environment after env_init, starting from these blocks. */
static void run_shell(struct exec *exec, struct span defaults, struct span base, bool login)
{
    struct capture *c = &exec->capture;
    struct environment initial = {NULL, NULL};
    struct environment_parts parts = {.defaults = defaults, .base = base};
    struct spawn_failure failure = {SPAWN_STEP_MEMORY, 0};
    int pipe[2];
    pid_t pid = -1;
    c->login = login;
    if (environment_compose(&initial, &parts) == 0 && helper_pipe(pipe) == 0) {
        pid = start_shell(exec, pipe[1], initial.vector, &failure);
        close(pipe[1]);
        if (pid < 0)
            close(pipe[0]);
    }
    environment_finish(&initial);
    if (pid < 0) {
        fail(exec, login ? "env_from = login" : "env_init", spawn_step_text(failure.step));
        return;
    }
    c->helper.done = on_shell;
    helper_await(&c->helper, exec->base, pid, pipe[0], CAPTURE_DEADLINE_MS, LIMIT_ENVIRONMENT);
}

static struct span minimal_of(const struct capture *c, bool wanted)
{
    return wanted ? block_of(&c->minimal) : (struct span){NULL, 0};
}

static void then_init(struct exec *exec)
{
    struct capture *c = &exec->capture;
    if (exec->config.env_init[0]) {
        run_shell(exec, minimal_of(c, c->next.use_minimal), c->next.block, false);
        return;
    }
    hold_next(c);
    settled(exec);
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
        fail(exec, exec->config.env_file, why);
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
        if (memfd_write(out, bytes, (size_t)n) != 0)
            return EPIPE;
    return n < 0 ? errno : 0;
}

static void run_file(struct exec *exec)
{
    struct capture *c = &exec->capture;
    int pipe[2];
    if (helper_pipe(pipe) != 0) {
        fail(exec, exec->config.env_file, strerror(errno));
        return;
    }
    pid_t pid = spawn_function(&exec->spawner, read_file, exec->config.env_file, pipe[1], false);
    int saved = errno;
    close(pipe[1]);
    if (pid < 0) {
        close(pipe[0]);
        fail(exec, exec->config.env_file, strerror(saved));
        return;
    }
    c->helper.done = on_file;
    helper_await(&c->helper, exec->base, pid, pipe[0], CAPTURE_DEADLINE_MS, ENV_FILE_MAX);
}

void capture_start(struct exec *exec)
{
    struct capture *c = &exec->capture;
    const struct exec_config *config = &exec->config;
    const struct span nothing = {NULL, 0};
    if (c->helper.pid != 0) {
        c->again = true;
        return;
    }
    c->helper.context = exec;
    if (!c->minimal.data && !make_minimal(&c->minimal, config))
        log_error("no memory for a minimal environment");
    if (!config->system_mode) {
        set_next(exec, config->agent_env.bytes, false);
        then_init(exec);
    } else if (config->env_from == ENV_FROM_LOGIN) {
        set_next(exec, nothing, true);
        run_shell(exec, block_of(&c->minimal), nothing, true);
    } else if (config->env_from == ENV_FROM_FILE) {
        set_next(exec, nothing, true);
        run_file(exec);
    } else {
        set_next(exec, nothing, true);
        then_init(exec);
    }
}

void capture_finish(struct capture *c)
{
    helper_cancel(&c->helper);
    buf_finish(&c->minimal);
    base_finish(&c->held);
    base_finish(&c->next);
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
