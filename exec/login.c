/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * What they print goes elsewhere: each writes its environment to a descriptor of its own. The csh
 * family closes all but the standard ones and takes no -l beside -c, but a dash in front of its
 * name; its answer goes to descriptor 0, which is then no input.
 */
struct dialect {
    const char *shell;
    const char *script; /* %s: env_init */
    bool login_flag;
    int answer_fd;
};

/*
 * Limits and umask, their end mark, a NUL, then the environment, which the login shell itself must
 * hand to env: a shell between would drop the functions that bash exports.
 */
#define LIMITS "umask; /bin/cat /proc/self/limits; printf \"" LOGIN_LIMITS_END "\\000\""
/* The positional parameters keep init's status without adding a variable. */
#define SH_SCRIPT "%s\nset -- $?\n/bin/sh -c '" LIMITS "' >&3\n/usr/bin/env -0 >&3\nexit $1\n"
#define ALL       LIMITS "; /usr/bin/env -0"

static const struct dialect dialects[] = {
    {"csh", "%s; /bin/sh -c '{ " ALL "; } >&0'", false, STDIN_FILENO},
    {"tcsh", "%s; /bin/sh -c '{ " ALL "; } >&0'", false, STDIN_FILENO},
    {"fish", "%s; /bin/sh -c '{ " ALL "; } >&3'", true, 3},
    {NULL, SH_SCRIPT, true, 3},
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* An account that may not log in still has the system's profile. */
static const char *usable(const char *path)
{
    const char *name = base_name(path);
    bool usable = path[0] == '/' && access(path, X_OK) == 0 && strcmp(name, "nologin") != 0 &&
                  strcmp(name, "false") != 0;
    return usable ? path : "/bin/sh";
}

static char *format_script(const char *format, const char *init)
{
    const char *at = strstr(format, "%s");
    size_t head = (size_t)(at - format), len = strlen(init), tail = strlen(at + 2);
    char *script = malloc(head + len + tail + 1);
    if (!script)
        return NULL;
    memcpy(script, format, head);
    memcpy(script + head, init, len);
    memcpy(script + head + len, at + 2, tail + 1);
    return script;
}

bool login_shell_init(struct login_shell *s, const char *path, const char *init, bool login)
{
    const struct dialect *d = dialects;
    int n = 0;
    *s = (struct login_shell){.path = NULL};
    s->path = usable(path);
    while (d->shell && strcmp(d->shell, base_name(s->path)) != 0)
        d++;
    s->answer_fd = d->answer_fd;
    s->script = format_script(d->script, *init ? init : ":");
    if (!s->script)
        return false;
    snprintf(s->name, sizeof s->name, "%s%s", login ? "-" : "", base_name(s->path));
    s->argv[n++] = s->name;
    if (login && d->login_flag)
        s->argv[n++] = "-l";
    s->argv[n++] = "-c";
    s->argv[n] = s->script;
    return true;
}

void login_shell_finish(struct login_shell *s)
{
    free(s->script);
    s->script = NULL;
}
