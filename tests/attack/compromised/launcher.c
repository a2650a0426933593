/* SPDX-License-Identifier: Apache-2.0 */
/* A launcher that obeys before it serves. It hears nothing from outside: the order has to come
 * from its configuration, as the user name for a proxy. */
#include <string.h>

#include "net/launcher/launcher.h"
#include "tests/attack/compromised/puppet.h"

int __real_launcher_run(struct launcher *l, int parent, const struct sandbox_report *report);
int __wrap_launcher_run(struct launcher *l, int parent, const struct sandbox_report *report);

int __wrap_launcher_run(struct launcher *l, int parent, const struct sandbox_report *report)
{
    static struct puppet puppet = {.role = "launcher", .handover = -1};
    puppet_obey(&puppet, (struct span){l->proxy_auth, strcspn(l->proxy_auth, ":")});
    return __real_launcher_run(l, parent, report);
}
