/* SPDX-License-Identifier: Apache-2.0 */
#include "core/attest.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/core.h"
#include "core/status.h"
#include "ipc/memfd.h"

/* After the start: the first commands come first. */
#define FIRST_MS 1000
/* A session that was refused (too many at once) is asked for again. */
#define RETRY_MS 500
/* All of it: what is missing then counts as not tried. */
#define ALL_MS 15000
/* No entry of the ledger has these. */
#define TICKET_MEMBER UINT64_MAX
#define TICKET_TRY    (UINT64_MAX - 1)
/* Two orders. */
#define QUEUE_MAX 4096

const char *attest_state_name(enum attest_state state)
{
    static const char *const names[] = {"pending", "running", "ok", "incomplete", "failed"};
    return names[state];
}

static uint64_t left(const struct attest *a)
{
    uint64_t now = clock_ms();
    return a->deadline_ms > now ? a->deadline_ms - now : 0;
}

static void arm(struct attest *a, uint64_t ms)
{
    struct timeval t = clock_timeval(ms);
    event_add(a->timer, &t);
}

/* ---- the two commands ---- */

/* In single quotes; a quote inside is put between them. */
static bool quote(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (const char *c = text; *c && n + 6 < size; c++) {
        int len = snprintf(out + n, size - n, "%s%s%s", c == text ? "'" : "",
                           *c == '\'' ? "'\\''" : (char[]){*c, '\0'}, c[1] ? "" : "'");
        n += (size_t)len;
    }
    if (!*text)
        n = (size_t)snprintf(out, size, "''");
    return n > 1 && out[n - 1] == '\'' && n + 6 < size;
}

static bool run(struct core *core, uint64_t ticket, const char *text, int len)
{
    struct msg_run m = {.ticket = ticket, .text = {text, (size_t)len}};
    return len > 0 && len <= LIMIT_INLINE_TEXT && send_run(core->exec, &m, -1) == 0;
}

static unsigned start_commands(struct core *core)
{
    const struct attest_process *p = core->attest.processes;
    char probe[2 * LIMIT_PATH], token[2 * LIMIT_PATH], text[LIMIT_INLINE_TEXT];
    unsigned pair = core_random(), running = 0;
    if (!quote(probe, sizeof probe, core->config.probe) ||
        !quote(token, sizeof token, core->config.token_file))
        return 0;
    int n = snprintf(text, sizeof text, ": " PROBE_MARK "\n%s member %u\nexit $?\n", probe, pair);
    running += run(core, TICKET_MEMBER, text, n);
    n = snprintf(text, sizeof text, "exec %s try %u %s %s %u %u %u %u %s\n", probe, pair,
                 core->config.system_mode ? "system" : "user",
                 core->config.isolation == 0 ? "full" : "read-only", p[0].pid, p[1].pid, p[2].pid,
                 p[3].pid, token);
    running += run(core, TICKET_TRY, text, n);
    return running;
}

static void take_answer(struct attest *a, int fd)
{
    static const char allowed[] = {PROBE_DENIED, PROBE_SKIPPED, PROBE_UNTRIED, '\0'};
    const size_t prefix = sizeof PROBE_ANSWER - 1;
    struct memfd_map map;
    if (fd < 0 || memfd_map(&map, fd, prefix + PROBES + 1) != 0)
        return;
    const char *chars = map.bytes.data + prefix;
    bool ok = map.bytes.len == prefix + PROBES + 1 &&
              memcmp(map.bytes.data, PROBE_ANSWER, prefix) == 0 && chars[PROBES] == '\n';
    for (size_t i = 0; ok && i < PROBES; i++)
        ok = chars[i] && (strchr(allowed, chars[i]) || strchr(PROBE_TARGETS, chars[i]));
    if (ok)
        memcpy(a->answer, chars, PROBES);
    memfd_unmap(&map);
}

/* ---- the sessions ---- */

static void next_trial(struct core *core);

