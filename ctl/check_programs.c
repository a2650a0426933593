/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/check.h"

#include <stdio.h>
#include <unistd.h>

#include "config/programs.h"

#define NAME "programs"

/* tw-agent itself stands beside this program. */
static bool check_agent(struct check *c, uid_t user)
{
    char path[LIMIT_PATH + 64], why[2 * LIMIT_PATH];
    char self[LIMIT_PATH];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    snprintf(path, sizeof path, "%.*s/tw-agent", (int)(slash ? slash - self : 0), self);
    if (access(path, X_OK) != 0) {
        findings_add(&c->findings, NAME, FINDING_ERROR,
                     "install all of tw-agent's programs together",
                     "%s is missing or cannot be run", path);
        return false;
    }
    if (path_is_safe(path, user, why, sizeof why))
        return true;
    findings_add(&c->findings, NAME, FINDING_ERROR,
                 user == 0 ? "chown root and chmod go-w it" : "chmod go-w it",
                 "tw-agent could be changed by others: %s", why);
    return false;
}

void check_programs(struct check *c)
{
    struct programs programs;
    char what[2 * LIMIT_PATH];
    const char *remedy;
    uid_t user = geteuid();
    bool good = check_agent(c, user);
    if (!programs_locate(&programs)) {
        findings_add(&c->findings, NAME, FINDING_ERROR, "mount /proc",
                     "this program's own path is not known");
        return;
    }
    for (size_t i = 0; i < PROGRAMS; i++) {
        if (program_judge(&programs, program_names[i], user, what, sizeof what, &remedy) ==
            PROGRAM_GOOD)
            continue;
        findings_add(&c->findings, NAME, FINDING_ERROR, remedy, "%s", what);
        good = false;
    }
    if (good)
        findings_add(&c->findings, NAME, FINDING_OK, NULL, "%s", programs.directory);
}
