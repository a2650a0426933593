/* SPDX-License-Identifier: Apache-2.0 */
/* Who the processes become: the agent's user, the network programs' user, the commands' user. */
#ifndef TW_CONFIG_USERS_H
#define TW_CONFIG_USERS_H

#include <sys/types.h>

#include "base/limits.h"
#include "config/settings.h"

/* exec_config carries no more. */
#define USERS_GROUPS_MAX 8192

struct identity {
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    size_t n_groups;
};

struct users {
    struct identity agent; /* parent and core */
    struct identity net;
    struct identity commands;
    char name[LIMIT_USER + 1];     /* of the commands' user */
    char reported[LIMIT_USER + 1]; /* what Tower is told */
    char home[LIMIT_PATH + 1];
    char shell[LIMIT_PATH + 1];
};

/* Looks the users up and refuses unsafe ones. 0, or an exit code after an error is logged. */
int users_find(struct users *u, const struct settings *s, const struct options *o);

/* The work directory: ~ is the home of the commands' user. out is returned; empty: too long. */
const char *users_work_dir(const struct users *u, const struct options *o, char *out, size_t size);

void users_finish(struct users *u);

#endif
