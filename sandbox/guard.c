/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exec's second filter. In user mode the agent's processes have the commands' user id, and neither
 * Landlock nor being non-dumpable stops a command from changing their limits and scheduling. It is
 * written by hand because it compares with process ids known at run time, and because libseccomp
 * cannot say "not equal" about 32 bits.
 */
#include "sandbox/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/ioctl.h>
#include <asm/sockios.h>
#include <unistd.h>

#define IOPRIO_WHO_USER_ID 3 /* ioprio_set(2) */
#define SCOPED_SIGNALS_ABI 6 /* from here on Landlock itself keeps signals inside a domain */
#define GUARD_IDS          24
#define GUARD_CODE         1024

enum guard_kind {
    GUARD_CALL,   /* every such call, as if the kernel did not know it */
    GUARD_OTHERS, /* anything but 0, which means the caller */
    GUARD_VALUE,  /* one value */
    GUARD_AGENT,  /* the agent's processes */
    GUARD_SIGNAL  /* the agent's processes, their groups, and everyone (-1) */
};

struct guard_row {
    int number;
    unsigned argument;
    enum guard_kind kind;
    uint32_t value;
    bool without_scopes; /* needed only where no signal scope lies between exec and commands */
    const char *reason;
};

#define G(call) __SNR_##call

static const struct guard_row rows[] = {
    {G(prlimit64), 0, GUARD_OTHERS, 0, false,
     "a CPU limit of 1 s kills the agent; loses prlimit --pid of one's own"},
    {G(setpriority), 1, GUARD_OTHERS, 0, false, "slows the agent; loses renice of one's own"},
    {G(setpriority), 0, GUARD_VALUE, PRIO_USER, false,
     "slows the agent: all processes of the user"},
    {G(ioprio_set), 1, GUARD_OTHERS, 0, false, "slows the agent's disk"},
    {G(ioprio_set), 0, GUARD_VALUE, IOPRIO_WHO_USER_ID, false, "slows the agent's disk"},
    {G(sched_setscheduler), 0, GUARD_OTHERS, 0, false, "SCHED_IDLE starves the agent"},
    {G(sched_setparam), 0, GUARD_OTHERS, 0, false, "starves the agent"},
    {G(sched_setattr), 0, GUARD_OTHERS, 0, false, "SCHED_IDLE starves the agent"},
    {G(migrate_pages), 0, GUARD_OTHERS, 0, false, "moves the agent's memory"},
    {G(move_pages), 0, GUARD_OTHERS, 0, false, "moves the agent's memory"},
    /* By id alone: threads name each other here. */
    {G(sched_setaffinity), 0, GUARD_AGENT, 0, false, "puts the agent on one busy processor"},
    {G(pidfd_open), 0, GUARD_AGENT, 0, false, "a handle for pidfd_send_signal"},
    {G(pidfd_send_signal), 0, GUARD_CALL, 0, true,
     "any directory /proc/PID is a handle, whose process a filter cannot see"},
    {G(kill), 0, GUARD_SIGNAL, 0, false, "exec shares its domain with commands that share one"},
    {G(tkill), 0, GUARD_AGENT, 0, false, "as kill"},
    {G(tgkill), 0, GUARD_AGENT, 0, false, "as kill"},
    {G(tgkill), 1, GUARD_AGENT, 0, false, "as kill"},
    {G(rt_sigqueueinfo), 0, GUARD_AGENT, 0, false, "as kill"},
    {G(rt_tgsigqueueinfo), 0, GUARD_AGENT, 0, false, "as kill"},
    {G(fcntl), 1, GUARD_VALUE, F_SETOWN, true, "a descriptor that sends signals to a process"},
    {G(fcntl), 1, GUARD_VALUE, F_SETOWN_EX, true, "a descriptor that sends signals to a process"},
    {G(ioctl), 1, GUARD_VALUE, FIOSETOWN, true, "a descriptor that sends signals to a process"},
    {G(ioctl), 1, GUARD_VALUE, SIOCSPGRP, true, "a descriptor that sends signals to a process"},
};

struct program {
    struct sock_filter code[GUARD_CODE];
    unsigned short n;
};

struct ids {
    uint32_t id[GUARD_IDS];
    size_t n;
};

static void put(struct program *p, unsigned code, unsigned yes, unsigned no, uint32_t k)
{
    if (p->n < GUARD_CODE)
        p->code[p->n++] = (struct sock_filter){(uint16_t)code, (uint8_t)yes, (uint8_t)no, k};
}

static void deny_if_equal(struct program *p, uint32_t value)
{
    put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value);
    put(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM);
}

static void deny_each(struct program *p, const struct ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        deny_if_equal(p, ids->id[i]);
}

/* Low 32 bits: these arguments are ints to the kernel. */
static uint32_t offset_of_argument(unsigned i)
{
    uint32_t low = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0;
    return (uint32_t)(offsetof(struct seccomp_data, args) + i * sizeof(uint64_t)) + low;
}

static void put_row(struct program *p, const struct guard_row *row, const struct ids *agent,
                    const struct ids *signalled)
{
    put(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
    unsigned short skip = p->n;
    put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, (uint32_t)row->number);
    put(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, offset_of_argument(row->argument));
    switch (row->kind) {
    case GUARD_CALL:
        put(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS);
        break;
    case GUARD_OTHERS:
        put(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0);
        put(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM);
        break;
    case GUARD_VALUE:
        deny_if_equal(p, row->value);
        break;
    case GUARD_SIGNAL:
        deny_each(p, signalled);
        deny_if_equal(p, UINT32_MAX);
        break;
    case GUARD_AGENT:
        deny_each(p, agent);
        break;
    }
    p->code[skip].jf = (uint8_t)(p->n - skip - 1);
}

static int add_id(struct ids *ids, pid_t id)
{
    /* 0: the parent is in another namespace. -1 is in every row that it matters to. */
    if (id == 0 || id == -1)
        return 0;
    if (ids->n == GUARD_IDS) {
        errno = E2BIG;
        return -1;
    }
    ids->id[ids->n++] = (uint32_t)id;
    return 0;
}

static int collect(struct ids *agent, struct ids *signalled, const struct sandbox_access *access)
{
    int bad = add_id(agent, getpid()) + add_id(agent, getppid());
    for (size_t i = 0; access && i < access->n_guard_pids; i++)
        bad += add_id(agent, access->guard_pids[i]);
    *signalled = *agent;
    bad += add_id(signalled, -getpgrp()) + add_id(signalled, -getpgid(getppid()));
    return bad ? -1 : 0;
}

int guard_load(const struct sandbox_access *access, int landlock_abi)
{
    struct ids agent = {.n = 0}, signalled;
    struct program p = {.n = 0};
    bool scoped =
        landlock_abi >= SCOPED_SIGNALS_ABI &&
        !(access && (access->setuid_helpers || access->isolation != SANDBOX_ISOLATE_FULL));
    if (collect(&agent, &signalled, access) != 0)
        return -1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].number >= 0 && !(rows[i].without_scopes && scoped))
            put_row(&p, &rows[i], &agent, &signalled);
    put(&p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
    if (p.n == GUARD_CODE) {
        errno = E2BIG;
        return -1;
    }
    return filter_load(p.code, p.n, SECCOMP_FILTER_FLAG_SPEC_ALLOW) == 0 ? p.n : -1;
}
