/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/spawn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "ipc/birth.h"

static bool find(char *out, size_t size, const struct programs *p, const char *name)
{
    int n = snprintf(out, size, "%s/%s", p->directory, name);
    return n > 0 && (size_t)n < size;
}

bool programs_find(struct programs *p)
{
    static const char *const names[] = {"tw-agent-core", "tw-agent-exec", "tw-agent-net",
                                        "tw-agent-net-connect", "tw-agent-net-session"};
    char self[LIMIT_PATH], path[LIMIT_PATH + 64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash) {
        log_error("cannot find this program's own path: is /proc mounted?");
        return false;
    }
    *slash = '\0';
    snprintf(p->directory, sizeof p->directory, "%s/../libexec/tw-agent", self);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct stat st;
        if (find(path, sizeof path, p, names[i]) && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
            access(path, X_OK) == 0)
            continue;
        log_error("%s is missing or cannot be run: install all of tw-agent's programs together",
                  path);
        return false;
    }
    return true;
}

pid_t program_start(const struct programs *p, const char *name, const int *fds, int n)
{
    char path[LIMIT_PATH + 64], argument[32];
    char *const environment[] = {NULL}, *const argv[] = {argument, NULL};
    snprintf(argument, sizeof argument, "%s", name);
    if (!find(path, sizeof path, p, name))
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
