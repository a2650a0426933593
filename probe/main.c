/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tw-agent-probe: the agent's attack on itself, as a member's command would make it. Core runs it
 * as it runs any command; what it can do, a command can do. ipc/probes.h says how it is called.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/probes.h"
#include "probe/host.h"
#include "probe/process.h"
#include "probe/reading.h"
#include "probe/target.h"

/* The two commands start within milliseconds of each other; a loaded host takes longer. Core waits
 * for 15 s. */
#define PAIR_MS 10000

/* Of one that is ready to be looked at: before that it passes for the wrong reason. Anyone may read
 * it, nothing uses it, and no command begins with it. */
#define MEMBER_UMASK 0757

enum argument { PAIR = 2, MODE, ISOLATION, PARENT, CORE, EXEC, NET, TOKEN_FILE, ARGUMENTS };

static const struct {
    enum probe agent, member; /* PROBES: none */
    process_way *way;
} ways[] = {
    {PROBE_environ, PROBE_member_environ, process_environ},
    {PROBE_memory, PROBE_member_memory, process_memory},
    {PROBE_descriptors, PROBE_member_descriptors, process_descriptors},
    {PROBE_trace, PROBES, process_trace},
    {PROBE_copy, PROBE_member_copy, process_copy},
    {PROBE_steal, PROBES, process_steal},
    {PROBE_signal, PROBE_member_signal, process_signal},
    {PROBE_limits, PROBES, process_limits},
    {PROBE_priority, PROBES, process_priority},
    {PROBE_scheduling, PROBES, process_scheduling},
};

static const struct {
    enum probe probe;
    process_reading *read;
} readings[] = {
    {PROBE_users, reading_user},
    {PROBE_capabilities, reading_capabilities},
    {PROBE_filters, reading_filters},
    {PROBE_dumpable, reading_dumpable},
};

static void try_agent(char *answer, const struct targets *t)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        answer[ways[i].agent] = t->n > 0 ? PROBE_DENIED : PROBE_UNTRIED;
        for (size_t k = 0; k < t->n; k++)
            if (ways[i].way(t->list[k].pid)) {
                answer[ways[i].agent] = t->list[k].letter;
                break;
            }
    }
}

/* One that is not seen leaves the question open, one that is bad answers it. Exec has the commands'
 * user by design. */
static void read_agent(char *answer, const struct targets *t, bool system_mode)
{
    for (size_t i = 0; i < sizeof readings / sizeof *readings; i++) {
        bool users = readings[i].probe == PROBE_users;
        char *a = &answer[readings[i].probe];
        *a = users && !system_mode ? PROBE_SKIPPED : t->n > 0 ? PROBE_DENIED : PROBE_UNTRIED;
        for (size_t k = 0; k < t->n && *a != PROBE_SKIPPED; k++) {
            if (users && t->list[k].letter == 'e')
                continue;
            enum reading r = readings[i].read(t->list[k].pid);
            if (r == READING_UNSEEN && target_lives(t->list[k].pid))
                *a = PROBE_UNTRIED;
            if (r == READING_BAD) {
                *a = t->list[k].letter;
                break;
            }
        }
    }
}

/* The text's bytes in the arguments of the shell that reads it. */
static char find_text(pid_t shell)
{
    char line[4096];
    ssize_t n = shell > 1 ? target_read(shell, "cmdline", line, sizeof line) : -1;
    if (n <= 0)
        return PROBE_UNTRIED;
    return memmem(line, (size_t)n, PROBE_MARK, sizeof PROBE_MARK - 1) ? 'm' : PROBE_DENIED;
}

static void try_member(char *answer, const char *pair, bool full)
{
    pid_t member = target_find("member", pair, MEMBER_UMASK, PAIR_MS);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (ways[i].member != PROBES)
            answer[ways[i].member] = !member               ? PROBE_UNTRIED
                                     : ways[i].way(member) ? 'm'
                                                           : PROBE_DENIED;
    if (!full)
        answer[PROBE_member_signal] = PROBE_SKIPPED;
    answer[PROBE_member_text] = find_text(member ? (pid_t)target_status(member, "PPid:", 10) : 0);
}

static int attack(char **argv)
{
    char answer[PROBES + 1] = "";
    struct targets t = {.n = 0};
    bool system_mode = strcmp(argv[MODE], "system") == 0;
    targets_add(&t, (pid_t)strtol(argv[PARENT], NULL, 10), 'p');
    targets_add(&t, (pid_t)strtol(argv[CORE], NULL, 10), 'c');
    targets_add(&t, (pid_t)strtol(argv[EXEC], NULL, 10), 'e');
    targets_add(&t, (pid_t)strtol(argv[NET], NULL, 10), 'n');
    targets_add_children(&t, (pid_t)strtol(argv[NET], NULL, 10), 'n');
    try_member(answer, argv[PAIR], strcmp(argv[ISOLATION], "full") == 0);
    try_agent(answer, &t);
    read_agent(answer, &t, system_mode);
    answer[PROBE_token_file] = argv[TOKEN_FILE][0] == '\0'    ? PROBE_SKIPPED
                               : host_opens(argv[TOKEN_FILE]) ? 'h'
                                                              : PROBE_DENIED;
    answer[PROBE_kernel] = host_kernel() ? 'h' : PROBE_DENIED;
    return printf(PROBE_ANSWER "%s\n", answer) > 0 && fflush(stdout) == 0 ? 0 : 1;
}

/* As any command is: one that cannot be read by its user starts non-dumpable, and would pass for
 * the wrong reason. */
static int be_looked_at(const char *pair)
{
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1)
        return 1;
    umask(MEMBER_UMASK); /* what the other one waits for */
    pid_t other = target_find("try", pair, UMASK_ANY, PAIR_MS);
    if (other)
        target_wait_end(other, PAIR_MS);
    return other ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == PAIR + 1 && strcmp(argv[1], "member") == 0)
        _exit(be_looked_at(argv[PAIR]));
    if (argc == ARGUMENTS && strcmp(argv[1], "try") == 0)
        _exit(attack(argv)); /* at once: a sanitizer's runtime would trace us, which is denied */
    fprintf(stderr, "tw-agent-probe is run by tw-agent: see tw-agentctl attest\n");
    return 2;
}
