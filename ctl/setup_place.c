/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "config/files.h"
#include "config/programs.h"
#include "ctl/setup.h"

#define MODE_SYSTEM_DIRECTORY 0750
#define MODE_SYSTEM_FILE      0640
#define MODE_OWN_DIRECTORY    0700
#define MODE_OWN_FILE         0600

static int fail(const char *what)
{
    log_error("%s: %s", what, strerror(errno));
    return CTL_PROBLEM;
}

/* Makes what is missing of the path; a plain user's configuration directory may be missing as a
 * whole. */
static void make_above(const char *path, mode_t mode)
{
    char part[LIMIT_PATH + 1];
    for (const char *c = strchr(path + 1, '/'); c; c = strchr(c + 1, '/'))
        if (span_copy(part, sizeof part, (struct span){path, (size_t)(c - path)}))
            mkdir(part, mode);
}

/* The directory, which nobody else may write; -1 after an error is logged. */
static int open_directory(const struct setup *s)
{
    char what[2 * LIMIT_PATH];
    mode_t mode = s->system_mode ? MODE_SYSTEM_DIRECTORY : MODE_OWN_DIRECTORY;
    if (!s->system_mode)
        make_above(s->directory, MODE_OWN_DIRECTORY);
    /* Nobody else can be in it before it has its owner: its mode is 0700 until then. */
    bool made = mkdir(s->directory, MODE_OWN_DIRECTORY) == 0;
    int fd = open(s->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || (made && ((s->system_mode && fchown(fd, 0, s->users.agent.gid) != 0) ||
                            fchmod(fd, mode) != 0))) {
        fail(s->directory);
        fds_close(&fd);
        return -1;
    }
    if (path_is_safe(s->directory, geteuid(), what, sizeof what))
        return fd;
    log_error("files there could be changed by others: %s", what);
    close(fd);
    return -1;
}

/* A name that nobody guesses, beside the one it will have. */
static int open_new(int dirfd, const char *name, char *out, size_t size)
{
    unsigned long long random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return -1;
    snprintf(out, size, ".%s.%016llx", name, random);
    return openat(dirfd, out, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE_OWN_FILE);
}

/* Gives the new file its name. replace: whatever has it now. */
static int rename_new(int dirfd, const char *from, const char *to, bool replace)
{
    if (replace)
        return renameat(dirfd, from, dirfd, to);
    if (renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE) == 0)
        return 0;
    /* A file system that cannot: a second name, and the first one goes. */
    if (errno != EINVAL || linkat(dirfd, from, dirfd, to, 0) != 0)
        return -1;
    return unlinkat(dirfd, from, 0);
}

/* The file has its content, owner and mode before it has its name. */
static bool place(const struct setup *s, int dirfd, const char *name, struct span content,
                  bool replace)
{
    char temporary[INSTANCE_NAME_MAX + 48];
    int fd = open_new(dirfd, name, temporary, sizeof temporary);
    bool made = fd >= 0;
    /* Of root alone until its group is the right one. */
    bool ok = made && (!s->system_mode || fchown(fd, 0, s->users.agent.gid) == 0) &&
              fchmod(fd, s->system_mode ? MODE_SYSTEM_FILE : MODE_OWN_FILE) == 0 &&
              fds_write(fd, content.data, content.len) == 0 && fsync(fd) == 0 &&
              rename_new(dirfd, temporary, name, replace) == 0;
    if (!ok)
        log_error("%s/%s cannot be written: %s", s->directory, name, strerror(errno));
    if (!ok && made)
        unlinkat(dirfd, temporary, 0);
    fds_close(&fd);
    /* Not every file system can do that for a directory. */
    if (!ok || fsync(dirfd) == 0 || errno == EINVAL)
        return ok;
    log_error("%s: %s", s->directory, strerror(errno));
    return false;
}

/* What is there, under another name: the comments in it are not kept otherwise. */
static bool keep_old(struct setup *s, int dirfd)
{
    char name[INSTANCE_NAME_MAX + 16];
    struct stat st;
    const char *why;
    size_t len;
    char *text = file_read(s->config, SETUP_TEXT_MAX, &len, &st, &why);
    if (!text) {
        log_error("%s cannot be read: %s", s->config, why);
        return false;
    }
    snprintf(name, sizeof name, "%s.conf.bak", s->name);
    bool ok = place(s, dirfd, name, (struct span){text, len}, true);
    if (ok)
        snprintf(s->backup, sizeof s->backup, "%s.bak", s->config);
    explicit_bzero(text, len);
    free(text);
    return ok;
}

static bool place_token(struct setup *s, int dirfd, const char *name)
{
    s->token.data[s->token.len] = '\n'; /* the page is longer than any token */
    bool ok = place(s, dirfd, name, (struct span){s->token.data, s->token.len + 1},
                    s->has_token && s->force);
    s->token.data[s->token.len] = '\0';
    return ok;
}

int setup_write(struct setup *s)
{
    char token[INSTANCE_NAME_MAX + 16], config[INSTANCE_NAME_MAX + 16];
    snprintf(token, sizeof token, "%s.token", s->name);
    snprintf(config, sizeof config, "%s.conf", s->name);
    _Static_assert(LIMIT_TOKEN + 2 < LIMIT_SECRET_PAGE, "a line end fits behind the token");
    int dirfd = open_directory(s);
    if (dirfd < 0)
        return CTL_PROBLEM;
    bool ok = (!s->exists || keep_old(s, dirfd)) && (s->keep_token || place_token(s, dirfd, token));
    if (ok && !place(s, dirfd, config, span_of(s->text), s->exists)) {
        ok = false;
        /* No token is left behind for an instance that is none. */
        if (!s->keep_token && !s->has_token)
            unlinkat(dirfd, token, 0);
    }
    close(dirfd);
    return ok ? CTL_WELL : CTL_PROBLEM;
}
