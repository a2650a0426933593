/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/filter.h"
#include "sandbox/landlock.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447 /* Linux 5.14, all architectures */
#endif

#if SANDBOX_SANITIZER
/*
 * LSan clones and traces this process at its end, which no filter here allows. A smaller quarantine
 * of freed memory than 256 MB, so that tests of bounded memory mean something here too.
 */
const char *__asan_default_options(void);
__attribute__((weak)) const char *__asan_default_options(void)
{
    return "detect_leaks=0:quarantine_size_mb=8";
}
#endif

const char *sandbox_role_name(enum sandbox_role role)
{
    return (unsigned)role < SANDBOX_ROLES ? filter_programs[role].role : "?";
}

void sandbox_probe(struct sandbox_host *host)
{
    unsigned action = SECCOMP_RET_TRAP;
    *host = (struct sandbox_host){.landlock_abi = ll_abi()};
    host->seccomp = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, &action) == 0;
    int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
    host->memfd_secret = fd >= 0;
    if (fd >= 0)
        close(fd);
}

int sandbox_drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}}, now[2];
    /* Clearing the inheritable set clears the ambient one. */
    if (syscall(SYS_capset, &header, none) != 0 || syscall(SYS_capget, &header, now) != 0)
        return -1;
    if (memcmp(now, none, sizeof now) == 0)
        return 0;
    errno = EPERM;
    return -1;
}

int sandbox_undumpable(void)
{
    struct rlimit core;
    /* The soft limit alone: a lowered hard limit would follow the commands and their jobs. */
    if (getrlimit(RLIMIT_CORE, &core) != 0)
        return -1;
    core.rlim_cur = 0;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &core) != 0)
        return -1;
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && getrlimit(RLIMIT_CORE, &core) == 0 &&
        core.rlim_cur == 0)
        return 0;
    errno = EPERM;
    return -1;
}

static int missing(char *err, size_t err_size, const char *what)
{
    snprintf(err, err_size, "%s: %s", what, strerror(errno));
    return -1;
}

static int load_filter(enum sandbox_role role, const struct sandbox_access *access,
                       struct sandbox_report *report, char *err, size_t err_size)
{
    size_t plan = role;
    unsigned flags = 0;
    bool logs = access && access->log_violations && role != SANDBOX_EXEC;
    if (role == SANDBOX_EXEC) {
        int guard = guard_load(access, report->landlock_abi);
        if (guard < 0)
            return missing(
                err, err_size,
                "seccomp: the filter that guards the agent's processes cannot be loaded");
        report->instructions = (unsigned)guard;
        if (access && access->allow_namespaces)
            plan = PLAN_EXEC_NAMESPACES;
        /* Before Linux 5.16 a filter without it slows every command by the SSB mitigation. */
        flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    } else if (filter_programs[plan].traps && !logs &&
               filter_catch_violations(filter_programs[plan].role) != 0) {
        return missing(err, err_size, "no handler for SIGSYS");
    }
    const struct filter_program *program = &filter_programs[plan];
    int loaded =
        logs ? filter_load_permissive(program) : filter_load(program->code, program->length, flags);
    if (loaded != 0)
        return missing(err, err_size,
                       "seccomp filters cannot be loaded (is CONFIG_SECCOMP_FILTER missing?)");
    report->seccomp = !logs;
    report->syscalls = program->syscalls;
    report->instructions += program->length;
    report->sanitizer_rows = SANDBOX_SANITIZER;
    return 0;
}

int sandbox_enter(enum sandbox_role role, const struct sandbox_access *access,
                  struct sandbox_report *report, char *err, size_t err_size)
{
    *report = (struct sandbox_report){0};
    if (err_size > 0)
        err[0] = '\0';
    if ((unsigned)role >= SANDBOX_ROLES) {
        errno = EINVAL;
        return missing(err, err_size, "no such role");
    }
    /* gmtime_r and certificate checks open the zone file the first time. */
    tzset();
    bool may_gain = role == SANDBOX_EXEC && access && access->setuid_helpers;
    if (!may_gain && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return missing(err, err_size, "no_new_privs cannot be set");
    if (ll_enter(role, ll_abi(), access, report, err, err_size) != 0)
        return -1;
    return load_filter(role, access, report, err, err_size);
}
