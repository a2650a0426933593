/* SPDX-License-Identifier: Apache-2.0 */
#include "config/users.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

#define AGENT_USER    "tw-agent"
#define SYSUSERS_FILE "packaging/sysusers.d/tw-agent.conf"

static bool find_groups(struct identity *id, const char *name)
{
    int n = 64;
    for (;;) {
        int room = n;
        gid_t *groups = realloc(id->groups, (size_t)n * sizeof *groups);
        if (!groups)
            return false;
        id->groups = groups;
        if (getgrouplist(name, id->gid, groups, &n) >= 0) {
            id->n_groups = (size_t)n;
            return true;
        }
        if (n <= room || n > USERS_GROUPS_MAX)
            return false;
    }
}

/* The user with its groups; NULL after an error is logged. */
static struct passwd *find_user(struct identity *id, const char *name, const char *what)
{
    errno = 0;
    struct passwd *pw = getpwnam(name);
    if (!pw) {
        log_error("%s: there is no user '%s'%s%s", what, name, errno ? ": " : "",
                  errno ? strerror(errno) : "");
        return NULL;
    }
    id->uid = pw->pw_uid;
    id->gid = pw->pw_gid;
    if (find_groups(id, name))
        return pw;
    log_error("%s: the groups of '%s' cannot be listed, or are more than %d", what, name,
              USERS_GROUPS_MAX);
    return NULL;
}

/* A service user; the error says how to get it. */
static bool find_service_user(struct identity *id, const char *name, const char *what)
{
    if (!getpwnam(name)) {
        log_error("%s: there is no user '%s': install " SYSUSERS_FILE
                  " as /etc/sysusers.d/tw-agent.conf and run systemd-sysusers",
                  what, name);
        return false;
    }
    if (!find_user(id, name, what))
        return false;
    if (id->uid != 0)
        return true;
    log_error("%s: '%s' is root", what, name);
    return false;
}

static bool shares_group(const struct identity *a, const struct identity *b)
{
    for (size_t i = 0; i < a->n_groups; i++)
        for (size_t j = 0; j < b->n_groups; j++)
            if (a->groups[i] == b->groups[j])
                return true;
    return false;
}

static bool is_member(const struct identity *id, gid_t group)
{
    for (size_t i = 0; i < id->n_groups; i++)
        if (id->groups[i] == group)
            return true;
    return false;
}

static bool keep(char *out, size_t size, const char *text)
{
    return span_copy(out, size, span_of(text ? text : ""));
}

static const char *unsafe_commands_user(const struct users *u)
{
    if (u->commands.uid == 0)
        return "commands must not run as root: name an unprivileged user";
    if (u->commands.uid == u->agent.uid || u->commands.uid == u->net.uid)
        return "commands must not run as the agent's own user: name another one";
    if (is_member(&u->commands, u->agent.gid) || is_member(&u->commands, u->net.gid) ||
        shares_group(&u->commands, &u->agent))
        return "the user is a member of the agent's groups and could read the token: take it out";
    return NULL;
}

static int find_system(struct users *u, const struct options *o)
{
    const char *name = settings_text(o, OPT_RUN_AS), *why;
    char run_as[512], net_user[512];
    if (!*name) {
        log_error("started as root: say whom commands run as by --run-as USER or the key run_as");
        return EXIT_CONFIG;
    }
    if (!find_service_user(&u->agent, AGENT_USER, "the agent's user") ||
        !find_service_user(&u->net, settings_text(o, OPT_NET_USER),
                           options_origin(o, OPT_NET_USER, net_user, sizeof net_user)))
        return EXIT_CONFIG;
    if (u->net.uid == u->agent.uid) {
        log_error("%s must not be " AGENT_USER ": the network programs need their own user",
                  net_user);
        return EXIT_CONFIG;
    }
    struct passwd *pw =
        find_user(&u->commands, name, options_origin(o, OPT_RUN_AS, run_as, sizeof run_as));
    if (!pw)
        return EXIT_CONFIG;
    if ((why = unsafe_commands_user(u))) {
        log_error("%s %s: %s", run_as, name, why);
        return EXIT_CONFIG;
    }
    return keep(u->name, sizeof u->name, pw->pw_name) &&
                   keep(u->reported, sizeof u->reported, pw->pw_name) &&
                   keep(u->home, sizeof u->home, pw->pw_dir) &&
                   keep(u->shell, sizeof u->shell, pw->pw_shell)
               ? 0
               : EXIT_CONFIG;
}

/* As a plain user everything is that user; USER names it to Tower. */
static int find_own(struct users *u, const struct options *o)
{
    struct passwd *pw = getpwuid(getuid());
    const char *user = getenv("USER"), *home = getenv("HOME");
    const char *run_as = settings_text(o, OPT_RUN_AS);
    char origin[512];
    if (*run_as && (!pw || strcmp(pw->pw_name, run_as) != 0)) {
        log_error("%s %s: commands can run as another user only when started as root",
                  options_origin(o, OPT_RUN_AS, origin, sizeof origin), run_as);
        return EXIT_CONFIG;
    }
    if (!user || !*user)
        user = pw ? pw->pw_name : "";
    if (!*user && !*settings_text(o, OPT_USER_NAME)) {
        log_error("the user's name is unknown: uid %u has no entry in the password database, and "
                  "USER is not set",
                  (unsigned)getuid());
        return EXIT_OTHER;
    }
    int n = getgroups(0, NULL);
    u->commands = (struct identity){.uid = getuid(), .gid = getgid()};
    u->commands.groups = calloc((size_t)(n > 0 ? n : 0) + 1, sizeof(gid_t));
    n = u->commands.groups && n <= USERS_GROUPS_MAX ? getgroups(n, u->commands.groups) : -1;
    if (n < 0) {
        log_error("the groups of this user cannot be listed");
        return EXIT_OTHER;
    }
    u->commands.n_groups = (size_t)n;
    u->agent = u->net = (struct identity){.uid = getuid(), .gid = getgid()};
    return keep(u->name, sizeof u->name, pw ? pw->pw_name : user) &&
                   keep(u->reported, sizeof u->reported, user) &&
                   keep(u->home, sizeof u->home,
                        home && *home ? home
                        : pw          ? pw->pw_dir
                                      : "") &&
                   keep(u->shell, sizeof u->shell, pw ? pw->pw_shell : "")
               ? 0
               : EXIT_CONFIG;
}

int users_find(struct users *u, const struct settings *s, const struct options *o)
{
    const char *name = settings_text(o, OPT_USER_NAME);
    *u = (struct users){0};
    int code = s->system_mode ? find_system(u, o) : find_own(u, o);
    if (code != 0)
        return code;
    if ((*name && !keep(u->reported, sizeof u->reported, name)) ||
        !text_is_utf8(u->reported, strlen(u->reported))) {
        log_error("user_name or USER: not a text of at most %d bytes of UTF-8", LIMIT_USER);
        return EXIT_CONFIG;
    }
    if (!*u->name)
        keep(u->name, sizeof u->name, u->reported);
    return 0;
}

const char *users_work_dir(const struct users *u, const struct options *o, char *out, size_t size)
{
    const char *given = settings_text(o, OPT_WORK_DIR);
    bool home = given[0] == '~' && (given[1] == '/' || given[1] == '\0');
    int n = snprintf(out, size, "%s%s", home ? u->home : "", given + home);
    if (n < 0 || (size_t)n >= size)
        out[0] = '\0';
    return out;
}

void users_finish(struct users *u)
{
    free(u->agent.groups);
    free(u->net.groups);
    free(u->commands.groups);
    *u = (struct users){0};
}
