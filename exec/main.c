/* SPDX-License-Identifier: Apache-2.0 */
/* tw-agent-exec: receive the configuration, become the commands' user, enter the sandbox, run. */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "exec/exec.h"
#include "ipc/birth.h"
#include "sandbox/sandbox.h"

/*
 * Programs that gain privileges need exec to be without no_new_privs, and without it only root can
 * load filters and a domain: these then come before the change of uid, and are shared by all
 * commands. As a plain user there are none.
 */
static bool enter_sandbox(const struct exec_config *c, struct sandbox_report *report)
{
    struct sandbox_access access = {.write_dirfd = -1,
                                    .read_dirfd = -1,
                                    .guard_pids = c->guarded,
                                    .n_guard_pids = c->n_guarded,
                                    .isolation = (enum sandbox_isolation)c->isolation,
                                    .allow_namespaces = c->allow_namespaces,
                                    .setuid_helpers = c->setuid_helpers};
    char why[256] = "";
    if (sandbox_enter(SANDBOX_EXEC, &access, report, why, sizeof why) == 0)
        return true;
    log_error("the sandbox cannot be entered: %s", why);
    return false;
}

static bool confine(struct exec *exec, struct sandbox_report *report)
{
    const struct exec_config *c = &exec->config;
    if (sandbox_undumpable() != 0) {
        log_error("this process cannot be made non-dumpable: %s", strerror(errno));
        return false;
    }
    exec->spawner.stoppable = true;
    if (c->setuid_helpers) /* entered, where that is possible; and no domains for commands */
        return true;
    if (!enter_sandbox(c, report))
        return false;
    exec->spawner.stoppable =
        !report->landlock_scoped || c->isolation != (unsigned)SANDBOX_ISOLATE_FULL;
    if (sandbox_command_init(&exec->spawner.domain, (enum sandbox_isolation)c->isolation) == 0)
        return true;
    log_error("the sandbox of commands cannot be prepared: %s", strerror(errno));
    return false;
}

/* 0, or the exit code. */
static int start(struct exec *exec, const struct packet *packet)
{
    const struct exec_config *c = &exec->config;
    struct sandbox_report report = {0};
    if (c->setuid_helpers && c->system_mode && !enter_sandbox(c, &report))
        return BIRTH_SANDBOX;
    if (config_become(packet) != 0) {
        log_error("cannot become user '%s': %s", c->user, strerror(errno));
        return BIRTH_FAILED;
    }
    config_raise_limits();
    exec->base = channel_loop_new();
    if (!exec->base || spawner_init(&exec->spawner) != 0 || exec_start(exec) != 0 ||
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        log_error("cannot start: %s", strerror(errno));
        return BIRTH_FAILED;
    }
    if (!confine(exec, &report))
        return BIRTH_SANDBOX;
    config_start_state(&exec->config, NULL, &exec->initial);
    exec->spawner.state = exec->initial;
    struct msg_started m = {.landlock_abi = (uint64_t)report.landlock_abi,
                            .landlock_scoped = report.landlock_scoped,
                            .seccomp = report.seccomp,
                            .syscalls = report.syscalls};
    send_started(exec->parent, &m, -1); /* a parent that is gone shows as end of file */
    exec_prepare(exec);
    return 0;
}

int main(void)
{
    static struct packet packet; /* 64 KiB each: too much for a stack frame */
    static struct exec exec;
    const char *why = NULL;
    birth_receive("tw-agent-exec", 2, PARENT_TO_EXEC, MSG_exec_config, &packet);
    if (!config_take(&exec.config, &packet, &why)) {
        log_error("the configuration cannot be used: %s", why);
        return BIRTH_FAILED;
    }
    int failed = start(&exec, &packet);
    if (failed)
        return failed;
    event_base_dispatch(exec.base);
    exec_finish(&exec);
    return exec.exit_code;
}
