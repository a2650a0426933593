/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/token.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/wipe.h"
#include "parent/options.h"

#define VARIABLE "TOWER_ACCESS_TOKEN="
/* A writer of --token-fd that does not write must not hold the start for ever. */
#define FD_DEADLINE_MS 10000
/* Enough to see that a token is too long, line end included. */
#define READ_MAX (LIMIT_TOKEN + 3)

int token_init(struct token *t)
{
    *t = (struct token){.dirfd = -1, .fd = -1};
    return secret_init(&t->pages[0]) == 0 && secret_init(&t->pages[1]) == 0 &&
                   search_init(&t->search) == 0
               ? 0
               : -1;
}

/* Copies into the page in use as much as shows whether it is too long, and wipes the original. */
static void take(struct token *t, enum token_source source, char *text)
{
    struct secret *page = &t->pages[t->used];
    size_t len = strlen(text);
    explicit_bzero(page->data, page->size);
    page->len = len < READ_MAX ? len : READ_MAX;
    memcpy(page->data, text, page->len);
    explicit_bzero(text, len);
    t->source = source;
}

bool token_take_environment(struct token *t, char **environment)
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
            take(t, TOKEN_VARIABLE, value);
            found = true;
        }
    }
    *to = NULL;
    return found;
}

void token_take_argument(struct token *t, char *value)
{
    take(t, TOKEN_ARGUMENT, value);
}

const char *token_judge(const char *bytes, size_t *len)
{
    while (*len > 0 && (bytes[*len - 1] == '\n' || bytes[*len - 1] == '\r'))
        --*len;
    if (*len == 0)
        return "it is empty";
    if (*len > LIMIT_TOKEN)
        return "it is longer than 4096 bytes";
    for (size_t i = 0; i < *len; i++)
        if (bytes[i] < 0x21 || bytes[i] > 0x7e)
            return "it holds a blank, a control character or a byte that is not ASCII";
    return NULL;
}

static int hold_file(struct token *t, const char *path, const char *origin)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash ? span_dup((struct span){path, (size_t)(slash - path) + 1}) : NULL;
    t->name = span_dup(span_of(slash ? slash + 1 : path));
    if (!t->name || (slash && !directory)) {
        free(directory);
        log_error("no memory");
        return EXIT_OTHER;
    }
    t->dirfd = open(directory ? directory : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    free(directory);
    if (t->dirfd >= 0)
        return 0;
    /* The path is not repeated: it may be a token given to the wrong option. */
    log_error("%s: its directory cannot be opened: %s", origin, strerror(errno));
    return EXIT_CONFIG;
}

static int hold_fd(struct token *t, int fd, const char *origin)
{
    t->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (t->fd >= 0)
        return 0;
    log_error("%s: %s", origin, strerror(errno));
    return EXIT_CONFIG;
}

static int hold_credential(struct token *t)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    int fd = directory ? open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0 && faccessat(fd, "token", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        t->dirfd = fd;
        t->name = span_dup(span_of("token"));
        t->source = TOKEN_CREDENTIAL;
        return t->name ? 0 : EXIT_OTHER;
    }
    fds_close(&fd);
    log_error("no access token: give --token-file FILE, --token-fd N, the service credential "
              "\"token\", or TOWER_ACCESS_TOKEN");
    return EXIT_CONFIG;
}

int token_find(struct token *t, const struct options *o, int fd)
{
    static const enum option_id ids[] = {OPT_ACCESS_TOKEN, OPT_TOKEN_FILE, OPT_TOKEN_FD};
    enum option_id chosen;
    char origin[512];
    if (!options_choose(o, ids, 3, &chosen))
        return options_bad(o, chosen);
    switch (chosen) {
    case OPT_ACCESS_TOKEN:
        return token_load(t);
    case OPT_TOKEN_FILE:
        t->source = TOKEN_FILE;
        return hold_file(t, o->values[chosen].text,
                         options_origin(o, chosen, origin, sizeof origin));
    case OPT_TOKEN_FD:
        t->source = TOKEN_FD;
        return hold_fd(t, fd, options_origin(o, chosen, origin, sizeof origin));
    default:
        return hold_credential(t);
    }
}

static const char *wait_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, FD_DEADLINE_MS) == 1 ? NULL : "nothing was written to it within 10 s";
}