static void trial_over(struct core *core, char outcome)
{
    struct attest *a = &core->attest;
    channel_free(a->session);
    a->session = NULL;
    a->trials[a->trial++] = outcome;
    next_trial(core);
}

static enum verdict on_ready(void *context, const struct msg_session_ready *m, int *fd)
{
    struct attest *a = &((struct core *)context)->attest;
    struct msg_digest digest = {0};
    struct msg_trial trial = {.what = a->trial};
    (void)m;
    (void)fd;
    /* The first one computes the digests, before it tries what ends it. */
    if (a->trial == 0)
        send_digest(a->session, &digest, -1);
    a->attempted = send_trial(a->session, &trial, -1) == 0;
    return VERDICT_OK;
}

static enum verdict on_digested(void *context, const struct msg_digested *m, int *fd)
{
    struct attest *a = &((struct core *)context)->attest;
    struct attest_program *p = &a->programs[a->n_programs];
    (void)fd;
    if (a->n_programs == ATTEST_PROGRAMS || !span_copy(p->name, sizeof p->name, m->name) ||
        (m->sha256.len != 0 && m->sha256.len != ATTEST_SHA256))
        return VERDICT_HOSTILE;
    p->sha256[0] = '\0';
    for (size_t i = 0; i < m->sha256.len; i++)
        snprintf(p->sha256 + 2 * i, 3, "%02x", (unsigned char)m->sha256.data[i]);
    a->n_programs++;
    return VERDICT_OK;
}

static enum verdict on_survived(void *context, const struct msg_survived *m, int *fd)
{
    struct core *core = context;
    (void)fd;
    if (!core->attest.attempted)
        return VERDICT_HOSTILE;
    /* An error is a denial as well (Landlock; a sanitizer's filter), but of execve, whose errors
     * come when the filter has let it pass. */
    bool denied = m->error != 0 && core->attest.trial != TRIAL_execute;
    log_debug("a session survived trial %u: %s", core->attest.trial,
              m->error ? strerror((int)m->error) : "it succeeded");
    trial_over(core, denied ? PROBE_DENIED : TRIAL_SURVIVED);
    return VERDICT_OK;
}

static void on_session_end(void *context, enum channel_end end, const char *why)
{
    struct core *core = context;
    (void)why;
    /* Without a word after the attempt: its sandbox ended it. */
    trial_over(core, end == CHANNEL_EOF && core->attest.attempted ? PROBE_DENIED : PROBE_UNTRIED);
}

static enum verdict on_ended(void *context, const struct msg_ended *m, int *fd)
{
    (void)m;
    (void)fd;
    trial_over(context, PROBE_UNTRIED);
    return VERDICT_OK;
}

static const struct channel_handlers session_handlers = {
    .session_ready = on_ready, .digested = on_digested, .survived = on_survived, .ended = on_ended};

enum verdict attest_opened(struct core *core, const struct msg_session_opened *m, int *fd)
{
    struct attest *a = &core->attest;
    struct channel_setup setup = {.base = core->base,
                                  .fd = *fd,
                                  .receives = SESSION_TO_CORE,
                                  .sends = CORE_TO_SESSION,
                                  .phase = PHASE_BEFORE_GO,
                                  .queue_max = QUEUE_MAX,
                                  .handlers = &session_handlers,
                                  .context = core,
                                  .on_end = on_session_end};
    (void)m;
    if (!a->asked_for)
        return VERDICT_HOSTILE;
    a->asked_for = false;
    if (a->state != ATTEST_RUNNING)
        return VERDICT_OK; /* too late: closed with the message */
    *fd = -1;
    a->attempted = false;
    a->session = channel_new(&setup);
    if (!a->session)
        trial_over(core, PROBE_UNTRIED);
    return VERDICT_OK;
}

enum verdict attest_refused(struct core *core)
{
    struct attest *a = &core->attest;
    if (!a->asked_for)
        return VERDICT_HOSTILE;
    a->asked_for = false;
    arm(a, RETRY_MS);
    return VERDICT_OK;
}

/* ---- from begin to end ---- */

