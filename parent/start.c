/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fds.h"
#include "parent/config.h"
#include "parent/parent.h"

static int fail(const char *what)
{
    log_error("%s: %s", what, strerror(errno));
    return EXIT_OTHER;
}

int parent_take_arguments(struct parent *p, int argc, char **argv, char **environment)
{
    *p = (struct parent){.environment = -1, .ca = -1, .state = {-1, -1}};
    for (size_t i = 0; i < CHILDREN; i++)
        p->children[i].fd = -1;
    release_init(&p->release);
    if (fds_fill_standard() != 0 || start_state_record(&p->start) != 0 ||
        sandbox_undumpable() != 0 || token_init(&p->token) != 0)
        return fail("cannot prepare this process");
    /* A log that nobody reads any more must not end the agent, nor a reload before its loop runs.
     */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    birth_raise_limits();
    if (token_take_environment(&p->token, environment) &&
        !options_set(&p->options, OPT_ACCESS_TOKEN, LEVEL_VARIABLE, 0, ""))
        return EXIT_OTHER;
    return options_read_arguments(&p->options, &p->token, argc, argv);
}

/* Closes what was inherited, but for where the token comes from; 0 and 1 are not ours to use. */
static int close_others(struct token *t)
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
    struct sandbox_host host;
    sandbox_probe(&host);
    p->facts = (struct facts){.landlock_abi = (unsigned)host.landlock_abi,
                              .seccomp = host.seccomp,
                              .split_uid = p->settings.system_mode,
                              .isolate_full = p->settings.numbers[OPT_ISOLATE] == 0,
                              .user = p->users.name};
    if (host.seccomp)
        return 0;
    log_error("this kernel has no seccomp filters: the agent's processes cannot be confined");
    return EXIT_SANDBOX;
}

int parent_prepare(struct parent *p)
{
    struct options *o = &p->options;
    int code = options_read_environment(o);
    if (code == 0)
        code = config_read(o);
    if (code == 0)
        code = settings_take(&p->settings, o);
    if (code != 0)
        return code;
    log_init("parent", p->settings.log_level, (enum log_format)p->settings.numbers[OPT_LOG_FORMAT]);
    /* Before other descriptors are opened, so that --token-fd means the caller's. */
    code = token_find(&p->token, o, (int)p->settings.numbers[OPT_TOKEN_FD]);
    if (code == 0)
        code = close_others(&p->token);
    if (code == 0)
        code = users_find(&p->users, &p->settings, o);
    if (code == 0)
        code = check_host(p);
    if (code == 0 && !programs_find(&p->programs))
        code = EXIT_OTHER;
    if (code == 0 && (p->ca = ca_bundle(o)) < 0)
        code = EXIT_CONFIG;
    if (code == 0 && (p->environment = environment_memfd(environ)) < 0)
        code = EXIT_OTHER;
    return code != 0 ? code : state_open(&p->state, &p->settings, o, &p->users);
}

static int judge_token(struct parent *p)
{
    const struct identity *id = &p->users.commands;
    const struct token *t = &p->token;
    struct facts *f = &p->facts;
    f->secret_memory = t->pages[0].memfd && t->pages[1].memfd && t->search.page.memfd;
    f->locked_memory = t->pages[0].locked && t->pages[1].locked && t->search.page.locked;
    f->token_given_openly = t->source == TOKEN_ARGUMENT || t->source == TOKEN_VARIABLE;
    f->token_reachable = token_reachable(t, id->uid, id->groups, id->n_groups);
    facts_warn(f);
    return requirements_met(&p->settings.requirements, f) ? 0 : EXIT_SANDBOX;
}

static int drop_root(const struct parent *p)
{
    const struct identity *id = &p->users.agent;
    if (birth_become(id->uid, id->gid, id->groups, id->n_groups) != 0)
        return fail("cannot become tw-agent");
    if (users_drop_capabilities() != 0)
        return fail("cannot give up capabilities");
    return 0;
}

static int enter_sandbox(const struct parent *p)
{
    struct sandbox_access access = {.write_dirfd = -1, .read_dirfd = p->token.dirfd};
    struct sandbox_report report;
    char why[256] = "";
    if (sandbox_undumpable() != 0)
        return fail("cannot make this process non-dumpable");
    if (sandbox_enter(SANDBOX_PARENT, &access, &report, why, sizeof why) == 0) {
        log_debug("in its sandbox: Landlock ABI %d, %u system calls", report.landlock_abi,
                  report.syscalls);
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
    int code = p->settings.system_mode || users_drop_capabilities() == 0 ? 0 : EXIT_OTHER;
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
    token_finish(&p->token);
    options_finish(&p->options);
    users_finish(&p->users);
}
