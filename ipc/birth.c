/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/birth.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"

static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1,
                                  SIGUSR2, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU};
    sigset_t none;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void birth_raise_limits(void)
{
    static const int resources[] = {RLIMIT_FSIZE, RLIMIT_CPU};
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        struct rlimit r;
        if (getrlimit(resources[i], &r) != 0 || r.rlim_cur == r.rlim_max)
            continue;
        r.rlim_cur = r.rlim_max;
        setrlimit(resources[i], &r);
    }
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGXCPU, SIG_IGN);
}

void birth_receive(const char *program, int n_fds, unsigned direction, enum ipc_type type,
                   struct packet *p)
{
    const char *why = NULL;
    if (!fds_is_channel(BIRTH_FD_FIRST)) {
        fprintf(stderr, "%s is a part of tw-agent and is started by it; run tw-agent instead\n",
                program);
        exit(2);
    }
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || fds_fill_standard() != 0 ||
        fds_close_from(BIRTH_FD_FIRST + n_fds) != 0) {
        log_error("%s: cannot prepare its descriptors", program);
        exit(BIRTH_FAILED);
    }
    ignore_signals();
    birth_raise_limits();
    if (packet_expect(BIRTH_FD_FIRST, p, direction, PHASE_CONFIG, type, &why) != 0) {
        log_error("%s: no configuration from its parent: %s", program, why);
        exit(BIRTH_FAILED);
    }
}

int birth_become(uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups)
{
    uid_t r, e, s;
    if (geteuid() != 0 && getuid() == uid)
        return 0;
    if (setgroups(n_groups, groups) != 0 || setresgid(gid, gid, gid) != 0 ||
        setresuid(uid, uid, uid) != 0)
        return -1;
    if (getresuid(&r, &e, &s) != 0 || r != uid || e != uid || s != uid ||
        (uid != 0 && setuid(0) == 0)) {
        errno = EPERM;
        return -1;
    }
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
