/* SPDX-License-Identifier: Apache-2.0 */
/* tw-agent-core: receive the configuration, become the agent's user, enter the sandbox, broker. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "core/core.h"
#include "core/link.h"
#include "ipc/birth.h"
#include "sandbox/sandbox.h"

static bool take_config(struct core *core, struct packet *p)
{
    const struct msg_core_config *m = &p->message.core_config;
    struct core_config *c = &core->config;
    log_init("core", (enum log_level)m->log_level, (enum log_format)m->log_format);
    c->heartbeat_ms = m->heartbeat_ms;
    c->max_commands = (unsigned)m->max_commands;
    c->max_output = m->max_output;
    c->max_results_memory = m->max_results_memory;
    c->max_results_disk = m->max_results_disk;
    c->system_mode = m->system_mode;
    c->isolation = (unsigned)m->isolation;
    c->commands = (unsigned)m->commands;
    c->allow_namespaces = m->allow_namespaces;
    c->sandbox_log = m->sandbox_log;
    c->notifies = m->notifies;
    c->pulse_ms = m->pulse_ms;
    c->metrics_mode = (unsigned)m->metrics_mode;
    core->state_dirfd = p->fd;
    core->metrics_dirfd = BIRTH_FD_METRICS;
    /* Every other file is made with a mode that has no more than the owner's rights. */
    umask(077 & ~(mode_t)c->metrics_mode);
    return c->heartbeat_ms > 0 && c->max_commands > 0 &&
           span_copy(c->connection_id, sizeof c->connection_id, m->connection_id) &&
           span_copy(c->url, sizeof c->url, m->url) &&
           span_copy(c->user_name, sizeof c->user_name, m->user_name) &&
           span_copy(c->metrics_name, sizeof c->metrics_name, m->metrics_name) &&
           span_copy(c->probe, sizeof c->probe, m->probe) &&
           span_copy(c->token_file, sizeof c->token_file, m->token_file) &&
           birth_become((uid_t)m->uid, (gid_t)m->gid, NULL, 0) == 0;
}

/* Results that wait hold descriptors: as many as the hard limit gives, within reason. */
static void raise_descriptor_limit(struct core *core)
{
    struct rlimit r;
    core->fds_max = 16;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return;
    r.rlim_cur = r.rlim_max < 8192 ? r.rlim_max : 8192;
    /* The other half at least is for channels and for messages that wait. */
    if (setrlimit(RLIMIT_NOFILE, &r) == 0)
        core->fds_max = r.rlim_cur < 2048 ? r.rlim_cur / 4 : 512;
}

/* Which start of the host this is: what an earlier one wrote last may not have reached the disk. */
static void read_boot(struct core *core)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, core->boot, sizeof core->boot - 1) : 0;
    core->boot[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

static bool enter_sandbox(struct core *core)
{
    struct sandbox_access access = {.write_dirfd = core->state_dirfd,
                                    .replace_dirfds = &core->metrics_dirfd,
                                    .n_replace_dirfds = 1,
                                    .read_dirfd = -1,
                                    .log_violations = core->config.sandbox_log};
    struct sandbox_report report;
    char why[256];
    if (sandbox_undumpable() != 0 ||
        sandbox_enter(SANDBOX_CORE, &access, &report, why, sizeof why) != 0) {
        log_error("the sandbox cannot be entered: %s", why);
        return false;
    }
    struct msg_started m = {.landlock_abi = (uint64_t)report.landlock_abi,
                            .landlock_scoped = report.landlock_scoped,
                            .seccomp = report.seccomp,
                            .syscalls = report.syscalls};
    send_started(core->parent, &m, -1); /* a parent that is gone shows as end of file */
    return true;
}

int main(void)
{
    static struct packet config; /* 64 KiB: too much for a stack frame */
    struct core core = {.state_dirfd = -1};
    birth_receive("tw-agent-core", 3, PARENT_TO_CORE, MSG_core_config, &config);
    if (!take_config(&core, &config)) {
        log_error("the configuration is not usable");
        return BIRTH_FAILED;
    }
    raise_descriptor_limit(&core);
    read_boot(&core);
    core.base = channel_loop_new();
    if (!core.base || core_start(&core) != 0) {
        log_error("core cannot start: no memory or descriptors");
        return BIRTH_FAILED;
    }
    if (!enter_sandbox(&core))
        return BIRTH_SANDBOX;
    /* Connections are made while the disk is read. */
    if (link_start(&core) != 0 || core_load(&core) != 0)
        return BIRTH_FAILED;
    event_base_dispatch(core.base);
    core_finish_all(&core);
    event_base_free(core.base);
    return core.exit_code;
}
