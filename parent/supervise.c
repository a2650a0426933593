/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "ipc/memfd.h"
#include "parent/attest.h"
#include "parent/parent.h"

/* How long children may take to end once their channels are closed. */
#define END_MS 2000
/* Answers to core are small: a queue of this length means that it does not read. */
#define QUEUE_MAX 1048576

/* Closes all channels, which is the order to stop, and waits for the children. */
static void end_agent(struct parent *p, int code)
{
    struct timeval wait = clock_timeval(END_MS);
    bool alive = false;
    if (p->ending)
        return;
    p->ending = true;
    p->exit_code = code;
    notify_stopping(&p->notify);
    p->release.core = p->release.launcher = NULL;
    release_finish(&p->release);
    for (size_t i = 0; i < CHILDREN; i++) {
        channel_free(p->children[i].channel);
        p->children[i].channel = NULL;
        alive = alive || p->children[i].pid > 0;
    }
    event_add(p->deadline, &wait);
    if (!alive)
        event_base_loopbreak(p->base);
}

/* A child that does not read what it must know is as good as dead. */
static void must_send(struct parent *p, const char *to, int rc)
{
    if (rc == 0 || p->ending || errno == EPIPE)
        return;
    log_error("%s does not take its messages: %s", to, strerror(errno));
    end_agent(p, EXIT_CHILD);
}

/* The agent runs when its processes are in their sandboxes and commands can run, with or without
 * Tower. */
static void check_ready(struct parent *p)
{
    bool ready = p->commands_ready && !p->ending;
    for (size_t i = 0; i < CHILDREN; i++)
        ready = ready && p->children[i].started;
    if (ready)
        notify_ready(&p->notify);
}

static enum verdict on_started(void *context, const struct msg_started *m, int *fd)
{
    struct child *c = context;
    struct parent *p = c->parent;
    const struct requirements *all = &p->settings.requirements;
    struct requirements r = {.landlock = all->landlock,
                             .demanded[GUARANTEE_SYSTEM_CALLS] =
                                 all->demanded[GUARANTEE_SYSTEM_CALLS]};
    struct facts f = {.landlock_abi = (unsigned)m->landlock_abi, .seccomp = m->seccomp};
    (void)fd;
    c->started = true;
    check_ready(p);
    attest_send_process(p, c, m);
    log_debug("%s is in its sandbox: Landlock ABI %u, %u system calls", child_name(c->id),
              (unsigned)m->landlock_abi, (unsigned)m->syscalls);
    /* Exec has no domain where it would have nothing but scopes, which older ABIs lack; commands
     * have theirs. */
    if (c->id == CHILD_EXEC && m->landlock_abi == 0)
        r.landlock = 0;
    if (!requirements_met(&r, &f)) {
        log_error("%s reports less than is required", child_name(c->id));
        end_agent(p, EXIT_SANDBOX);
    }
    return VERDICT_OK;
}

static void read_token_again(struct parent *p)
{
    enum token_outcome outcome = token_reload(&p->token);
    if (outcome == TOKEN_NOT_READABLE_AGAIN) {
        log_debug("the token did not come from a file: there is nothing to read again");
        return;
    }
    struct msg_token_alarm m = {.outcome = outcome};
    must_send(p, "core", send_token_alarm(p->children[CHILD_CORE].channel, &m, -1));
}

static enum verdict on_open_session(void *context, const struct msg_open_session *m, int *fd)
{
    struct parent *p = ((struct child *)context)->parent;
    (void)fd;
    if (m->reread && release_may_reread(&p->release))
        read_token_again(p);
    if (!p->ending)
        must_send(p, "core or net", release_open(&p->release, (enum purpose)m->purpose));
    return VERDICT_OK;
}

static enum verdict on_search(void *context, const struct msg_search *m, int *fd)
{
    struct parent *p = ((struct child *)context)->parent;
    struct memfd_map map;
    if (memfd_map(&map, *fd, LIMIT_OUTPUT) != 0)
        return VERDICT_HOSTILE;
    struct msg_search_result result = {.ticket = m->ticket,
                                       .found = search_found(&p->token.search, map.bytes)};
    memfd_unmap(&map);
    must_send(p, "core", send_search_result(p->children[CHILD_CORE].channel, &result, -1));
    return VERDICT_OK;
}

