/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The table's first column, as fs/proc/base.c of Linux prints it. */
static const struct {
    const char *name;
    int resource;
} names[] = {
    {"Max cpu time", RLIMIT_CPU},
    {"Max file size", RLIMIT_FSIZE},
    {"Max data size", RLIMIT_DATA},
    {"Max stack size", RLIMIT_STACK},
    {"Max core file size", RLIMIT_CORE},
    {"Max resident set", RLIMIT_RSS},
    {"Max processes", RLIMIT_NPROC},
    {"Max open files", RLIMIT_NOFILE},
    {"Max locked memory", RLIMIT_MEMLOCK},
    {"Max address space", RLIMIT_AS},
    {"Max file locks", RLIMIT_LOCKS},
    {"Max pending signals", RLIMIT_SIGPENDING},
    {"Max msgqueue size", RLIMIT_MSGQUEUE},
    {"Max nice priority", RLIMIT_NICE},
    {"Max realtime priority", RLIMIT_RTPRIO},
    {"Max realtime timeout", RLIMIT_RTTIME},
};

/* A number or "unlimited", and where it ends. */
static const char *parse_limit(const char *at, rlim_t *value)
{
    static const char unlimited[] = "unlimited";
    char *end;
    at += strspn(at, " ");
    if (strncmp(at, unlimited, sizeof unlimited - 1) == 0) {
        *value = RLIM_INFINITY;
        return at + sizeof unlimited - 1;
    }
    if (*at < '0' || *at > '9')
        return NULL;
    *value = strtoull(at, &end, 10);
    return end;
}

static void parse_line(struct shell_limits *l, const char *line)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(names[i].name);
        struct rlimit value;
        const char *at;
        if (strncmp(line, names[i].name, len) != 0 || line[len] != ' ' ||
            !(at = parse_limit(line + len, &value.rlim_cur)) || *at != ' ' ||
            !parse_limit(at, &value.rlim_max) || value.rlim_cur > value.rlim_max)
            continue;
        l->of[names[i].resource] = value;
        l->known[names[i].resource] = true;
    }
}

bool shell_limits_parse(struct shell_limits *l, struct span text)
{
    char *copy = span_dup(text), *rest = copy, *line = strsep(&rest, "\n"), *end;
    *l = (struct shell_limits){0};
    unsigned long mask = line ? strtoul(line, &end, 8) : 0;
    bool ok = line && *line >= '0' && *line <= '7' && *end == '\0' && mask <= 0777;
    l->umask = (unsigned)mask;
    while (ok && (line = strsep(&rest, "\n")))
        parse_line(l, line);
    free(copy);
    return ok && l->known[RLIMIT_NOFILE];
}
