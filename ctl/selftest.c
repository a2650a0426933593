/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/selftest.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/log.h"
#include "ctl/job.h"
#include "ctl/page.h"

/* Of each command: clients of a daemon that is gone take some seconds to say so. */
#define COMMAND_MS 60000
#define WAIT_MS    120000
#define WAIT_MAX   86400000

enum own { OWN_NO_SCHEDULER, OWN_SCHEDULER, OWN_SUBMIT_OPTIONS, OWN_WAIT, OWN_END };

static const struct parameter own[] = {
    [OWN_NO_SCHEDULER] = {"no-scheduler", NULL, "a command and files alone; no job"},
    [OWN_SCHEDULER] = {"scheduler", "KEY",
                       "slurm, lsf, moab, gridengine or pbs, where clients of several are there"},
    [OWN_SUBMIT_OPTIONS] = {"submit-options", "TEXT",
                            "what the job's script tells the scheduler besides, such as "
                            "--submit-options='-p debug -A project'"},
    [OWN_WAIT] = {"wait", "DUR", "how long the job may wait for its start (2m)"},
    [OWN_END] = {NULL, NULL, NULL}};

static const enum option_id shared[] = {OPT_CONFIG,          OPT_RUN_AS,  OPT_WORK_DIR, OPT_URL,
                                        OPT_COMMAND_TIMEOUT, OPT_ISOLATE, OPTIONS};

const struct page selftest_page = {
    .name = "selftest",
    .arguments = "[OPTIONS] NAME",
    .help = "submits, polls, reads and cancels a short job, as Tower does",
    .own = own,
    .shared = shared,
    .positionals = 1,
    .more =
        "NAME is an instance, or an AGENT_CONNECTION_ID. Commands run by the real tw-agent-exec, "
        "as the agent's\nown: the same user, environment, limits, filter and domain.\n"};

struct selftest {
    struct subject subject;
    struct steps steps;
    struct runner runner;
    struct job job;
    const char *own[OWN_END];
};

static int take_own(struct selftest *t)
{
    const char *wait = t->own[OWN_WAIT], *options = t->own[OWN_SUBMIT_OPTIONS];
    t->job.wait_ms = WAIT_MS;
    t->job.options = options ? options : "";
    if (wait && (!duration_parse(wait, &t->job.wait_ms) || t->job.wait_ms > WAIT_MAX))
        log_error("--wait: not a duration such as 2m, of a day at most");
    else if (t->job.options[strcspn(t->job.options, "\r\n")] || strlen(t->job.options) > 1024)
        log_error("--submit-options: not one line of at most 1024 bytes");
    else if (t->own[OWN_SCHEDULER] && !scheduler_named(t->own[OWN_SCHEDULER]))
        log_error("--scheduler: one of slurm, lsf, moab, gridengine, pbs");
    else
        return CTL_WELL;
    return CTL_USAGE;
}

static bool start(struct selftest *t)
{
    const struct subject *s = &t->subject;
    step_begin(&t->steps, "configuration");
    if (!subject_read(&t->subject))
        return step_end_said(&t->steps, NULL);
    const char *file = s->options.values[OPT_CONFIG].text;
    step_end(&t->steps, STEP_OK, NULL, NULL, "%s", file ? file : "options and variables");
    step_begin(&t->steps, "environment");
    if (!runner_start(&t->runner, s, COMMAND_MS))
        return step_end_said(&t->steps, "tw-agentctl check names what is wrong");
    return step_end(&t->steps, STEP_OK, NULL, NULL, "as user '%s', in %s", s->users.name,
                    t->runner.work_dir);
}

/* One command whose output is the detail. */
static bool say(struct selftest *t, const char *name, const char *text, const char *remedy)
{
    struct run_result r;
    step_begin(&t->steps, name);
    if (!runner_run(&t->runner, text, &r))
        return step_end_said(&t->steps, NULL);
    bool good = r.status == 0 && *r.output;
    if (good)
        step_end(&t->steps, STEP_OK, NULL, NULL, "%.*s", (int)strcspn(r.output, "\n"), r.output);
    else
        step_end(&t->steps, STEP_FAILED, remedy, r.output, "a command ended with status %d",
                 r.status);
    run_result_finish(&r);
    return good;
}

static bool find_scheduler(struct selftest *t)
{
    struct scheduler_found found;
    step_begin(&t->steps, "scheduler");
    const char *wanted = t->own[OWN_SCHEDULER];
    if (!scheduler_find(&found, &t->runner, wanted ? scheduler_named(wanted) : NULL))
        return step_end_said(&t->steps, NULL);
    t->job.scheduler = found.scheduler;
    if (!found.scheduler)
        return step_end(&t->steps, STEP_FAILED,
                        "put its clients on the PATH of that user's login, or load them by "
                        "env_init (such as module load slurm); without a scheduler: "
                        "--no-scheduler",
                        NULL, SCHEDULER_NONE);
    if (*found.missing)
        return step_end(&t->steps, STEP_FAILED,
                        "put them on the PATH of that user's login, or load them by env_init", NULL,
                        "%s: not on the PATH of commands: %s", found.scheduler->name,
                        found.missing);
    return step_end(&t->steps, STEP_OK, NULL, NULL, "%s (%s): %s", found.scheduler->name,
                    *found.version ? found.version : "its client does not say its version",
                    found.clients);
}

static void walk(struct selftest *t)
{
    if (!start(t) ||
        !say(t, "command", "echo \"umask $(umask), PATH $PATH\"", "see env_init and the profile"))
        return;
    t->job.runner = &t->runner;
    t->job.steps = &t->steps;
    if (!job_prepare(&t->job))
        return;
    if (!t->own[OWN_NO_SCHEDULER] && find_scheduler(t))
        job_run(&t->job);
    job_clean(&t->job);
}

static int take_arguments(struct selftest *t, int argc, char **argv)
{
    if (!page_take(&selftest_page, t->own, &argc, argv))
        return CTL_USAGE;
    int code = subject_take(&t->subject, argc, argv);
    if (code == CTL_WELL && !page_check(&selftest_page, &t->subject.options))
        code = CTL_USAGE;
    return code == CTL_WELL ? take_own(t) : code;
}

int selftest_run(const struct ctl *ctl, int argc, char **argv)
{
    static struct selftest t;
    const struct sigaction quit = {.sa_handler = job_interrupt};
    t.runner = (struct runner){.parent = -1, .core = -1};
    int code = take_arguments(&t, argc, argv);
    if (code == CTL_USAGE) {
        page_print_usage(&selftest_page, stderr);
    } else if (code == CTL_WELL && t.subject.options.values[OPT_HELP].text) {
        page_print(&selftest_page, stdout);
    } else if (code == CTL_WELL) {
        /* What was submitted is cancelled all the same, whatever becomes of whoever reads this. */
        signal(SIGPIPE, SIG_IGN);
        sigaction(SIGINT, &quit, NULL);
        sigaction(SIGTERM, &quit, NULL);
        if (!(t.subject.start.ignored >> (SIGHUP - 1) & 1)) /* nohup(1) */
            sigaction(SIGHUP, &quit, NULL);
        steps_begin(&t.steps, ctl->json);
        walk(&t);
        runner_finish(&t.runner);
        code = steps_end(&t.steps) ? CTL_WELL : CTL_PROBLEM;
    }
    subject_finish(&t.subject);
    return code;
}