static enum verdict on_pulse(void *context, const struct msg_pulse *m, int *fd)
{
    struct parent *p = ((struct child *)context)->parent;
    struct msg_ping ping = {0};
    (void)fd;
    p->commands_ready = p->commands_ready || m->ready;
    check_ready(p);
    if (!bucket_take(&p->pulses, clock_ms()))
        return VERDICT_OK;
    notify_state(&p->notify, (enum link_state)m->state);
    if (!m->alive || p->launcher_asked)
        return VERDICT_OK;
    p->launcher_asked = true;
    must_send(p, "net", send_ping(p->children[CHILD_LAUNCHER].channel, &ping, -1));
    return VERDICT_OK;
}

/* The launcher's answer to what core's pulse began: now all of them have shown life. */
static enum verdict on_pong(void *context, const struct msg_pong *m, int *fd)
{
    struct parent *p = ((struct child *)context)->parent;
    (void)m;
    (void)fd;
    if (!p->launcher_asked)
        return VERDICT_HOSTILE;
    p->launcher_asked = false;
    notify_alive(&p->notify);
    return VERDICT_OK;
}

static enum verdict on_finish(void *context, const struct msg_finish *m, int *fd)
{
    struct parent *p = ((struct child *)context)->parent;
    (void)fd;
    if (m->code == EXIT_USAGE) /* the bounds of the table leave 0 to 5 */
        return VERDICT_HOSTILE;
    end_agent(p, (int)m->code);
    return VERDICT_OK;
}

static void on_child_channel_end(void *context, enum channel_end end, const char *why)
{
    struct child *c = context;
    if (end == CHANNEL_EOF)
        log_debug("%s closed its channel", child_name(c->id));
    else
        log_error("%s %s (%s): the agent ends", child_name(c->id),
                  end == CHANNEL_HOSTILE ? "broke the rules of its channel" : "cannot be reached",
                  why);
    if (!c->parent->culprit)
        c->parent->culprit = c;
    end_agent(c->parent, EXIT_CHILD);
}

static void log_end(const struct child *c, int status, bool expected)
{
    const char *name = child_name(c->id);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        log_error("%s was stopped by its sandbox (SIGSYS): the line above names the system call",
                  name);
    else if (WIFSIGNALED(status))
        log_error("%s was ended by signal %d (%s)", name, WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    else if (!expected && WEXITSTATUS(status) == 0) /* often in the wake of another one's death */
        log_warn("%s ended without being told to: the agent ends", name);
    else if (WEXITSTATUS(status) != 0)
        log_error("%s ended with code %d", name, WEXITSTATUS(status));
    else
        log_debug("%s ended", name);
}

static void on_child_exit(struct parent *p, struct child *c, int status)
{
    bool expected = p->ending && p->culprit != c;
    c->pid = 0;
    log_end(c, status, expected);
    if (expected)
        return;
    p->culprit = c;
    end_agent(p, EXIT_CHILD);
    if (p->exit_code == EXIT_CHILD && !c->started && WIFEXITED(status) &&
        WEXITSTATUS(status) == EXIT_SANDBOX)
        p->exit_code = EXIT_SANDBOX;
}

static void on_sigchld(struct parent *p)
{
    int status;
    pid_t pid;
    bool alive = false;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < CHILDREN; i++)
            if (p->children[i].pid == pid)
                on_child_exit(p, &p->children[i], status);
    for (size_t i = 0; i < CHILDREN; i++)
        alive = alive || p->children[i].pid > 0;
    if (!alive)
        event_base_loopbreak(p->base);
}