static void begin(struct core *core)
{
    struct attest *a = &core->attest;
    if (core->stopping || core->finishing)
        return;
    a->state = ATTEST_RUNNING;
    a->again = false;
    a->deadline_ms = clock_ms() + ALL_MS;
    memset(a->answer, PROBE_UNTRIED, PROBES);
    memset(a->trials, PROBE_UNTRIED, TRIALS);
    a->n_programs = 0;
    a->trial = 0;
    /* Those of an earlier run that somebody has stopped are still with exec, under these tickets: a
     * second order for one would break the rules of its channel. */
    bool stuck = a->commands > 0;
    if (!stuck)
        a->commands = start_commands(core);
    if (!stuck && a->commands > 0)
        arm(a, left(a));
    else
        next_trial(core);
}

static void end(struct core *core)
{
    struct attest *a = &core->attest;
    channel_free(a->session);
    a->session = NULL;
    a->trial = TRIALS;
    event_del(a->timer);
    attest_report(core);
    status_changed(core);
    if (a->again)
        begin(core);
}

static void next_trial(struct core *core)
{
    struct attest *a = &core->attest;
    struct msg_open_session m = {.purpose = PURPOSE_TRIAL};
    if (a->trial == TRIALS) {
        end(core);
        return;
    }
    /* One session at a time, whatever asks for the next. */
    if (!a->session && !a->asked_for)
        a->asked_for = send_open_session(core->parent, &m, -1) == 0;
    arm(a, a->session || a->asked_for ? left(a) : RETRY_MS);
}

bool attest_finished(struct core *core, const struct msg_finished *m, int fd)
{
    struct attest *a = &core->attest;
    if (m->ticket != TICKET_MEMBER && m->ticket != TICKET_TRY)
        return false;
    if (m->ticket == TICKET_TRY && m->status == 0)
        take_answer(a, fd);
    if (m->status != 0)
        log_debug("an attesting command ended with status %d", (int)m->status);
    a->commands -= a->commands > 0;
    /* One after the other: the commands look at processes that have long started. */
    if (a->state == ATTEST_RUNNING && a->commands == 0)
        next_trial(core);
    return true;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct core *core = arg;
    struct attest *a = &core->attest;
    (void)fd;
    (void)what;
    if (a->state != ATTEST_RUNNING)
        begin(core);
    else if (left(a) == 0)
        end(core);
    else
        next_trial(core);
}

void attest_ready(struct core *core)
{
    arm(&core->attest, FIRST_MS);
}

/* ---- what the parent says ---- */

enum verdict attest_on_process(void *context, const struct msg_process *m, int *fd)
{
    struct attest *a = &((struct core *)context)->attest;
    (void)fd;
    a->processes[m->role] = (struct attest_process){.pid = (unsigned)m->pid,
                                                    .landlock_abi = (unsigned)m->landlock_abi,
                                                    .landlock_scoped = m->landlock_scoped,
                                                    .seccomp = m->seccomp,
                                                    .syscalls = (unsigned)m->syscalls};
    return VERDICT_OK;
}

enum verdict attest_on_facts(void *context, const struct msg_facts *m, int *fd)
{
    struct core *core = context;
    (void)fd;
    core->attest.facts = *m; /* numbers alone */
    core->attest.informed = true;
    status_changed(core);
    return VERDICT_OK;
}

enum verdict attest_on_request(void *context, const struct msg_attest *m, int *fd)
{
    struct core *core = context;
    struct attest *a = &core->attest;
    (void)m;
    (void)fd;
    if (a->state == ATTEST_RUNNING)
        a->again = true;
    else if (core->exec_ready)
        begin(core);
    return VERDICT_OK;
}

int attest_init(struct core *core)
{
    struct attest *a = &core->attest;
    a->timer = evtimer_new(core->base, on_timer, core);
    return a->timer ? 0 : -1;
}

void attest_finish(struct core *core)
{
    struct attest *a = &core->attest;
    channel_free(a->session);
    if (a->timer)
        event_free(a->timer);
}
