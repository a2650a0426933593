/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/deny/deny_command.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IOPRIO_WHO_PROCESS 1 /* ioprio_set(2) */
#define IOPRIO_WHO_USER    3
#define IOPRIO_IDLE        (3 << 13)

static long result(long rc)
{
    return rc < 0 ? -errno : 0;
}

long tkill_exec(const struct scene *s)
{
    return result(syscall(SYS_tkill, s->exec, 0));
}

long queue_to_thread_of_exec(const struct scene *s)
{
    siginfo_t info = {.si_code = SI_QUEUE};
    return result(syscall(SYS_rt_tgsigqueueinfo, s->exec, s->exec, 0, &info));
}

long param_exec(const struct scene *s)
{
    struct sched_param p = {.sched_priority = 0};
    return result(sched_setparam(s->exec, &p));
}

long attr_exec(const struct scene *s)
{
    uint32_t attr[12] = {sizeof attr, SCHED_BATCH}; /* struct sched_attr: size, policy */
    return result(syscall(SYS_sched_setattr, s->exec, attr, 0));
}

long disk_priority_exec(const struct scene *s)
{
    return result(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, s->exec, IOPRIO_IDLE));
}

long disk_priority_user(const struct scene *s)
{
    (void)s;
    /* Of a user who has no process: whoever may ask finds none. */
    long rc = result(syscall(SYS_ioprio_set, IOPRIO_WHO_USER, 54321, IOPRIO_IDLE));
    return rc == -ESRCH ? 0 : rc;
}

long move_pages_of_exec(const struct scene *s)
{
    return result(syscall(SYS_move_pages, s->exec, 0UL, NULL, NULL, NULL, 0));
}

long migrate_pages_of_exec(const struct scene *s)
{
    unsigned long node = 1;
    return result(syscall(SYS_migrate_pages, s->exec, 8UL, &node, &node));
}
