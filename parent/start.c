/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fds.h"
#include "config/facts.h"
#include "ipc/probes.h"
#include "parent/attest.h"
#include "parent/parent.h"

/* What exec and core have for themselves, the agent's own two commands included, and for each
 * command. */
#define COMMAND_DESCRIPTORS 6
#define OWN_DESCRIPTORS     (32 + PROBE_COMMANDS * COMMAND_DESCRIPTORS)

/* Pulses of core that are passed on: a core that was taken over must not flood the service manager.
 */
#define PULSE_BURST       20
#define PULSE_INTERVAL_MS 100

static int fail(const char *what)
{
    log_error("%s: %s", what, strerror(errno));
    return EXIT_OTHER;
}

int parent_take_arguments(struct parent *p, int argc, char **argv, char **environment)
{
    *p = (struct parent){.environment = -1,
                         .ca = -1,
                         .state = {-1, -1, {-1, NULL}},
                         .pulses = {.interval_ms = PULSE_INTERVAL_MS, .burst = PULSE_BURST}};
    for (size_t i = 0; i < CHILDREN; i++)
        p->children[i].fd = -1;
    release_init(&p->release);
    if (fds_fill_standard() != 0 || start_state_record(&p->start) != 0 ||
        sandbox_undumpable() != 0 || token_init(&p->token) != 0)
        return fail("cannot prepare this process");
    log_take_journal();
    notify_take_environment(&p->notify);
    log_never_wait();
    /* A log that nobody reads any more must not end the agent, nor a reload before its loop runs.
     */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    birth_raise_limits();
    if (token_take_environment(&p->token, environment) &&
        !options_set(&p->options, OPT_ACCESS_TOKEN, LEVEL_VARIABLE, 0, ""))
        return EXIT_OTHER;
    return options_read_arguments(&p->options, token_take_argument, &p->token, argc, argv);
}

/* Closes what was inherited, but for where the token comes from; 0 and 1 are not ours to use. */
static int close_others(struct token_source *t)
{
    int *kept = t->dirfd >= 0 ? &t->dirfd : &t->fd;
    int n = *kept >= 0, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
        fds_arrange(BIRTH_FD_FIRST, kept, n) != 0)
        return fail("cannot prepare its descriptors");
    if (n > 0) {
        *kept = BIRTH_FD_FIRST;
        fcntl(*kept, F_SETFD, FD_CLOEXEC);
    }
    return 0;
}

