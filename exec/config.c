/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"

/* Descriptors that exec wants: two for each command, one for each drained pipe, and its own. */
#define WANTED_DESCRIPTORS 1024

static bool copy_texts(struct exec_config *c, const struct msg_exec_config *m)
{
    c->set_env = (struct span){span_dup(m->set_env), m->set_env.len};
    c->pass_env = (struct span){span_dup(m->pass_env), m->pass_env.len};
    return c->set_env.data && c->pass_env.data &&
           span_copy(c->work_dir, sizeof c->work_dir, m->work_dir) &&
           span_copy(c->env_file, sizeof c->env_file, m->env_file) &&
           span_copy(c->env_init, sizeof c->env_init, m->env_init) &&
           span_copy(c->user, sizeof c->user, m->user) &&
           span_copy(c->home, sizeof c->home, m->home) &&
           span_copy(c->shell, sizeof c->shell, m->shell);
}

static bool copy_saved_state(struct exec_config *c, const struct msg_exec_config *m)
{
    c->n_saved_limits = m->limits.len / sizeof *c->saved_limits;
    if (m->limits.len % sizeof *c->saved_limits != 0 || c->n_saved_limits > CONFIG_LIMITS)
        return false;
    if (m->limits.len > 0)
        memcpy(c->saved_limits, m->limits.data, m->limits.len);
    memcpy(&c->ignored_signals, m->ignored_signals.data, sizeof c->ignored_signals);
    memcpy(&c->blocked_signals, m->blocked_signals.data, sizeof c->blocked_signals);
    return true;
}

/* For the audit of the system: jobs that this user submits carry his login uid, not the service's
 * lack of one. Works once, as root, where the kernel keeps it; elsewhere nothing is lost. */
static void set_login_uid(uid_t uid)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%u", (unsigned)uid);
    int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, text, (size_t)len) != len)
        log_debug("the login uid could not be set");
    close(fd);
}

static int become(const struct msg_exec_config *m)
{
    size_t n = m->groups.len / sizeof(uint32_t);
    gid_t *groups = calloc(n + 1, sizeof *groups);
    if (!groups)
        return -1;
    for (size_t i = 0; i < n; i++) {
        uint32_t gid;
        memcpy(&gid, m->groups.data + i * sizeof gid, sizeof gid);
        groups[i] = (gid_t)gid;
    }
    if (m->system_mode && geteuid() == 0)
        set_login_uid((uid_t)m->uid);
    int rc = birth_become((uid_t)m->uid, (gid_t)m->gid, groups, n);
    free(groups);
    return rc;
}

bool config_take(struct exec_config *c, struct packet *p, const char **why)
{
    const struct msg_exec_config *m = &p->message.exec_config;
    log_init("exec", (enum log_level)m->log_level, (enum log_format)m->log_format);
    c->system_mode = m->system_mode;
    c->max_commands = (unsigned)m->max_commands;
    c->isolation = (unsigned)m->isolation;
    c->umask = (unsigned)m->umask;
    c->max_output = (size_t)m->max_output;
    c->command_timeout_ms = m->command_timeout_ms;
    c->env_from = (enum env_from)m->env_from;
    *why = "a value is out of its range";
    int mapped = memfd_map(&c->agent_env, p->fd, LIMIT_ENVIRONMENT);
    fds_close(&p->fd);
    if (mapped != 0 || c->max_commands == 0 || m->groups.len % sizeof(uint32_t) != 0 ||
        !copy_texts(c, m) || !copy_saved_state(c, m))
        return false;
    *why = "cannot become the user that commands run as";
    return become(m) == 0;
}

static void raise_soft(int resource, rlim_t wanted)
{
    struct rlimit r;
    if (getrlimit(resource, &r) != 0 || r.rlim_cur >= wanted)
        return;
    r.rlim_cur = r.rlim_max < wanted ? r.rlim_max : wanted;
    setrlimit(resource, &r);
}

void config_raise_limits(void)
{
    raise_soft(RLIMIT_NOFILE, WANTED_DESCRIPTORS);
}

static rlim_t from_wire(uint64_t value)
{
    return value == UINT64_MAX ? RLIM_INFINITY : (rlim_t)value;
}

static void compare_limits(const struct exec_config *config, struct start_state *state)
{
    for (size_t i = 0; i < config->n_saved_limits; i++) {
        struct rlimit now;
        rlim_t soft = from_wire(config->saved_limits[i].soft);
        if (getrlimit((int)i, &now) != 0)
            continue;
        if (soft > now.rlim_max)
            soft = now.rlim_max;
        if (soft != now.rlim_cur)
            state->limits[state->n_limits++] =
                (struct limit_change){(int)i, {.rlim_cur = soft, .rlim_max = now.rlim_max}};
    }
}

void config_start_state(const struct exec_config *config, struct start_state *state)
{
    state->n_limits = state->n_signals = 0;
    sigemptyset(&state->mask);
    compare_limits(config, state);
    for (int n = 1; n <= CONFIG_SIGNALS; n++) {
        struct sigaction now;
        void (*wanted)(int) = config->ignored_signals >> (n - 1) & 1 ? SIG_IGN : SIG_DFL;
        if (config->blocked_signals >> (n - 1) & 1)
            sigaddset(&state->mask, n);
        if (n == SIGKILL || n == SIGSTOP || sigaction(n, NULL, &now) != 0)
            continue;
        if (now.sa_handler != wanted)
            state->signals[state->n_signals++] = (struct signal_change){n, wanted};
    }
}

void config_finish(struct exec_config *config)
{
    free((void *)(uintptr_t)config->set_env.data);
    free((void *)(uintptr_t)config->pass_env.data);
    memfd_unmap(&config->agent_env);
}
