/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/reading.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe/target.h"

#define SECCOMP_FILTERED 2 /* proc(5): Seccomp */

static enum reading judge(long long value, bool good)
{
    return value < 0 ? READING_UNSEEN : good ? READING_GOOD : READING_BAD;
}

enum reading reading_user(pid_t pid)
{
    long long uid = target_status(pid, "Uid:", 10);
    return judge(uid, uid != (long long)getuid());
}

enum reading reading_capabilities(pid_t pid)
{
    static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapAmb:"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        long long set = target_status(pid, sets[i], 16);
        if (set != 0)
            return judge(set, false);
    }
    return READING_GOOD;
}

enum reading reading_filters(pid_t pid)
{
    long long seccomp = target_status(pid, "Seccomp:", 10);
    long long no_new_privs = target_status(pid, "NoNewPrivs:", 10);
    if (no_new_privs < 0)
        return READING_UNSEEN;
    return judge(seccomp, seccomp == SECCOMP_FILTERED && no_new_privs == 1);
}

enum reading reading_dumpable(pid_t pid)
{
    char path[64];
    struct stat st;
    long long uid = target_status(pid, "Uid:", 10);
    snprintf(path, sizeof path, "/proc/%d/auxv", (int)pid);
    if (uid < 0 || stat(path, &st) != 0)
        return READING_UNSEEN;
    /* proc(5): files of a process that is not dumpable belong to root. */
    return judge(uid, (long long)st.st_uid != uid);
}
