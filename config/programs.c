/* SPDX-License-Identifier: Apache-2.0 */
#include "config/programs.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/span.h"
#include "config/options.h"
#include "ipc/probes.h"

const char *const program_names[PROGRAMS] = {"tw-agent-core",        "tw-agent-exec",
                                             "tw-agent-net",         "tw-agent-net-connect",
                                             "tw-agent-net-session", PROBE_PROGRAM};

bool program_beside(char *out, size_t size, const char *name)
{
    char self[LIMIT_PATH];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash)
        return false;
    *slash = '\0';
    n = snprintf(out, size, "%s/%s", self, name);
    return n > 0 && (size_t)n < size;
}

bool programs_locate(struct programs *p)
{
    return program_beside(p->directory, sizeof p->directory, "../libexec/tw-agent");
}

bool program_path(char *out, size_t size, const struct programs *p, const char *name)
{
    int n = snprintf(out, size, "%s/%s", p->directory, name);
    return n > 0 && (size_t)n < size;
}

/* A plain user's group of the same name with nobody else in it: usual where the umask is 002. */
static bool is_private_group(gid_t gid, uid_t user)
{
    const struct passwd *pw = getpwuid(user);
    const struct group *g = getgrgid(gid);
    if (user == 0 || !pw || !g || pw->pw_gid != gid || strcmp(pw->pw_name, g->gr_name) != 0)
        return false;
    for (char **member = g->gr_mem; *member; member++)
        if (strcmp(*member, pw->pw_name) != 0)
            return false;
    return true;
}

const char *stat_unsafe(const struct stat *st, uid_t user)
{
    if (st->st_uid != 0 && st->st_uid != user)
        return user == 0 ? "does not belong to root" : "belongs neither to root nor to you";
    if (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) && st->st_uid == 0)
        return NULL;
    if (st->st_mode & S_IWOTH)
        return "can be written by everyone";
    if ((st->st_mode & S_IWGRP) && !is_private_group(st->st_gid, user))
        return "can be written by its group";
    return NULL;
}

static bool components_are_safe(char *path, uid_t user, char *what, size_t size)
{
    struct stat st;
    for (;;) {
        const char *why = lstat(path, &st) == 0 ? stat_unsafe(&st, user) : strerror(errno);
        if (why) {
            snprintf(what, size, "%s %s", path, why);
            return false;
        }
        char *slash = strrchr(path, '/');
        if (!slash || path[1] == '\0')
            return true;
        slash[slash == path ? 1 : 0] = '\0';
    }
}

bool path_is_safe(const char *path, uid_t user, char *what, size_t size)
{
    char *real = realpath(path, NULL), *copy = NULL, *above = NULL;
    bool safe = real && components_are_safe(real, user, what, size);
    if (!real)
        snprintf(what, size, "%s: %s", path, strerror(errno));
    /* A link's own directory counts as well: who writes there points it elsewhere. */
    const char *slash = safe ? strrchr(path, '/') : NULL;
    if (slash && slash != path) {
        copy = span_dup((struct span){path, (size_t)(slash - path)});
        above = copy ? realpath(copy, NULL) : NULL;
        safe = above && components_are_safe(above, user, what, size);
    }
    free(real);
    free(copy);
    free(above);
    return safe;
}

enum program_state program_judge(const struct programs *p, const char *name, uid_t user, char *what,
                                 size_t what_size, const char **remedy)
{
    char path[LIMIT_PATH + 64], why[LIMIT_PATH + 128];
    struct stat st;
    *remedy = "install all of tw-agent's programs together";
    if (!program_path(path, sizeof path, p, name) || stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
        access(path, X_OK) != 0) {
        snprintf(what, what_size, "%s is missing or cannot be run", path);
        return PROGRAM_MISSING;
    }
    *remedy = user == 0 ? "chown root and chmod go-w it" : "chmod go-w it, or install elsewhere";
    if (path_is_safe(path, user, why, sizeof why) &&
        path_is_safe(p->directory, user, why, sizeof why))
        return PROGRAM_GOOD;
    snprintf(what, what_size, "%s could be changed by others: %s", name, why);
    return PROGRAM_UNSAFE;
}

int programs_find(struct programs *p)
{
    char what[2 * LIMIT_PATH];
    const char *remedy;
    if (!programs_locate(p)) {
        log_error("cannot find this program's own path: is /proc mounted?");
        return EXIT_OTHER;
    }
    for (size_t i = 0; i < PROGRAMS; i++) {
        enum program_state state =
            program_judge(p, program_names[i], geteuid(), what, sizeof what, &remedy);
        if (state == PROGRAM_GOOD)
            continue;
        log_error("%s: %s", what, remedy);
        return state == PROGRAM_UNSAFE ? EXIT_CONFIG : EXIT_OTHER;
    }
    return 0;
}
