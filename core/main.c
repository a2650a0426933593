/* SPDX-License-Identifier: Apache-2.0 */
/* tw-agent-core: receive the configuration, become the agent's user, enter the sandbox, broker. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
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
    c->system_mode = m->system_mode;
    core->state_dirfd = p->fd;
    return c->heartbeat_ms > 0 && c->max_commands > 0 &&
           span_copy(c->connection_id, sizeof c->connection_id, m->connection_id) &&
           span_copy(c->url, sizeof c->url, m->url) &&
           span_copy(c->user_name, sizeof c->user_name, m->user_name) &&
           birth_become((uid_t)m->uid, (gid_t)m->gid, NULL, 0) == 0;
}

/* Results that wait hold descriptors: as many as the hard limit gives, within reason. */
static void raise_descriptor_limit(struct core *core)
{
    struct rlimit r;
    core->fds_max = 64;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return;
    r.rlim_cur = r.rlim_max < 8192 ? r.rlim_max : 8192;
    /* The other half at least is for channels and for messages that wait. */
    if (setrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur > 256)
        core->fds_max = r.rlim_cur < 2048 ? r.rlim_cur / 4 : 512;
}

static bool enter_sandbox(struct core *core)
{
    struct sandbox_access access = {.write_dirfd = core->state_dirfd, .read_dirfd = -1};
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
    birth_receive("tw-agent-core", 2, PARENT_TO_CORE, MSG_core_config, &config);
    if (!take_config(&core, &config)) {
        log_error("the configuration is not usable");
        return BIRTH_FAILED;
    }
    raise_descriptor_limit(&core);
    core.base = channel_loop_new();
    if (!core.base || core_start(&core) != 0) {
        log_error("core cannot start: no memory or descriptors");
        return BIRTH_FAILED;
    }
    if (!enter_sandbox(&core))
        return BIRTH_SANDBOX;
    if (link_start(&core) != 0)
        return BIRTH_FAILED;
    event_base_dispatch(core.base);
    core_finish_all(&core);
    event_base_free(core.base);
    return core.exit_code;
}
