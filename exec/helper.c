/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fds.h"

#define READ_AT_ONCE 16384

int helper_pipe(int pipe[2])
{
    if (pipe2(pipe, O_CLOEXEC) != 0)
        return -1;
    if (fds_set_nonblocking(pipe[0], true) == 0)
        return 0;
    close(pipe[0]);
    close(pipe[1]);
    return -1;
}

static void end(struct helper *h, enum helper_outcome outcome, int status)
{
    struct buf answer = h->answer;
    event_del(&h->readable);
    event_del(&h->deadline);
    fds_close(&h->fd);
    h->pid = 0;
    buf_init(&h->answer, 0);
    /* The callback may start the next one in the same place. */
    h->done(h->context, outcome, status, (struct span){buf_data(&answer), buf_len(&answer)});
    buf_finish(&answer);
}

/* A hung child stays in the kernel until it can be killed; the reaper takes it then. */
static void give_up(struct helper *h, enum helper_outcome outcome)
{
    kill(-h->pid, SIGKILL);
    kill(h->pid, SIGKILL);
    end(h, outcome, 255);
}

/* False: the answer is too long. */
static bool read_all(struct helper *h)
{
    ssize_t n;
    do {
        char *at = buf_reserve(&h->answer, READ_AT_ONCE);
        char last;
        if (!at) {
            n = read(h->fd, &last, 1);
            return n <= 0;
        }
        n = read(h->fd, at, READ_AT_ONCE);
        if (n > 0)
            buf_commit(&h->answer, (size_t)n);
    } while (n > 0 || (n < 0 && errno == EINTR));
    if (n == 0)
        event_del(&h->readable);
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct helper *h = arg;
    (void)fd;
    (void)what;
    if (!read_all(h))
        give_up(h, HELPER_TOO_LONG);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    give_up(arg, HELPER_TIMEOUT);
}

void helper_await(struct helper *h, struct event_base *base, pid_t pid, int fd,
                  unsigned deadline_ms, size_t max)
{
    struct timeval limit = clock_timeval(deadline_ms);
    h->pid = pid;
    h->fd = fd;
    buf_init(&h->answer, max + READ_AT_ONCE);
    event_assign(&h->readable, base, fd, EV_READ | EV_PERSIST, on_readable, h);
    event_assign(&h->deadline, base, -1, 0, on_deadline, h);
    event_add(&h->readable, NULL);
    event_add(&h->deadline, &limit);
}

bool helper_exited(struct helper *h, pid_t pid, int wait_status)
{
    if (h->pid == 0 || h->pid != pid)
        return false;
    /* All that it wrote itself is in the pipe by now; what it left running may hold the other end.
     */
    if (!read_all(h))
        give_up(h, HELPER_TOO_LONG);
    else
        end(h, HELPER_ENDED, WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 255);
    return true;
}

void helper_cancel(struct helper *h)
{
    if (h->pid == 0)
        return;
    event_del(&h->readable);
    event_del(&h->deadline);
    kill(-h->pid, SIGKILL);
    kill(h->pid, SIGKILL);
    fds_close(&h->fd);
    buf_finish(&h->answer);
    h->pid = 0;
}
