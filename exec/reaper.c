/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/reaper.h"

#include <signal.h>
#include <sys/wait.h>

#include "exec/command.h"

static void on_child(evutil_socket_t number, short what, void *arg)
{
    struct exec *exec = arg;
    int status;
    pid_t pid;
    (void)number;
    (void)what;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        groups_exited(&exec->groups, pid);
        if (!commands_exited(exec, pid, status) &&
            !helper_exited(&exec->workdir.helper, pid, status))
            helper_exited(&exec->capture.helper, pid, status);
    }
    groups_check(&exec->groups);
    exec_check_stopped(exec);
}

int reaper_start(struct exec *exec)
{
    event_assign(&exec->reaper, exec->base, SIGCHLD, EV_SIGNAL | EV_PERSIST, on_child, exec);
    return event_add(&exec->reaper, NULL);
}
