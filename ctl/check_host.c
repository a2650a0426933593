/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/check.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/child.h"

/* What the agent itself maps: two pages for tokens, one for the search. */
#define SECRET_PAGES 3

void check_memory(struct check *c)
{
    struct secret pages[SECRET_PAGES];
    const struct secret *all[SECRET_PAGES];
    struct judgement j;
    struct rlimit limit = {0};
    char text[64];
    for (size_t i = 0; i < SECRET_PAGES; i++) {
        secret_init(&pages[i]);
        all[i] = &pages[i];
    }
    facts_take_pages(&c->facts, all, SECRET_PAGES);
    for (size_t i = 0; i < SECRET_PAGES; i++)
        secret_finish(&pages[i]);
    guarantee_judge(GUARANTEE_SECRET_MEMORY, &c->facts, &j);
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_cur == RLIM_INFINITY)
        snprintf(text, sizeof text, "no limit of locked memory");
    else
        snprintf(text, sizeof text, "locked memory up to %llu KiB",
                 (unsigned long long)limit.rlim_cur / 1024);
    findings_add(&c->findings, "memory", j.holds == HOLDS_FULL ? FINDING_OK : FINDING_WARNING,
                 j.remedy, "%s%s%s", text, *j.lost ? ": " : "", j.lost);
}

enum need {
    NEED_NOTHING,
    NEED_SETUID,    /* when it is a setuid program */
    NEED_NAMESPACES /* works by user namespaces */
};

static const struct wanted {
    const char *program;
    const char *what;
    enum need need;
} wanted[] = {
    {"sbatch", "Slurm", NEED_NOTHING},
    {"qsub", "PBS or Grid Engine", NEED_NOTHING},
    {"bsub", "LSF", NEED_NOTHING},
    {"msub", "Moab", NEED_NOTHING},
    {"pbs_iff", "the clients of PBS", NEED_SETUID},
    {"eauth", "the clients of LSF", NEED_SETUID},
    {"mauth", "the clients of Moab", NEED_SETUID},
    {"starter-suid", "apptainer's setuid mode", NEED_SETUID},
    {"apptainer", "apptainer", NEED_NAMESPACES},
    {"singularity", "singularity", NEED_NAMESPACES},
    {"bwrap", "bubblewrap", NEED_NAMESPACES},
};

#define WANTED (sizeof wanted / sizeof *wanted)

struct found {
    char path[WANTED][256]; /* empty: not there */
    bool setuid[WANTED];
};

_Static_assert(sizeof(struct found) <= CHILD_ANSWER_MAX, "an answer of a child");

/* Beside a directory of clients, where their helpers are. */
static const char *const beside[] = {"",
                                     "/../sbin",
                                     "/../etc",
                                     "/../tools",
                                     "/../libexec/apptainer/bin",
                                     "/../libexec/singularity/bin",
                                     "/lx-amd64"};

static void look_in(struct found *f, const char *directory)
{
    for (size_t i = 0; i < WANTED; i++) {
        for (size_t k = 0; k < sizeof beside / sizeof *beside && !*f->path[i]; k++) {
            char path[sizeof *f->path];
            struct stat st;
            int n = snprintf(path, sizeof path, "%s%s/%s", directory, beside[k], wanted[i].program);
            if (n < 0 || (size_t)n >= sizeof path || stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
                !(st.st_mode & S_IXUSR))
                continue;
            memcpy(f->path[i], path, (size_t)n + 1);
            f->setuid[i] = st.st_mode & S_ISUID;
        }
    }
}

/* PATH and what the schedulers' own variables name, then the usual places. */
static void look_for_clients(const void *context, void *answer)
{
    static const char *const variables[] = {"PATH", "LSF_BINDIR", "LSF_SERVERDIR"};
    static const char *const places[] = {
        "/usr/local/bin",    "/usr/bin",      "/opt/slurm/bin", "/opt/pbs/bin",
        "/opt/torque/bin",   "/opt/moab/bin", "/opt/sge/bin",   "/usr/lib/gridengine",
        "/opt/apptainer/bin"};
    (void)context;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *rest = getenv(variables[i]);
        while (rest && *rest) {
            char directory[PATH_MAX];
            size_t n = strcspn(rest, ":");
            if (*rest == '/' && span_copy(directory, sizeof directory, (struct span){rest, n}))
                look_in(answer, directory);
            rest += n + (rest[n] == ':');
        }
    }
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        look_in(answer, places[i]);
}

static void judge_need(struct check *c, const struct wanted *w, const char *path, bool setuid)
{
    struct findings *f = &c->findings;
    if (w->need == NEED_SETUID && setuid && !c->facts.setuid_helpers)
        findings_add(f, "setuid-helpers", FINDING_WARNING,
                     "if commands need it, set setuid_helpers = yes; then members' commands are "
                     "not isolated from each other",
                     "%s is setuid, and gains nothing in a command: %s may fail", path, w->what);
    else if (w->need == NEED_SETUID && setuid)
        findings_add(f, "setuid-helpers", FINDING_OK, NULL, "%s works in commands", path);
    else if (w->need == NEED_NAMESPACES && !c->facts.allow_namespaces)
        findings_add(f, "namespaces", FINDING_NOTE,
                     "if commands run it themselves (jobs are not concerned), set "
                     "allow_namespaces = yes",
                     "%s makes user namespaces, which commands may not", path);
}

void check_schedulers(struct check *c)
{
    struct found found = {0};
    bool any = false;
    if (!c->has_users)
        return;
    if (child_look(&c->users.commands, look_for_clients, NULL, &found, sizeof found,
                   CHECK_DEADLINE_MS) != CHILD_ANSWERED) {
        findings_add(&c->findings, "scheduler", FINDING_WARNING,
                     "look at the file servers that PATH names", "no answer in %d s",
                     CHECK_DEADLINE_MS / 1000);
        return;
    }
    for (size_t i = 0; i < WANTED; i++) {
        if (!*found.path[i])
            continue;
        if (wanted[i].need == NEED_NOTHING) {
            findings_add(&c->findings, "scheduler", FINDING_OK, NULL, "%s: %s", wanted[i].what,
                         found.path[i]);
            any = true;
        }
        judge_need(c, &wanted[i], found.path[i], found.setuid[i]);
    }
    if (!any)
        findings_add(&c->findings, "scheduler", FINDING_NOTE,
                     "if the login environment of the commands' user has them, all is well; else "
                     "see env_init",
                     "no sbatch, qsub, bsub or msub in PATH and the usual places");
}