static void on_stop(struct parent *p)
{
    struct msg_stop m = {0};
    if (p->stops++ == 0 && !p->ending) {
        notify_stopping(&p->notify);
        must_send(p, "core", send_stop(p->children[CHILD_CORE].channel, &m, -1));
        return;
    }
    log_info("asked to stop again: ends at once");
    if (!p->ending)
        p->exit_code = 0;
    event_base_loopbreak(p->base);
}

static void on_reload(struct parent *p)
{
    struct msg_reload m = {0};
    if (p->ending)
        return;
    read_token_again(p);
    if (!p->ending)
        must_send(p, "core", send_reload(p->children[CHILD_CORE].channel, &m, -1));
    if (!p->ending)
        must_send(p, "exec", send_reload(p->children[CHILD_EXEC].channel, &m, -1));
    notify_reloaded(&p->notify);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct parent *p = arg;
    struct msg_attest attest = {0};
    (void)what;
    switch (number) {
    case SIGCHLD:
        on_sigchld(p);
        break;
    case SIGTERM:
    case SIGINT:
        on_stop(p);
        break;
    case SIGHUP:
        on_reload(p);
        break;
    case SIGUSR2:
        if (!p->ending)
            must_send(p, "core", send_attest(p->children[CHILD_CORE].channel, &attest, -1));
        break;
    default: /* SIGUSR1 must not end the agent */
        break;
    }
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct parent *p = arg;
    (void)fd;
    (void)what;
    for (size_t i = 0; i < CHILDREN; i++)
        if (p->children[i].pid > 0)
            log_warn("%s has not ended within %d s of being told to", child_name((enum child_id)i),
                     END_MS / 1000);
    event_base_loopbreak(p->base);
}

static int listen_to(struct parent *p, struct child *c)
{
    static const struct channel_handlers handlers[CHILDREN] = {
        [CHILD_CORE] = {.started = on_started,
                        .open_session = on_open_session,
                        .search = on_search,
                        .pulse = on_pulse,
                        .finish = on_finish},
        [CHILD_EXEC] = {.started = on_started},
        [CHILD_LAUNCHER] = {.started = on_started, .pong = on_pong}};
    static const unsigned receives[] = {CORE_TO_PARENT, EXEC_TO_PARENT, LAUNCHER_TO_PARENT};
    static const unsigned sends[] = {PARENT_TO_CORE, PARENT_TO_EXEC, PARENT_TO_LAUNCHER};
    struct channel_setup setup = {.base = p->base,
                                  .fd = c->fd,
                                  .receives = receives[c->id],
                                  .sends = sends[c->id],
                                  .phase = PHASE_RUN,
                                  .queue_max = QUEUE_MAX,
                                  .handlers = &handlers[c->id],
                                  .context = c,
                                  .on_end = on_child_channel_end};
    c->fd = -1;
    c->channel = channel_new(&setup);
    return c->channel ? 0 : -1;
}

int supervise_init(struct parent *p)
{
    static const int numbers[SIGNALS] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    sigset_t none;
    p->base = channel_loop_new();
    bool ok = p->base && (p->deadline = evtimer_new(p->base, on_deadline, p));
    for (size_t i = 0; i < SIGNALS && ok; i++)
        ok = (p->signals[i] = evsignal_new(p->base, numbers[i], on_signal, p)) &&
             event_add(p->signals[i], NULL) == 0;
    ok = ok && notify_start(&p->notify, p->base) == 0;
    for (size_t i = 0; i < CHILDREN && ok; i++)
        ok = listen_to(p, &p->children[i]) == 0;
    if (!ok) {
        log_error("cannot make the event loop: %s", strerror(errno));
        return EXIT_OTHER;
    }
    p->release.base = p->base;
    p->release.token = &p->token;
    p->release.core = p->children[CHILD_CORE].channel;
    p->release.launcher = p->children[CHILD_LAUNCHER].channel;
    /* Whoever started us may have blocked them. */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return 0;
}

int supervise_run(struct parent *p)
{
    /* A child that ended before the handler was there has sent its signal for nothing. */
    on_sigchld(p);
    event_base_dispatch(p->base);
    return p->exit_code;
}
