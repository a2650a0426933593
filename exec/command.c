/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fds.h"
#include "base/log.h"
#include "exec/output.h"
#include "exec/workdir.h"
#include "ipc/memfd.h"
#include "ipc/probes.h"

/* As the shell says "found, but could not be run", and as timeout(1) says. */
#define STATUS_NOT_RUN 126
#define STATUS_TIMEOUT 124
/* BSD's EX_TEMPFAIL, as core says it: what came of the command is not known. */
#define STATUS_LOST 75

/* What a background child that holds stdout may still add after the shell's end. */
#define GRACE_MS 100
/* Between TERM and KILL, and between KILL and giving up on what the kernel cannot end. */
#define KILL_MS 5000
/* Shortage of processes or memory passes: 25 ms doubling, nine attempts in 6.4 s. */
#define RETRY_FIRST_MS 25
#define ATTEMPTS       9
/* For what waits for descriptors or memory, whose return nothing tells. */
#define RESEND_MS 20

/* In front of the text, on its first line, so that line numbers stay; 9 is SPAWN_TEXT_FD. */
static const char text_prefix[] = "exec 9<&-; ";
#define PREFIX_LEN (sizeof text_prefix - 1)
_Static_assert(SPAWN_TEXT_FD == 9, "the prefix and the shell's argument name it");

enum command_state { COMMAND_WAITING, COMMAND_RUNNING, COMMAND_ENDED, COMMAND_ANSWERED };
/* What the timer does next. */
enum command_timer { TIMER_RETRY, TIMER_LIMIT, TIMER_KILL, TIMER_ABANDON, TIMER_GRACE };

struct command {
    TAILQ_ENTRY(command) entry;
    struct exec *exec;
    uint64_t ticket;
    enum command_state state;
    enum command_timer next;
    unsigned attempts;
    pid_t pid;           /* the shell; 0: not started, or reaped */
    struct group *group; /* NULL: none, or nothing left of it */
    int status;
    bool timed_out;
    bool stuck; /* no memfd for more of its output */
    struct output output;
    struct event readable;
    struct event timer;
    int text_fd;     /* a long text as received; -1: in text */
    size_t text_len; /* with the prefix */
    char text[];
};

static void forget(struct command *c)
{
    struct exec *exec = c->exec;
    TAILQ_REMOVE(&exec->commands, c, entry);
    exec->n_commands--;
    event_del(&c->readable);
    event_del(&c->timer);
    group_release(c->group);
    output_finish(&c->output);
    fds_close(&c->text_fd);
    free(c);
}

static void resend_soon(struct exec *exec)
{
    struct timeval soon = clock_timeval(RESEND_MS);
    event_add(&exec->resend, &soon);
}

static void send_answer(struct command *c)
{
    struct exec *exec = c->exec;
    if (!output_seal(&c->output)) {
        spawn_note_shortage(&exec->spawner, "a command's result waits", errno);
        resend_soon(exec);
        return;
    }
    struct msg_finished m = {.ticket = c->ticket,
                             .status = c->status,
                             .dropped = c->output.dropped,
                             .timed_out = c->timed_out};
    if (send_finished(exec->core, &m, c->output.memfd) != 0 &&
        (errno == ENOBUFS || errno == ENOMEM)) {
        resend_soon(exec);
        return;
    }
    /* Sent; or the channel has ended, and with it everything here. */
    forget(c);
}

static void answer(struct command *c)
{
    event_del(&c->readable);
    event_del(&c->timer);
    char line[160];
    if (c->output.lost) {
        snprintf(line, sizeof line, "tw-agent: from here on the output was lost: %s",
                 strerror(c->output.lost));
        output_say(&c->output, line);
        c->status = STATUS_LOST;
    }
    if (c->timed_out) {
        uint64_t ms = c->exec->config.command_timeout_ms;
        bool whole = ms % 1000 == 0;
        snprintf(line, sizeof line,
                 "tw-agent: the command was ended after %llu%s (--command-timeout)",
                 (unsigned long long)(whole ? ms / 1000 : ms), whole ? "s" : "ms");
        output_say(&c->output, line);
        c->status = STATUS_TIMEOUT;
    }
    if (c->output.pipe >= 0)
        drains_add(&c->exec->drains, c->output.pipe);
    c->output.pipe = -1;
    c->state = COMMAND_ANSWERED;
    send_answer(c);
}

static void refuse(struct command *c, const char *reason)
{
    char line[LIMIT_PATH + 256];
    snprintf(line, sizeof line, "tw-agent: the command was not run: %s", reason);
    c->status = STATUS_NOT_RUN;
    output_say(&c->output, line);
    answer(c);
}

static void arm(struct command *c, enum command_timer next, uint64_t ms)
{
    struct timeval t = clock_timeval(ms);
    c->next = next;
    event_add(&c->timer, &t);
}

