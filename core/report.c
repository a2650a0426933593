/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/log.h"
#include "core/core.h"
#include "core/replace.h"
#include "sandbox/guarantees.h"

#define REPORT_MAX 65536

static const char *const roles[ATTEST_ROLES] = {"parent", "core", "exec", "net"};

#define TRIAL(name, meaning)
#define PROBE(name, meaning) {"command." #name, meaning},
static const struct {
    const char *name, *meaning;
} probes[] = {
#include "ipc/probes.def"
};
#undef PROBE
#undef TRIAL

#define PROBE(name, meaning)
#define TRIAL(name, meaning) {"session." #name, meaning},
static const struct {
    const char *name, *meaning;
} trials[] = {
#include "ipc/probes.def"
};
#undef TRIAL
#undef PROBE

static const char *against(char letter)
{
    static const char *const names[] = {"parent", "core", "exec", "net", "another command", "host"};
    const char *at = strchr(PROBE_TARGETS, letter);
    return letter && at ? names[at - PROBE_TARGETS] : "the sandbox of sessions";
}

static bool succeeded(char letter)
{
    return letter != PROBE_DENIED && letter != PROBE_SKIPPED && letter != PROBE_UNTRIED;
}

/* Said at start already: not enforced on this kernel, in this mode, or with these settings. */
static bool announced(const struct core *core, enum probe probe)
{
    const struct attest *a = &core->attest;
    enum commands_are commands = (enum commands_are)core->config.commands;
    bool scoped = a->processes[2].landlock_scoped;
    switch (probe) {
    case PROBE_token_file:
        return a->facts.token_reachable;
    case PROBE_signal: /* of sessions, whose ids a filter cannot know */
        return commands == COMMANDS_OPEN ||
               (!core->config.system_mode && !scoped && a->answer[probe] == 'n');
    case PROBE_limits:
    case PROBE_priority:
    case PROBE_scheduling:
    case PROBE_kernel:
        return commands == COMMANDS_OPEN;
    case PROBE_member_environ:
    case PROBE_member_memory:
    case PROBE_member_descriptors:
    case PROBE_member_copy:
        return commands != COMMANDS_SEPARATE;
    case PROBE_member_signal:
        return commands != COMMANDS_SEPARATE || !scoped;
    case PROBE_filters: /* no_new_privs of exec */
        return commands != COMMANDS_SEPARATE && a->answer[probe] == 'e';
    default:
        return false;
    }
}

struct tally {
    unsigned tried, untried, succeeded;
};

static void count(struct tally *t, char letter)
{
    t->tried += letter == PROBE_DENIED || succeeded(letter);
    t->untried += letter == PROBE_UNTRIED;
    t->succeeded += succeeded(letter);
}

static void log_success(const char *meaning, char letter, bool known)
{
    if (known)
        log_info("attestation: %s is possible (%s), as was said at start", meaning,
                 against(letter));
    else
        log_error("ALARM: attestation: %s is possible (%s)", meaning, against(letter));
}

static const char *outcome(char letter)
{
    return letter == PROBE_DENIED    ? "denied"
           : letter == PROBE_SKIPPED ? "skipped"
           : letter == PROBE_UNTRIED ? "untried"
                                     : "succeeded";
}

static void put_attempt(struct buf *b, bool first, const char *name, const char *meaning,
                        char letter, bool known)
{
    buf_print(b, "%s{\"name\":\"%s\",\"what\":\"%s\",\"outcome\":\"%s\"", first ? "" : ",", name,
              meaning, outcome(letter));
    if (succeeded(letter))
        buf_print(b, ",\"against\":\"%s\",\"announced\":%s", against(letter),
                  known ? "true" : "false");
    buf_print(b, "}");
}

static void put_attempts(struct buf *b, const struct core *core, struct tally *t)
{
    const struct attest *a = &core->attest;
    buf_print(b, "\"attempts\":[");
    for (size_t i = 0; i < PROBES; i++) {
        bool known = announced(core, (enum probe)i);
        count(t, a->answer[i]);
        put_attempt(b, i == 0, probes[i].name, probes[i].meaning, a->answer[i], known);
        if (succeeded(a->answer[i]))
            log_success(probes[i].meaning, a->answer[i], known);
    }
    for (size_t i = 0; i < TRIALS; i++) {
        count(t, a->trials[i]);
        bool known = core->config.sandbox_log;
        put_attempt(b, false, trials[i].name, trials[i].meaning, a->trials[i], known);
        if (succeeded(a->trials[i]))
            log_success(trials[i].meaning, a->trials[i], known);
    }
    buf_print(b, "],");
}

static void put_processes(struct buf *b, const struct attest *a)
{
    buf_print(b, "\"processes\":[");
    for (size_t i = 0; i < ATTEST_ROLES; i++)
        buf_print(b,
                  "%s{\"role\":\"%s\",\"pid\":%u,\"landlockAbi\":%u,\"landlockScoped\":%s,"
                  "\"seccomp\":%s,\"systemCalls\":%u}",
                  i ? "," : "", roles[i], a->processes[i].pid, a->processes[i].landlock_abi,
                  a->processes[i].landlock_scoped ? "true" : "false",
                  a->processes[i].seccomp ? "true" : "false", a->processes[i].syscalls);
    buf_print(b, "],\"programs\":[");
    for (size_t i = 0; i < a->n_programs; i++)
        buf_print(b, "%s{\"name\":\"%s\",\"sha256\":%s%s%s}", i ? "," : "", a->programs[i].name,
                  a->programs[i].sha256[0] ? "\"" : "",
                  a->programs[i].sha256[0] ? a->programs[i].sha256 : "null",
                  a->programs[i].sha256[0] ? "\"" : "");
    buf_print(b, "]}\n");
}

void attest_report(struct core *core)
{
    struct attest *a = &core->attest;
    struct tally t = {0};
    struct buf attempts, all;
    buf_init(&attempts, REPORT_MAX);
    buf_init(&all, REPORT_MAX);
    put_attempts(&attempts, core, &t);
    a->state = t.succeeded ? ATTEST_FAILED : t.untried ? ATTEST_INCOMPLETE : ATTEST_OK;
    buf_print(
        &all,
        "{\"version\":\"" TW_VERSION "\",\"written\":%lld,\"ok\":%s,\"result\":\"%s\","
        "\"mode\":\"%s\",\"kernelLandlockAbi\":%u,\"tried\":%u,\"untried\":%u,\"succeeded\":%u,",
        (long long)time(NULL), a->state == ATTEST_OK ? "true" : "false",
        attest_state_name(a->state), core->config.system_mode ? "system" : "user",
        (unsigned)a->facts.landlock_abi, t.tried, t.untried, t.succeeded);
    buf_append(&all, buf_data(&attempts), buf_len(&attempts));
    put_processes(&all, a);
    bool ok = replace_file(core->state_dirfd, "attest.json", 0600, buf_data(&all), buf_len(&all));
    if (!ok && !a->failed_write)
        log_warn("attest.json cannot be written: %s", strerror(errno));
    a->failed_write = !ok;
    log_info("attestation: %u attacks on itself tried, %u not possible here, %u succeeded", t.tried,
             t.untried, t.succeeded);
    buf_finish(&attempts);
    buf_finish(&all);
}
