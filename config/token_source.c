/* SPDX-License-Identifier: Apache-2.0 */
#include "config/token_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "base/span.h"
#include "base/text.h"

#define VARIABLE "TOWER_ACCESS_TOKEN="

void token_source_init(struct token_source *s)
{
    *s = (struct token_source){.dirfd = -1, .fd = -1};
}

static int hold_file(struct token_source *s, const char *path, const char *origin)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash ? span_dup((struct span){path, (size_t)(slash - path) + 1}) : NULL;
    s->name = span_dup(span_of(slash ? slash + 1 : path));
    if (!s->name || (slash && !directory)) {
        free(directory);
        log_error("no memory");
        return EXIT_OTHER;
    }
    s->dirfd = open(directory ? directory : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    free(directory);
    if (s->dirfd >= 0)
        return 0;
    /* The path is not repeated: it may be a token given to the wrong option. */
    log_error("%s: its directory cannot be opened: %s", origin, strerror(errno));
    return EXIT_CONFIG;
}

static int hold_fd(struct token_source *s, int fd, const char *origin)
{
    s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (s->fd >= 0)
        return 0;
    log_error("%s: %s", origin, strerror(errno));
    return EXIT_CONFIG;
}

static int hold_credential(struct token_source *s)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    int fd = directory ? open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0 && faccessat(fd, "token", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        s->dirfd = fd;
        s->name = span_dup(span_of("token"));
        s->kind = TOKEN_CREDENTIAL;
        return s->name ? 0 : EXIT_OTHER;
    }
    fds_close(&fd);
    log_error("no access token: give --token-file FILE, --token-fd N, the service credential "
              "\"token\", or TOWER_ACCESS_TOKEN");
    return EXIT_CONFIG;
}

int token_source_find(struct token_source *s, const struct options *o, int fd)
{
    static const enum option_id ids[] = {OPT_ACCESS_TOKEN, OPT_TOKEN_FILE, OPT_TOKEN_FD};
    enum option_id chosen;
    char origin[512];
    if (!options_choose(o, ids, 3, &chosen))
        return options_bad(o, chosen);
    switch (chosen) {
    case OPT_ACCESS_TOKEN:
        s->kind = o->values[chosen].level == LEVEL_OPTION ? TOKEN_ARGUMENT : TOKEN_VARIABLE;
        return 0;
    case OPT_TOKEN_FILE:
        s->kind = TOKEN_FILE;
        return hold_file(s, o->values[chosen].text,
                         options_origin(o, chosen, origin, sizeof origin));
    case OPT_TOKEN_FD:
        s->kind = TOKEN_FD;
        return hold_fd(s, fd, options_origin(o, chosen, origin, sizeof origin));
    default:
        return hold_credential(s);
    }
}

static int open_file(const struct token_source *s, const char **why)
{
    int fd = openat(s->dirfd, s->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        *why = errno == ELOOP ? "it is a symbolic link, which is not followed" : strerror(errno);
    return fd;
}

static const char *judge(struct token_source *s, const struct stat *st)
{
    bool stream = s->kind == TOKEN_FD && S_ISFIFO(st->st_mode);
    if (!S_ISREG(st->st_mode) && !stream)
        return s->kind == TOKEN_FD ? "it is neither a pipe nor a regular file"
                                   : "it is not a regular file";
    s->mode = stream ? 0 : st->st_mode;
    s->owner = st->st_uid;
    s->group = st->st_gid;
    return NULL;
}

/* Before the sandbox is entered, so the first time only. */
static void read_acl(struct token_source *s, int fd)
{
    if (s->acl_read)
        return;
    s->acl_read = true;
    ssize_t n = fgetxattr(fd, "system.posix_acl_access", s->acl, sizeof s->acl);
    s->acl_len = n >= 0 ? n : errno == ERANGE ? -1 : 0;
}

int token_source_open(struct token_source *s, const char **why)
{
    struct stat st;
    int fd = -1;
    *why = NULL;
    if (s->dirfd >= 0)
        fd = open_file(s, why);
    else {
        fd = s->fd;
        s->fd = -1;
    }
    if (fd < 0) {
        if (!*why)
            *why = "it can be read once only";
        return -1;
    }
    *why = fstat(fd, &st) == 0 ? judge(s, &st) : strerror(errno);
    if (*why)
        fds_close(&fd);
    else if (s->mode != 0)
        read_acl(s, fd);
    return fd;
}

const char *token_source_text(const struct token_source *s)
{
    static const char *const texts[] = {[TOKEN_NONE] = "the access token",
                                        [TOKEN_ARGUMENT] =
                                            "the access token given by --access-token",
                                        [TOKEN_VARIABLE] = "the access token in TOWER_ACCESS_TOKEN",
                                        [TOKEN_FILE] = "the token file",
                                        [TOKEN_CREDENTIAL] = "the service credential \"token\"",
                                        [TOKEN_FD] = "the descriptor of --token-fd"};
    return texts[s->kind];
}

bool token_source_take_environment(char **environment, options_secret *take, void *context)
{
    bool found = false;
    char **to = environment;
    for (char **from = environment; *from; from++) {
        if (strncmp(*from, VARIABLE, sizeof VARIABLE - 1) != 0) {
            *to++ = *from;
            continue;
        }
        char *value = *from + sizeof VARIABLE - 1;
        if (*value) {
            take(context, value);
            found = true;
        }
    }
    *to = NULL;
    return found;
}

bool token_source_open_to_all(const struct token_source *s)
{
    return s->kind == TOKEN_ARGUMENT || s->kind == TOKEN_VARIABLE;
}

void token_source_release(struct token_source *s)
{
    fds_close(&s->dirfd);
    fds_close(&s->fd);
}

void token_source_finish(struct token_source *s)
{
    token_source_release(s);
    free(s->name);
    s->name = NULL;
}