static int check_host(struct parent *p)
{
    facts_take(&p->facts, &p->settings, &p->users);
    if (p->facts.setuid_helpers && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        log_warn("setuid_helpers = yes has no effect: this process was started with no_new_privs "
                 "(NoNewPrivileges= of the unit, or the container)");
    if (p->facts.seccomp)
        return 0;
    log_error("this kernel has no seccomp filters: the agent's processes cannot be confined");
    return EXIT_SANDBOX;
}

/* Fewer commands at once rather than shortages: each has up to six descriptors in exec and core,
 * beside what these have for themselves. */
static void fit_descriptors(struct parent *p)
{
    uint64_t *wanted = &p->settings.numbers[OPT_MAX_COMMANDS];
    uint64_t hard = p->start.limits[RLIMIT_NOFILE].hard;
    uint64_t most = hard > OWN_DESCRIPTORS + COMMAND_DESCRIPTORS
                        ? (hard - OWN_DESCRIPTORS) / COMMAND_DESCRIPTORS
                        : 1;
    if (*wanted <= most)
        return;
    log_warn("the hard limit of open files (ulimit -Hn) is %llu: %llu commands at once instead of "
             "%llu",
             (unsigned long long)hard, (unsigned long long)most, (unsigned long long)*wanted);
    *wanted = most;
}

int parent_check_config(struct parent *p)
{
    struct options *o = &p->options;
    const char *file = o->values[OPT_CONFIG].text;
    int code = settings_read(&p->settings, o), found = 0;
    /* All mistakes are told at once; only, with others it is not known whether run_as is missing.
     */
    if (code == 0 || o->values[OPT_RUN_AS].text)
        found = users_find(&p->users, &p->settings, o);
    code = code ? code : found;
    if ((p->ca = ca_bundle(o)) < 0)
        code = code ? code : EXIT_CONFIG;
    if (code == 0)
        printf("%s: good\n", file ? file : "options and variables");
    return code;
}

int parent_prepare(struct parent *p)
{
    struct options *o = &p->options;
    int code = settings_read(&p->settings, o);
    if (code != 0)
        return code;
    uint64_t *format = &p->settings.numbers[OPT_LOG_FORMAT]; /* the others' as well */
    *format = log_journal_format((enum log_format) * format);
    log_init("parent", p->settings.log_level, (enum log_format) * format);
    fit_descriptors(p);
    /* Before other descriptors are opened, so that --token-fd means the caller's. */
    code = token_find(&p->token, o, (int)p->settings.numbers[OPT_TOKEN_FD]);
    if (code == 0)
        code = close_others(&p->token.source);
    if (code == 0)
        notify_open(&p->notify);
    if (code == 0)
        code = users_find(&p->users, &p->settings, o);
    if (code == 0)
        code = check_host(p);
    if (code == 0)
        code = programs_find(&p->programs);
    if (code == 0 && (p->ca = ca_bundle(o)) < 0)
        code = EXIT_CONFIG;
    if (code == 0 && (p->environment = environment_memfd(environ)) < 0)
        code = EXIT_OTHER;
    return code != 0 ? code : state_open(&p->state, &p->settings, o, &p->users);
}

static int judge_token(struct parent *p)
{
    const struct token *t = &p->token;
    const struct secret *const pages[] = {&t->pages[0], &t->pages[1], &t->search.page};
    struct facts *f = &p->facts;
    char reader[128];
    facts_take_pages(f, pages, sizeof pages / sizeof *pages);
    facts_take_source(f, &t->source, &p->users, reader, sizeof reader);
    facts_warn(f);
    p->reduced = facts_reduced(f);
    bool met = requirements_met(&p->settings.requirements, f);
    f->token_reader = NULL;
    return met ? 0 : EXIT_SANDBOX;
}

static int drop_root(const struct parent *p)
{
    const struct identity *id = &p->users.agent;
    if (birth_become(id->uid, id->gid, id->groups, id->n_groups) != 0)
        return fail("cannot become tw-agent");
    if (sandbox_drop_capabilities() != 0)
        return fail("cannot give up capabilities");
    return 0;
}

static int enter_sandbox(struct parent *p)
{
    struct sandbox_access access = {.write_dirfd = -1,
                                    .read_dirfd = p->token.source.dirfd,
                                    .log_violations = p->facts.sandbox_log};
    char why[256] = "";
    if (sandbox_undumpable() != 0)
        return fail("cannot make this process non-dumpable");
    if (sandbox_enter(SANDBOX_PARENT, &access, &p->sandbox, why, sizeof why) == 0) {
        log_debug("in its sandbox: Landlock ABI %d, %u system calls", p->sandbox.landlock_abi,
                  p->sandbox.syscalls);
        attest_send_self(p);
        return 0;
    }
    log_error("the sandbox cannot be entered: %s", why);
    return EXIT_SANDBOX;
}

int parent_start(struct parent *p)
{
    log_info("tw-agent " TW_VERSION " starts: connection ID '%s', %s, commands as '%s'",
             p->settings.connection_id, p->settings.url.text, p->users.name);
    /* As a plain user with ambient capabilities the children would inherit them. */
    int code = p->settings.system_mode || sandbox_drop_capabilities() == 0 ? 0 : EXIT_OTHER;
    if (code == 0)
        code = children_start(p);
    /* From here on no process is made that could copy the token. */
    if (code == 0)
        code = token_load(&p->token);
    if (code == 0)
        code = judge_token(p);
    if (code == 0)
        code = drop_root(p);
    if (code == 0) {
        token_check_rereadable(&p->token);
        code = supervise_init(p);
    }
    return code != 0 ? code : enter_sandbox(p);
}

void parent_finish(struct parent *p)
{
    notify_finish(&p->notify);
    token_finish(&p->token);
    options_finish(&p->options);
    users_finish(&p->users);
}
