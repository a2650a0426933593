/* SPDX-License-Identifier: Apache-2.0 */
#include "core/set_aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define SUFFIX ".aside"
/* A crash leaves a file or two; whoever puts more here can see to them. */
#define ASIDE_MOST 32
#define NUMBERS    10

static bool taken(int dirfd, const char *name)
{
    struct stat st;
    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

bool set_aside(int dirfd, const char *name, char to[SET_ASIDE_NAME])
{
    int n = snprintf(to, SET_ASIDE_NAME, "%s" SUFFIX, name);
    for (int i = 2; i <= NUMBERS && n > 0 && n < SET_ASIDE_NAME && taken(dirfd, to); i++)
        n = snprintf(to, SET_ASIDE_NAME, "%s.%d" SUFFIX, name, i);
    /* The tenth replaces the one before it. */
    if (n > 0 && n < SET_ASIDE_NAME && renameat(dirfd, name, dirfd, to) == 0)
        return true;
    snprintf(to, SET_ASIDE_NAME, "%s", name);
    return false;
}

static bool is_aside(const char *name)
{
    size_t len = strlen(name), end = sizeof SUFFIX - 1;
    return len > end && strcmp(name + len - end, SUFFIX) == 0;
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

void set_aside_unknown(int dirfd, bool (*known)(void *context, const char *name), void *context)
{
    char to[SET_ASIDE_NAME];
    unsigned aside = 0;
    const struct dirent *d;
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        log_warn("the directory of results cannot be read: %s", strerror(errno));
        return;
    }
    while ((d = readdir(dir)))
        aside += is_aside(d->d_name);
    rewinddir(dir);
    while ((d = readdir(dir))) {
        if (is_dot(d->d_name) || is_aside(d->d_name) || known(context, d->d_name))
            continue;
        if (++aside > ASIDE_MOST) {
            log_warn("results/ holds many files that are not this agent's; they are left alone");
            break;
        }
        bool kept = set_aside(dirfd, d->d_name, to);
        log_warn("results/%s belongs to no result: %s%s", d->d_name,
                 kept ? "kept as results/" : "left where it is", kept ? to : "");
    }
    closedir(dir);
}
