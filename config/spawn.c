/* SPDX-License-Identifier: Apache-2.0 */
#include "config/spawn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "ipc/birth.h"

pid_t program_start(const struct programs *p, const char *name, const int *fds, int n)
{
    char path[LIMIT_PATH + 64], argument[32];
    char *const environment[] = {NULL}, *const argv[] = {argument, NULL};
    snprintf(argument, sizeof argument, "%s", name);
    if (!program_path(path, sizeof path, p, name))
        return -1;
    pid_t pid = fork();
    if (pid < 0)
        log_error("%s cannot be started: %s", name, strerror(errno));
    if (pid != 0)
        return pid;
    if (fds_arrange(BIRTH_FD_FIRST, fds, n) == 0)
        execve(path, argv, environment);
    log_error("%s cannot be started: %s", path, strerror(errno));
    _exit(BIRTH_FAILED);
}
