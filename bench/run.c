/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/run.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/wire.h"

#define PIECE 65536 /* what a pipe holds */

extern char **environ;

void run_start(struct run *r, const char *text)
{
    char sh[] = "sh", c[] = "-c";
    char *const argv[] = {sh, c, (char *)(uintptr_t)text, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    r->begun = now_ns();
    r->len = 0;
    if (pipe2(ends, O_CLOEXEC) != 0 || posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, ends[1], 2) != 0 ||
        posix_spawn(&r->pid, "/bin/sh", &actions, NULL, argv, environ) != 0)
        fail("cannot spawn");
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    r->pipe = ends[0];
}

bool run_read(struct run *r, bool keep)
{
    if (!keep)
        r->len = 0;
    if (r->size - r->len < PIECE) {
        r->size = r->size ? 2 * r->size : 2 * PIECE;
        r->output = realloc(r->output, r->size);
        if (!r->output)
            fail("no memory for output");
    }
    ssize_t n = read(r->pipe, r->output + r->len, PIECE);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        fail("cannot read a command's output");
    r->len += n > 0 ? (size_t)n : 0;
    return n == 0;
}

int run_finish(struct run *r)
{
    int status;
    close(r->pipe);
    if (waitpid(r->pid, &status, 0) != r->pid)
        fail("cannot wait for a command");
    r->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