static void not_started(struct command *c, const struct spawn_failure *failure)
{
    char reason[160];
    if (spawn_passes(failure->error) && ++c->attempts < ATTEMPTS) {
        spawn_note_shortage(&c->exec->spawner, spawn_step_text(failure->step), failure->error);
        arm(c, TIMER_RETRY, (uint64_t)RETRY_FIRST_MS << (c->attempts - 1));
        return;
    }
    snprintf(reason, sizeof reason, "%s: %s", spawn_step_text(failure->step),
             strerror(failure->error));
    log_warn("a command was not run: %s", reason);
    refuse(c, reason);
}

/* The text in a memfd of our own, for the shell to read. -1 with errno; EILSEQ: a NUL in it. */
static int text_file(const struct command *c)
{
    struct memfd_map map = {{NULL, 0}, NULL};
    struct span text = {c->text + PREFIX_LEN, c->text_len - PREFIX_LEN};
    if (c->text_fd >= 0) {
        if (memfd_map(&map, c->text_fd, LIMIT_PAYLOAD) != 0)
            return -1;
        text = map.bytes;
    }
    int fd = -1;
    errno = EILSEQ;
    if (text.len == 0 || !memchr(text.data, '\0', text.len))
        fd = memfd_new("command");
    if (fd >= 0 && (fds_write(fd, c->text, c->text_len) != 0 ||
                    fds_write(fd, map.bytes.data, map.bytes.len) != 0)) {
        int saved = errno;
        close(fd);
        errno = saved;
        fd = -1;
    }
    int saved = errno;
    memfd_unmap(&map);
    errno = saved;
    return fd;
}

static pid_t start_shell(struct command *c, int text, int out, int *pidfd,
                         struct spawn_failure *failure)
{
    static const char *const argv[] = {"sh", "-c", ". /proc/self/fd/9", NULL};
    struct spawn what = {.path = "/bin/sh",
                         .argv = argv,
                         .envp = c->exec->environment.vector,
                         .in = c->exec->spawner.null_fd,
                         .out = out,
                         .extra = text,
                         .extra_at = SPAWN_TEXT_FD,
                         .pidfd = pidfd};
    return spawn_program(&c->exec->spawner, &what, failure);
}

static void on_readable(evutil_socket_t fd, short what, void *arg);

static void started(struct command *c, pid_t pid, int pidfd, int pipe)
{
    struct exec *exec = c->exec;
    c->pid = pid;
    group_started(c->group, pid, pidfd);
    c->state = COMMAND_RUNNING;
    c->output.pipe = pipe;
    fds_close(&c->text_fd);
    event_assign(&c->readable, exec->base, pipe, EV_READ | EV_PERSIST, on_readable, c);
    event_add(&c->readable, NULL);
    if (exec->config.command_timeout_ms > 0)
        arm(c, TIMER_LIMIT, exec->config.command_timeout_ms);
}

static void start(struct command *c)
{
    struct spawn_failure failure = {SPAWN_STEP_MEMORY, 0};
    int pipe[2] = {-1, -1};
    pid_t pid = -1;
    int pidfd = -1;
    groups_check(&c->exec->groups); /* before this one's processes take numbers */
    if (!c->group)
        c->group = group_new(&c->exec->groups, &c->group);
    int text = c->group ? text_file(c) : -1;
    if (text < 0 && errno == EILSEQ) {
        refuse(c, "its text contains a NUL byte");
        return;
    }
    if (text < 0 || helper_pipe(pipe) != 0)
        failure.error = errno;
    else
        pid = start_shell(c, text, pipe[1], &pidfd, &failure);
    fds_close(&text);
    fds_close(&pipe[1]);
    if (pid > 0) {
        started(c, pid, pidfd, pipe[0]);
        return;
    }
    fds_close(&pipe[0]);
    not_started(c, &failure);
}

/* True when there is nothing more to come. */
static bool read_output(struct command *c)
{
    struct exec *exec = c->exec;
    if (c->output.pipe < 0)
        return true;
    enum output_state state = output_read(&c->output, exec->scratch, sizeof exec->scratch);
    c->stuck = state == OUTPUT_STUCK;
    if (c->stuck) {
        spawn_note_shortage(&exec->spawner, "a command's output waits", errno);
        event_del(&c->readable);
        resend_soon(exec);
    }
    if (state != OUTPUT_END)
        return false;
    event_del(&c->readable);
    fds_close(&c->output.pipe);
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct command *c = arg;
    (void)fd;
    (void)what;
    if (read_output(c) && c->state == COMMAND_ENDED && !c->exec->stopping)
        answer(c);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct command *c = arg;
    (void)fd;
    (void)what;
    switch (c->next) {
    case TIMER_RETRY:
        if (!c->exec->stopping)
            start(c);
        break;
    case TIMER_LIMIT:
        c->timed_out = true;
        if (c->group)
            group_end(c->group);
        arm(c, TIMER_KILL, KILL_MS);
        break;
    case TIMER_KILL:
        if (c->group)
            group_kill(c->group);
        if (c->state == COMMAND_ENDED)
            arm(c, TIMER_GRACE, GRACE_MS);
        else
            arm(c, TIMER_ABANDON, KILL_MS);
        break;
    case TIMER_ABANDON:
        log_warn("a command's shell (pid %d) hangs in the kernel: answered without its end",
                 (int)c->pid);
        answer(c);
        break;
    case TIMER_GRACE:
        read_output(c);
        if (c->stuck)
            arm(c, TIMER_GRACE, GRACE_MS);
        else
            answer(c);
        break;
    }
}

