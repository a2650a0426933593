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

static bool enter_sandbox(struct exec *exec, struct sandbox_report *report)
{
    enum sandbox_isolation isolation = (enum sandbox_isolation)exec->config.isolation;
    char why[256] = "";
    if (sandbox_undumpable() != 0 ||
        sandbox_enter(SANDBOX_EXEC, NULL, report, why, sizeof why) != 0) {
        log_error("the sandbox cannot be entered: %s", why[0] ? why : strerror(errno));
        return false;
    }
    if (sandbox_command_init(&exec->spawner.domain, isolation) != 0) {
        log_error("the sandbox of commands cannot be prepared: %s", strerror(errno));
        return false;
    }
    return true;
}

/* 0, or the exit code. */
static int start(struct exec *exec)
{
    struct sandbox_report report = {0};
    umask((mode_t)exec->config.umask); /* commands inherit it, and exec makes no file */
    config_raise_limits();
    exec->base = channel_loop_new();
    if (!exec->base || spawner_init(&exec->spawner) != 0 || exec_start(exec) != 0 ||
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        log_error("cannot start: %s", strerror(errno));
        return BIRTH_FAILED;
    }
    if (!enter_sandbox(exec, &report))
        return BIRTH_SANDBOX;
    config_start_state(&exec->config, &exec->spawner.state);
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
    int failed = start(&exec);
    if (failed)
        return failed;
    event_base_dispatch(exec.base);
    exec_finish(&exec);
    return exec.exit_code;
}
