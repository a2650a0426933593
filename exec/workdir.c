/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/workdir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/memfd.h"

#define WORKDIR_DEADLINE_MS 10000
#define RETRY_MS            250
#define ATTEMPTS            20

/* What the child writes: this, then the path. */
struct answer {
    int error;
    int writable;
};

/* Appends the components of path to the normalised out, without asking the file system. */
static bool append_components(char *out, size_t size, const char *path)
{
    size_t len = strlen(out);
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') {
            while (len > 0 && out[len - 1] != '/')
                len--;
            len -= len > 0;
        } else if (n > 0 && !(n == 1 && path[0] == '.')) {
            if (len + n + 1 >= size)
                return false;
            out[len++] = '/';
            memcpy(out + len, path, n);
            len += n;
        }
        out[len] = '\0';
        path += n;
        path += strspn(path, "/");
    }
    return true;
}

static void set_root(char *out)
{
    out[0] = '/';
    out[1] = '\0';
}

/* True when both name the same directory. */
static bool same(const char *path, const struct stat *st)
{
    struct stat other;
    return stat(path, &other) == 0 && other.st_dev == st->st_dev && other.st_ino == st->st_ino;
}

/*
 * Absolute and normalised. The name that people and compute nodes know is kept; only where ".."
 * crosses a symbolic link it is not the same directory, and the links are resolved.
 */
static int resolve(const char *path, const char *pwd, const struct stat *st, char out[PATH_MAX])
{
    char cwd[PATH_MAX] = "";
    const char *start = "";
    struct stat here;
    if (path[0] != '/') {
        if (!getcwd(cwd, sizeof cwd))
            return -1;
        bool known = pwd[0] == '/' && stat(".", &here) == 0 && same(pwd, &here);
        start = known ? pwd : cwd;
    }
    out[0] = '\0';
    if (append_components(out, PATH_MAX, start) && append_components(out, PATH_MAX, path)) {
        if (out[0] == '\0')
            set_root(out);
        if (same(out, st))
            return 0;
    }
    return realpath(path, out) ? 0 : -1;
}

static int try(const struct exec *exec, struct answer *a, char out[PATH_MAX])
{
    char pwd[PATH_MAX];
    struct stat st;
    const char *path = exec->workdir.path;
    span_copy(pwd, sizeof pwd, environment_get(exec->config.agent_env.bytes, "PWD"));
    if (stat(path, &st) != 0)
        return errno;
    if (!S_ISDIR(st.st_mode))
        return ENOTDIR;
    if (resolve(path, pwd, &st, out) != 0)
        return errno;
    if (strlen(out) > LIMIT_PATH)
        return ENAMETOOLONG;
    if (faccessat(AT_FDCWD, out, X_OK, AT_EACCESS) != 0)
        return errno;
    a->writable = faccessat(AT_FDCWD, out, W_OK, AT_EACCESS) == 0;
    return chdir(out) == 0 ? 0 : errno; /* exec's as well: they share it */
}

/* In the child. */
static int check(void *argument, int out)
{
    char path[PATH_MAX] = "";
    struct answer a = {0};
    a.error = try(argument, &a, path);
    return fds_write(out, &a, sizeof a) == 0 && fds_write(out, path, strlen(path)) == 0 ? 0 : 1;
}

static void bad(struct exec *exec, int error)
{
    exec->workdir.state = WORKDIR_BAD;
    exec->workdir.error = error;
    if (exec->announced) /* otherwise core says so, and what to do */
        log_error("work directory '%s': %s", exec->workdir.path, strerror(error));
    exec_settled(exec);
}

static void on_checked(void *context, enum helper_outcome outcome, int status, struct span answer)
{
    struct exec *exec = context;
    struct workdir *w = &exec->workdir;
    struct answer a;
    if (outcome != HELPER_ENDED) {
        bad(exec, ETIMEDOUT);
        return;
    }
    if (status != 0 || answer.len < sizeof a) {
        bad(exec, EIO);
        return;
    }
    memcpy(&a, answer.data, sizeof a);
    struct span path = {answer.data + sizeof a, answer.len - sizeof a};
    if (a.error != 0 || path.len == 0) {
        bad(exec, a.error ? a.error : EIO);
        return;
    }
    span_copy(w->path, sizeof w->path, path);
    if (!a.writable)
        log_warn("work directory '%s': not writable for the user that commands run as", w->path);
    w->state = WORKDIR_GOOD;
    exec_settled(exec);
}

/* The child that checks; -1 with errno. */
static pid_t start_check(struct exec *exec, int *answer)
{
    int pipe[2];
    if (helper_pipe(pipe) != 0)
        return -1;
    pid_t pid = spawn_function(&exec->spawner, check, exec, pipe[1], true);
    int saved = errno;
    close(pipe[1]);
    if (pid < 0)
        close(pipe[0]);
    errno = saved;
    *answer = pipe[0];
    return pid;
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    workdir_check(arg);
}

void workdir_init(struct exec *exec)
{
    struct workdir *w = &exec->workdir;
    span_copy(w->path, sizeof w->path, span_of(exec->config.work_dir));
    w->helper.done = on_checked;
    w->helper.context = exec;
    event_assign(&w->retry, exec->base, -1, 0, on_retry, exec);
}

void workdir_check(struct exec *exec)
{
    struct workdir *w = &exec->workdir;
    struct timeval later = clock_timeval(RETRY_MS);
    int answer = -1;
    if (w->helper.pid != 0)
        return;
    pid_t pid = start_check(exec, &answer);
    w->state = WORKDIR_CHECKING;
    if (pid > 0) {
        w->attempts = 0;
        helper_await(&w->helper, exec->base, pid, answer, WORKDIR_DEADLINE_MS,
                     sizeof(struct answer) + LIMIT_PATH);
    } else if (++w->attempts < ATTEMPTS) {
        event_add(&w->retry, &later); /* a shortage of processes passes */
    } else {
        w->attempts = 0;
        bad(exec, errno);
    }
}

void workdir_finish(struct workdir *w)
{
    helper_cancel(&w->helper);
    event_del(&w->retry);
}

bool workdir_exists(void)
{
    struct statx st;
    return statx(AT_FDCWD, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK, &st) != 0 ||
           st.stx_nlink > 0;
}
