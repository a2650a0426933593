/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/arguments.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "config/instances.h"
#include "config/token_read.h"
#include "ctl/ctl.h"
#include "sandbox/sandbox.h"

static void wipe(void *context, char *value)
{
    (void)context;
    explicit_bzero(value, strlen(value));
}

/* A name of an instance becomes --config of its file; anything else stays a connection ID. */
static bool find_instance(struct options *o)
{
    char path[LIMIT_PATH + 1];
    if (!o->connection_id || o->values[OPT_CONFIG].text ||
        !instance_file(o->connection_id, ".conf", geteuid() == 0, path, sizeof path) ||
        access(path, F_OK) != 0)
        return true;
    o->connection_id = NULL;
    return options_set(o, OPT_CONFIG, LEVEL_OPTION, 0, path);
}

static int take(struct options *o, options_secret *secret, void *context, int argc, char **argv)
{
    if (sandbox_undumpable() != 0)
        return CTL_PROBLEM;
    if (token_source_take_environment(environ, secret, context) &&
        !options_set(o, OPT_ACCESS_TOKEN, LEVEL_VARIABLE, 0, ""))
        return CTL_PROBLEM;
    if (options_read_arguments(o, secret, context, argc, argv) != 0)
        return CTL_USAGE;
    return find_instance(o) && options_read_environment(o) == 0 ? CTL_WELL : CTL_PROBLEM;
}

int arguments_take(struct options *o, int argc, char **argv)
{
    return take(o, wipe, NULL, argc, argv);
}

static void keep(void *page, char *value)
{
    token_take(page, value);
}

int arguments_take_token(struct options *o, struct secret *page, int argc, char **argv)
{
    return take(o, keep, page, argc, argv);
}

void arguments_forget(struct options *o, enum option_id id)
{
    free(o->values[id].text);
    o->values[id] = (struct option_value){0};
}
