/* SPDX-License-Identifier: Apache-2.0 */
#include "config/state_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"

#define SYSTEM_DIRECTORY "/var/lib/tw-agent"

static bool default_path(const struct users *u, bool system_mode, char *out, size_t size)
{
    const char *xdg = getenv("XDG_STATE_HOME");
    int n;
    if (system_mode)
        n = snprintf(out, size, SYSTEM_DIRECTORY);
    else if (xdg && xdg[0] == '/')
        n = snprintf(out, size, "%s/tw-agent", xdg);
    else
        n = u->home[0] ? snprintf(out, size, "%s/.local/state/tw-agent", u->home) : -1;
    return n > 0 && (size_t)n < size;
}

bool state_place(const struct options *o, const struct settings *s, const struct users *u,
                 char *out, size_t size)
{
    const char *given = settings_text(o, OPT_STATE_DIR);
    return *given ? span_copy(out, size, span_of(given))
                  : default_path(u, s->system_mode, out, size);
}

bool state_instance(const char *connection_id, char *out, size_t size)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    return text_state_name(out, size, connection_id, host);
}

bool state_is_private(const struct stat *st, const struct users *u)
{
    return st->st_uid == u->agent.uid && !(st->st_mode & (S_IWGRP | S_IWOTH));
}
