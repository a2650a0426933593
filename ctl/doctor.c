/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/doctor.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/agent.h"
#include "ctl/arguments.h"
#include "ctl/check.h"
#include "ctl/runner.h"
#include "ctl/schedulers.h"

/* Of each command that looks for a scheduler. */
#define COMMAND_MS 20000

enum own { OWN_NO_START, OWN_END };

static const struct parameter own[] = {
    [OWN_NO_START] = {"no-start", NULL,
                      "starts no agent: the road is walked as far as the token, unless the agent "
                      "runs"},
    [OWN_END] = {NULL, NULL, NULL}};

static const enum option_id shared[] = {OPT_CONFIG, OPT_STATE_DIR, OPTIONS};

const struct page doctor_page = {
    .name = "doctor",
    .arguments = "[OPTIONS] NAME",
    .help = "walks the road to Tower step by step, and says where and why it ends",
    .own = own,
    .shared = shared,
    .positionals = 1,
    .more =
        "NAME is an instance with a configuration file. If its agent does not run, it is started "
        "for the last\nsteps, and stopped again: commands that Tower sends meanwhile are run.\n"};

static bool walk_configuration(struct doctor *d)
{
    const struct subject *s = &d->subject;
    step_begin(&d->steps, "configuration");
    d->code = CTL_CONFIGURATION;
    const char *file = s->options.values[OPT_CONFIG].text;
    if (!file)
        return step_end(&d->steps, STEP_FAILED, "tw-agentctl setup makes one", NULL,
                        "there is no instance '%s'",
                        s->options.connection_id ? s->options.connection_id : "");
    if (!subject_read(&d->subject))
        return step_end_said(&d->steps, NULL);
    return step_end(&d->steps, STEP_OK, NULL, NULL, "%s: connection ID '%s', %s, commands as '%s'",
                    file, s->settings.connection_id, s->settings.url.text, s->users.name);
}

static bool walk_work_directory(struct doctor *d)
{
    const struct users *u = &d->subject.users;
    char path[LIMIT_PATH + 1];
    struct work_answer a;
    step_begin(&d->steps, "work-directory");
    d->code = CTL_PROBLEM;
    enum child_outcome outcome = work_dir_look(u, &d->subject.options, path, &a);
    if (outcome == CHILD_TIMEOUT)
        return step_end(&d->steps, STEP_FAILED, "look at its file server", NULL,
                        "%s: no answer in %d s", path, CHECK_DEADLINE_MS / 1000);
    if (outcome == CHILD_FAILED)
        return step_end(&d->steps, STEP_FAILED, NULL, NULL,
                        "%s: nothing could be tried as user '%s'", path, u->name);
    if (a.error != 0)
        return step_end(&d->steps, STEP_FAILED,
                        "make it for that user, or name another one by work_dir", NULL,
                        "%s: user '%s' cannot enter it: %s", path, u->name, strerror(a.error));
    return step_end(&d->steps, a.writable ? STEP_OK : STEP_WARNING,
                    a.writable ? NULL : "chown it to that user", NULL, "%s%s", path,
                    a.writable ? "" : ": that user cannot write there");
}

static bool find_scheduler(struct doctor *d, struct runner *r)
{
    struct scheduler_found f;
    step_begin(&d->steps, "scheduler");
    if (!scheduler_find(&f, r, NULL))
        return step_end_said(&d->steps, NULL);
    if (!f.scheduler)
        return step_end(&d->steps, STEP_WARNING,
                        "see env_init (such as module load slurm) and the login profile; without a "
                        "scheduler nothing is missing",
                        NULL, SCHEDULER_NONE);
    if (*f.missing)
        return step_end(&d->steps, STEP_WARNING, "see env_init and the login profile", NULL,
                        "%s: %s; not on the PATH of commands: %s", f.scheduler->name, f.clients,
                        f.missing);
    return step_end(&d->steps, STEP_OK, NULL, NULL, "%s%s%s: %s", f.scheduler->name,
                    *f.version ? ", " : "", f.version, f.clients);
}

static bool walk_commands(struct doctor *d)
{
    struct runner r;
    step_begin(&d->steps, "environment");
    bool started = runner_start(&r, &d->subject, COMMAND_MS);
    bool ok = started ? step_end(&d->steps, STEP_OK, NULL, NULL, "commands run as user '%s', in %s",
                                 d->subject.users.name, r.work_dir)
                      : step_end_said(&d->steps, "tw-agentctl check names what is wrong");
    ok = ok && find_scheduler(d, &r);
    runner_finish(&r);
    return ok;
}

/* The token that setup puts beside the configuration, where nothing else is said. */
static void find_token_file(struct doctor *d)
{
    const char *config = d->subject.options.values[OPT_CONFIG].text;
    size_t len = config ? strlen(config) : 0;
    d->token_file[0] = '\0';
    if (len < 5 || strcmp(config + len - 5, ".conf") != 0 ||
        (size_t)snprintf(d->token_file, sizeof d->token_file, "%.*s.token", (int)len - 5, config) >=
            sizeof d->token_file ||
        access(d->token_file, F_OK) != 0)
        d->token_file[0] = '\0';
}

static void walk(struct doctor *d)
{
    if (!walk_configuration(d) || !walk_work_directory(d) || !walk_commands(d))
        return;
    find_token_file(d);
    if (doctor_network(d) && doctor_agent(d))
        d->code = CTL_WELL;
}

static int take_arguments(struct doctor *d, int argc, char **argv)
{
    const char *given[OWN_END];
    if (!page_take(&doctor_page, given, &argc, argv))
        return CTL_USAGE;
    d->no_start = given[OWN_NO_START];
    int code = subject_take(&d->subject, argc, argv);
    struct options *o = &d->subject.options;
    if (code != CTL_WELL || o->values[OPT_HELP].text)
        return code;
    if (!page_check(&doctor_page, o))
        return CTL_USAGE;
    /* A token in this shell's environment is not the instance's. It was wiped, and the agent that
     * is started does not get it either. */
    arguments_forget(o, OPT_ACCESS_TOKEN);
    if (o->connection_id || o->values[OPT_CONFIG].text)
        return CTL_WELL;
    log_error("say which instance: its NAME, or --config FILE");
    return CTL_USAGE;
}

int doctor_run(const struct ctl *ctl, int argc, char **argv)
{
    static struct doctor d;
    int code = take_arguments(&d, argc, argv);
    if (code == CTL_USAGE) {
        page_print_usage(&doctor_page, stderr);
    } else if (code == CTL_WELL && d.subject.options.values[OPT_HELP].text) {
        page_print(&doctor_page, stdout);
    } else if (code == CTL_WELL && secret_init(&d.token) == 0) {
        /* The agent that is started must be stopped again, whatever becomes of whoever reads this.
         */
        const struct sigaction quit = {.sa_handler = agent_interrupt};
        signal(SIGPIPE, SIG_IGN);
        sigaction(SIGINT, &quit, NULL);
        sigaction(SIGTERM, &quit, NULL);
        sigaction(SIGHUP, &quit, NULL);
        steps_begin(&d.steps, ctl->json);
        walk(&d);
        bool well = steps_end(&d.steps);
        code = well || d.code != CTL_WELL ? (int)d.code : CTL_PROBLEM;
        secret_finish(&d.token);
    }
    subject_finish(&d.subject);
    return code;
}
