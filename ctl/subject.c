/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/subject.h"

#include <string.h>

#include "base/log.h"
#include "config/config.h"
#include "ctl/arguments.h"
#include "ctl/ctl.h"

int subject_take(struct subject *s, int argc, char **argv)
{
    *s = (struct subject){.settings.connection_id = NULL};
    if (start_state_record(&s->start) != 0)
        return CTL_PROBLEM;
    return arguments_take(&s->options, argc, argv);
}

bool subject_read(struct subject *s)
{
    struct options *o = &s->options;
    if (config_read(o) != 0 || settings_take(&s->settings, o) != 0 ||
        users_find(&s->users, &s->settings, o) != 0)
        return false;
    facts_take(&s->facts, &s->settings, &s->users);
    return true;
}

void subject_finish(struct subject *s)
{
    explicit_bzero(&s->settings.proxy, sizeof s->settings.proxy);
    options_finish(&s->options);
    users_finish(&s->users);
}