static void ended(struct command *c, int wait_status)
{
    c->pid = 0;
    c->status = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    c->state = COMMAND_ENDED;
    if (c->exec->stopping)
        return;
    if (read_output(c))
        answer(c);
    else if (!(c->timed_out && c->next == TIMER_KILL && c->group))
        arm(c, TIMER_GRACE, GRACE_MS);
}

bool commands_exited(struct exec *exec, pid_t pid, int wait_status)
{
    struct command *c;
    TAILQ_FOREACH(c, &exec->commands, entry)
    if (c->pid == pid && c->state == COMMAND_RUNNING) {
        ended(c, wait_status);
        return true;
    }
    return false;
}

static struct command *command_new(struct exec *exec, const struct msg_run *m, int *fd)
{
    struct command *c = calloc(1, sizeof *c + PREFIX_LEN + m->text.len);
    if (!c)
        return NULL;
    c->exec = exec;
    c->ticket = m->ticket;
    c->text_fd = *fd;
    *fd = -1;
    memcpy(c->text, text_prefix, PREFIX_LEN);
    if (m->text.len > 0)
        memcpy(c->text + PREFIX_LEN, m->text.data, m->text.len);
    c->text_len = PREFIX_LEN + m->text.len;
    output_init(&c->output, exec->config.max_output);
    event_assign(&c->readable, exec->base, -1, 0, on_readable, c);
    event_assign(&c->timer, exec->base, -1, 0, on_timer, c);
    TAILQ_INSERT_TAIL(&exec->commands, c, entry);
    exec->n_commands++;
    return c;
}

static bool known(const struct exec *exec, uint64_t ticket)
{
    struct command *c;
    TAILQ_FOREACH(c, &exec->commands, entry)
    if (c->ticket == ticket)
        return true;
    return false;
}

enum verdict command_take(struct exec *exec, const struct msg_run *m, int *fd)
{
    if (exec->n_commands >= exec->config.max_commands + PROBE_COMMANDS ||
        (*fd >= 0 && m->text.len > 0) || known(exec, m->ticket))
        return VERDICT_HOSTILE;
    struct command *c = command_new(exec, m, fd);
    if (!c) {
        struct msg_finished none = {.ticket = m->ticket, .status = STATUS_NOT_RUN};
        static const char reason[] = "tw-agent: the command was not run: no memory for its text\n";
        int said = memfd_of("output", reason, sizeof reason - 1);
        log_error("no memory for a command: it was not run");
        bool sent = send_finished(exec->core, &none, said) == 0;
        fds_close(&said);
        return sent ? VERDICT_OK : VERDICT_HOSTILE;
    }
    if (exec->stopping)
        return VERDICT_OK;
    bool there = workdir_exists();
    if (exec_ready(exec) && there)
        start(c);
    else if (exec->workdir.state == WORKDIR_BAD || (exec->workdir.state == WORKDIR_GOOD && !there))
        workdir_check(exec);
    return VERDICT_OK;
}

void commands_go(struct exec *exec)
{
    struct command *c, *next;
    for (c = TAILQ_FIRST(&exec->commands); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->state != COMMAND_WAITING || c->attempts > 0)
            continue;
        if (exec_ready(exec)) {
            start(c);
        } else if (exec->workdir.state == WORKDIR_BAD) {
            char reason[LIMIT_PATH + 96];
            snprintf(reason, sizeof reason, "work directory '%s': %s", exec->workdir.path,
                     strerror(exec->workdir.error));
            refuse(c, reason);
        }
    }
}

void commands_resend(struct exec *exec)
{
    struct command *c, *next;
    for (c = TAILQ_FIRST(&exec->commands); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->state == COMMAND_ANSWERED) {
            send_answer(c);
        } else if (c->stuck) {
            c->stuck = false;
            event_add(&c->readable, NULL);
        }
    }
}

void commands_finish(struct exec *exec)
{
    while (!TAILQ_EMPTY(&exec->commands))
        forget(TAILQ_FIRST(&exec->commands));
}