/* Judges what was opened, not what had the name before. */
static const char *read_fd(struct token *t, int fd, struct secret *page)
{
    struct stat st;
    const char *why = NULL;
    if (fstat(fd, &st) != 0)
        return strerror(errno);
    bool stream = t->source == TOKEN_FD && S_ISFIFO(st.st_mode);
    if (!S_ISREG(st.st_mode) && !stream)
        return t->source == TOKEN_FD ? "it is neither a pipe nor a regular file"
                                     : "it is not a regular file";
    t->mode = stream ? 0 : st.st_mode;
    t->owner = st.st_uid;
    t->group = st.st_gid;
    explicit_bzero(page->data, page->size);
    page->len = 0;
    while (page->len < READ_MAX) {
        if (stream && (why = wait_readable(fd)))
            return why;
        ssize_t n = read(fd, page->data + page->len, READ_MAX - page->len);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return strerror(errno);
        if (n == 0)
            break;
        page->len += (size_t)n;
    }
    return NULL;
}

static const char *read_file(struct token *t, struct secret *page)
{
    int fd = openat(t->dirfd, t->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno == ELOOP ? "it is a symbolic link, which is not followed" : strerror(errno);
    const char *why = read_fd(t, fd, page);
    close(fd);
    return why;
}

int token_load(struct token *t)
{
    static const char *const names[] = {[TOKEN_ARGUMENT] =
                                            "the access token given by --access-token",
                                        [TOKEN_VARIABLE] = "the access token in TOWER_ACCESS_TOKEN",
                                        [TOKEN_FILE] = "the token file",
                                        [TOKEN_CREDENTIAL] = "the service credential \"token\"",
                                        [TOKEN_FD] = "the descriptor of --token-fd"};
    struct secret *page = &t->pages[t->used];
    const char *why = NULL;
    if (t->dirfd >= 0)
        why = read_file(t, page);
    else if (t->fd >= 0)
        why = read_fd(t, t->fd, page);
    fds_close(&t->fd);
    if (!why)
        why = token_judge(page->data, &page->len);
    if (why) {
        log_error("%s is not usable: %s", names[t->source], why);
        return EXIT_CONFIG;
    }
    search_set(&t->search, token_bytes(t));
    return 0;
}

void token_check_rereadable(struct token *t)
{
    if (t->dirfd < 0 || faccessat(t->dirfd, t->name, R_OK, 0) == 0)
        return;
    if (t->source == TOKEN_FILE)
        log_warn("the token file cannot be read again by this user, so SIGHUP will not replace the "
                 "token: give it to root:tw-agent with mode 0640");
    fds_close(&t->dirfd);
}

enum token_outcome token_reload(struct token *t)
{
    struct secret *old = &t->pages[t->used], *new = &t->pages[!t->used];
    if (t->dirfd < 0)
        return TOKEN_NOT_READABLE_AGAIN;
    const char *why = read_file(t, new);
    if (!why)
        why = token_judge(new->data, &new->len);
    enum token_outcome outcome = TOKEN_KEPT;
    if (why)
        log_warn("the token was read again, and the new one is not usable: %s", why);
    else if (new->len == old->len && memcmp(new->data, old->data, old->len) == 0)
        outcome = TOKEN_UNCHANGED;
    else
        outcome = TOKEN_REPLACED;
    if (outcome == TOKEN_REPLACED) {
        t->used = !t->used;
        search_set(&t->search, token_bytes(t));
        new = old;
    }
    explicit_bzero(new->data, new->size);
    new->len = 0;
    wipe_stack();
    wipe_registers();
    return outcome;
}

struct span token_bytes(const struct token *t)
{
    return (struct span){t->pages[t->used].data, t->pages[t->used].len};
}

bool token_reachable(const struct token *t, uid_t uid, const gid_t *groups, size_t n_groups)
{
    if (t->source == TOKEN_ARGUMENT || t->source == TOKEN_VARIABLE)
        return true;
    if (t->mode == 0)
        return false;
    if (t->owner == uid || (t->mode & S_IROTH))
        return true;
    for (size_t i = 0; i < n_groups; i++)
        if (groups[i] == t->group && (t->mode & S_IRGRP))
            return true;
    return false;
}

void token_finish(struct token *t)
{
    secret_finish(&t->pages[0]);
    secret_finish(&t->pages[1]);
    search_finish(&t->search);
    fds_close(&t->dirfd);
    fds_close(&t->fd);
    free(t->name);
    t->name = NULL;
}
