/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "base/text.h"

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

static bool copy_guarded(struct exec_config *c, const struct msg_exec_config *m)
{
    c->n_guarded = m->guarded.len / sizeof *c->guarded;
    if (m->guarded.len % sizeof *c->guarded != 0 || c->n_guarded > CONFIG_GUARDED)
        return false;
    if (m->guarded.len > 0)
        memcpy(c->guarded, m->guarded.data, m->guarded.len);
    return true;
}

#define LOGIN_UID_UNSET UINT32_MAX

/*
 * For the audit of the system: what this user's commands do carries his login uid, not the
 * service's lack of one, nor that of an administrator whose sudo started the agent. For that root
 * may change one that is set, unless the kernel was told that nobody may.
 */
static void set_login_uid(uid_t uid)
{
    char text[16] = "";
    uint64_t before = LOGIN_UID_UNSET;
    int fd = open("/proc/self/loginuid", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        log_debug("the login uid is not set: %s", strerror(errno)); /* a kernel without audit */
        return;
    }
    if (read(fd, text, sizeof text - 1) > 0)
        text_number(text, UINT32_MAX, &before);
    int len = snprintf(text, sizeof text, "%u", (unsigned)uid);
    bool set = before == uid || pwrite(fd, text, (size_t)len, 0) == len;
    int error = errno;
    close(fd);
    if (!set && before != LOGIN_UID_UNSET)
        log_info("commands have the login uid %u of whoever started the agent, not that of their "
                 "user, in the system's audit: %s",
                 (unsigned)before, strerror(error));
    else if (!set)
        log_debug("the login uid is not set: %s", strerror(error));
}

int config_become(const struct packet *p)
{
    const struct msg_exec_config *m = &p->message.exec_config;
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
    c->umask_fixed = m->umask_fixed;
    c->max_output = (size_t)m->max_output;
    c->command_timeout_ms = m->command_timeout_ms;
    c->env_from = (enum env_from)m->env_from;
    c->setuid_helpers = m->setuid_helpers;
    c->allow_namespaces = m->allow_namespaces;
    *why = "a value is out of its range";
    int mapped = memfd_map(&c->agent_env, p->fd, LIMIT_ENVIRONMENT);
    fds_close(&p->fd);
    return mapped == 0 && c->max_commands > 0 && m->groups.len % sizeof(uint32_t) == 0 &&
           copy_texts(c, m) && copy_saved_state(c, m) && copy_guarded(c, m);
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

static void compare_limits(const struct exec_config *config, const struct shell_limits *shell,
                           struct start_state *state)
{
    for (size_t i = 0; i < config->n_saved_limits; i++) {
        struct rlimit now, wanted;
        if (getrlimit((int)i, &now) != 0)
            continue;
        wanted = (struct rlimit){from_wire(config->saved_limits[i].soft), now.rlim_max};
        if (shell && i < RLIM_NLIMITS && shell->known[i])
            wanted = shell->of[i];
        /* Nobody here may raise a hard limit. */
        if (wanted.rlim_max > now.rlim_max)
            wanted.rlim_max = now.rlim_max;
        if (wanted.rlim_cur > wanted.rlim_max)
            wanted.rlim_cur = wanted.rlim_max;
        if (wanted.rlim_cur != now.rlim_cur || wanted.rlim_max != now.rlim_max)
            state->limits[state->n_limits++] = (struct limit_change){(int)i, wanted};
    }
}

void config_start_state(const struct exec_config *config, const struct shell_limits *shell,
                        struct start_state *state)
{
    state->n_limits = state->n_signals = 0;
    sigemptyset(&state->mask);
    state->umask = (mode_t)(shell && !config->umask_fixed ? shell->umask : config->umask);
    compare_limits(config, shell, state);
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
