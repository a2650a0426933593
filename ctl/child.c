/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fds.h"
#include "ipc/birth.h"

/* True when all of it came before the deadline. */
static enum child_outcome receive(int fd, char *answer, size_t size, unsigned deadline_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t end = clock_ms() + deadline_ms;
    size_t at = 0;
    while (at < size) {
        uint64_t now = clock_ms();
        int ready = now < end ? poll(&p, 1, (int)(end - now)) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return CHILD_TIMEOUT;
        ssize_t n = read(fd, answer + at, size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return CHILD_FAILED;
        at += (size_t)n;
    }
    return CHILD_ANSWERED;
}

/* One that hangs must not keep whoever reads our output waiting for its end. */
static void let_go_of_output(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (null < 0 || dup2(null, fd) < 0)
            close(fd);
}

enum child_outcome child_look(const struct identity *as,
                              void (*look)(const void *context, void *answer), const void *context,
                              void *answer, size_t size, unsigned deadline_ms)
{
    int pair[2];
    if (size > CHILD_ANSWER_MAX || pipe2(pair, O_CLOEXEC) != 0)
        return CHILD_FAILED;
    pid_t pid = fork();
    if (pid == 0) {
        let_go_of_output();
        if (birth_become(as->uid, as->gid, as->groups, as->n_groups) != 0)
            _exit(1);
        look(context, answer);
        _exit(fds_write(pair[1], answer, size) == 0 ? 0 : 1);
    }
    close(pair[1]);
    enum child_outcome outcome =
        pid > 0 ? receive(pair[0], answer, size, deadline_ms) : CHILD_FAILED;
    close(pair[0]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        /* One that hangs in the kernel cannot be waited for. */
        waitpid(pid, NULL, outcome == CHILD_TIMEOUT ? WNOHANG : 0);
    }
    return outcome;
}
