/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/check.h"
#include "ctl/prompt.h"
#include "ctl/setup.h"

/* Yes, by --yes or an answer; without a terminal it is no. */
static bool agreed(const struct setup *s, const char *line, const char *question)
{
    const char *const lines[] = {line, NULL};
    return s->yes || (prompt_possible() && prompt_yes(lines, question) == PROMPT_YES);
}

/* ---- the service's users ---- */

static bool find_sysusers(char *file, size_t size)
{
    static const char *const places[] = {"/etc/sysusers.d/tw-agent.conf",
                                         "/usr/lib/sysusers.d/tw-agent.conf"};
    char self[LIMIT_PATH];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (access(places[i], R_OK) == 0)
            return span_copy(file, size, span_of(places[i]));
    /* Of a tree that was unpacked somewhere. */
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return (size_t)snprintf(file, size, "%s/../lib/sysusers.d/tw-agent.conf", self) < size &&
           access(file, R_OK) == 0;
}

static bool run_sysusers(const char *file)
{
    static const char *const programs[] = {"/usr/bin/systemd-sysusers", "/bin/systemd-sysusers"};
    static char *const environment[] = {NULL};
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
            execle(programs[i], "systemd-sysusers", file, (char *)NULL, environment);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    log_error("systemd-sysusers %s failed: make the users by hand", file);
    return false;
}

int setup_users(struct setup *s)
{
    const char *net = settings_text(&s->merged, OPT_NET_USER);
    char file[LIMIT_PATH + 64], line[LIMIT_PATH + 128];
    if (!s->system_mode || (getpwnam("tw-agent") && getpwnam(net)))
        return CTL_WELL;
    /* Without the file, or without leave, users_find says what to do. */
    if (!find_sysusers(file, sizeof file))
        return CTL_WELL;
    snprintf(line, sizeof line, "The service users are missing; %s names them.", file);
    if (!agreed(s, line, "Make them by systemd-sysusers?"))
        return CTL_WELL;
    return run_sysusers(file) ? CTL_WELL : CTL_PROBLEM;
}

/* ---- the work directory ---- */

static void make_directory(const void *context, void *answer)
{
    *(int *)answer = mkdir(context, 0700) == 0 ? 0 : errno;
}

int setup_work_dir(struct setup *s)
{
    char path[LIMIT_PATH + 1], line[LIMIT_PATH + LIMIT_USER + 128];
    struct work_answer a;
    int error = 0;
    /* Whatever else is wrong with it, the judgement at the end says. */
    if (work_dir_look(&s->users, &s->merged, path, &a) != CHILD_ANSWERED || a.error != ENOENT)
        return CTL_WELL;
    snprintf(line, sizeof line, "The work directory %s of user '%s' does not exist.", path,
             s->users.name);
    if (!agreed(s, line, "Make it, as that user?"))
        return CTL_WELL;
    if (child_look(&s->users.commands, make_directory, path, &error, sizeof error,
                   CHECK_DEADLINE_MS) != CHILD_ANSWERED)
        error = ETIMEDOUT;
    if (error == 0)
        return CTL_WELL;
    log_error("the work directory %s cannot be made as user '%s': %s", path, s->users.name,
              strerror(error));
    return CTL_PROBLEM;
}
