/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reduced OPTIONS -- PROGRAM ARGUMENTS: runs a program as under an older kernel, as root. A filter
 * answers what that kernel would not know; a helper outside judges Landlock rulesets, whose content
 * a filter cannot see.
 *   --landlock N      Landlock ABI N; 0: built in, but not enabled
 *   --refuse-fs HEX   refuses rulesets with these file rights, as a backport that left one out may
 *   --missing NAMES   these system calls are unknown; separated by commas
 *   --no-seal-noexec  memfd_create knows no MFD_NOEXEC_SEAL (before Linux 6.3)
 *   --no-actions      seccomp cannot tell which actions it has
 *   --linux-4.18      all of this, and what else RHEL 8 lacks
 *   --user NAME       becomes this user first
 * PROGRAM keeps the process's id. Code 77: not possible here.
 */
#include "tests/attack/reduced/reduced.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CODE_MAX       256
#define SKIPPED        77
#define MFD_NEW_FLAGS  0x18U /* MFD_NOEXEC_SEAL | MFD_EXEC */
#define RULE_NET_PORT  2
#define ABI_WITH_PORTS 4
#define LANDLOCK_UNSET (-1)
#define LINUX_4_18_GAPS                                                                            \
    "landlock_create_ruleset,landlock_add_rule,landlock_restrict_self,memfd_secret,pidfd_open,"    \
    "pidfd_send_signal,pidfd_getfd,clone3,close_range,openat2,faccessat2,epoll_pwait2,"            \
    "process_madvise,process_mrelease,mount_setattr,move_mount,fsopen,fsmount,open_tree,"          \
    "io_uring_setup,cachestat,fchmodat2,futex_waitv,set_mempolicy_home_node"

struct kernel {
    struct rules rules;
    bool no_new_seals, no_actions;
    const char *missing[2];
    const char *user;
};

struct code {
    struct sock_filter line[CODE_MAX];
    unsigned short n;
};

static void die(const char *what)
{
    fprintf(stderr, "reduced: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void put(struct code *c, unsigned code, unsigned yes, unsigned no, uint32_t k)
{
    if (c->n == CODE_MAX)
        die("too long a filter");
    c->line[c->n++] = (struct sock_filter){(uint16_t)code, (uint8_t)yes, (uint8_t)no, k};
}

static void load(struct code *c, size_t offset)
{
    put(c, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

/* For this call alone, answers as said. */
static void answer(struct code *c, int call, uint32_t with)
{
    load(c, offsetof(struct seccomp_data, nr));
    put(c, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)call);
    put(c, BPF_RET | BPF_K, 0, 0, with);
}

/* The same where an argument has one of these bits (any: compared by jump). */
static void answer_if(struct code *c, int call, unsigned argument, unsigned jump, uint32_t value,
                      uint32_t with)
{
    load(c, offsetof(struct seccomp_data, nr));
    put(c, BPF_JMP | BPF_JEQ | BPF_K, 0, 3, (uint32_t)call);
    load(c, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
    put(c, BPF_JMP | jump | BPF_K, 0, 1, value);
    put(c, BPF_RET | BPF_K, 0, 0, with);
}

static uint32_t error(int number)
{
    return SECCOMP_RET_ERRNO | (uint32_t)number;
}

static void put_missing(struct code *c, const char *names)
{
    while (names && *names) {
        char name[64];
        size_t n = strcspn(names, ",");
        snprintf(name, sizeof name, "%.*s", (int)n, names);
        int number = seccomp_syscall_resolve_name(name);
        if (number == __NR_SCMP_ERROR) {
            fprintf(stderr, "reduced: there is no system call %s\n", name);
            exit(1);
        }
        if (number >= 0)
            answer(c, number, error(ENOSYS));
        names += n + (names[n] == ',');
    }
}

static void translate(struct code *c, const struct kernel *k)
{
    for (size_t i = 0; i < 2; i++)
        put_missing(c, k->missing[i]);
    if (k->no_new_seals)
        answer_if(c, SYS_memfd_create, 1, BPF_JSET, MFD_NEW_FLAGS, error(EINVAL));
    if (k->no_actions)
        answer_if(c, SYS_seccomp, 0, BPF_JEQ, SECCOMP_GET_ACTION_AVAIL, error(EOPNOTSUPP));
    if (k->rules.abi == 0) {
        answer(c, SYS_landlock_create_ruleset, error(EOPNOTSUPP));
        answer(c, SYS_landlock_add_rule, error(EOPNOTSUPP));
        answer(c, SYS_landlock_restrict_self, error(EOPNOTSUPP));
    } else if (k->rules.abi != LANDLOCK_UNSET) {
        answer(c, SYS_landlock_create_ruleset, SECCOMP_RET_USER_NOTIF);
        if (k->rules.abi < ABI_WITH_PORTS)
            answer_if(c, SYS_landlock_add_rule, 1, BPF_JEQ, RULE_NET_PORT, error(EINVAL));
    }
    put(c, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
}

/* Not our child, so that the program has none that it does not know. */
static void start_judge(int channel, const struct rules *rules)
{
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid > 0) {
        waitpid(pid, NULL, 0);
        return;
    }
    if (setsid() < 0 || (pid = fork()) != 0)
        _exit(pid < 0);
    _exit(judge(channel, rules));
}

static void enter(const struct kernel *k)
{
    struct code c = {.n = 0};
    int pair[2];
    bool judged = k->rules.abi > 0;
    translate(&c, k);
    struct sock_fprog program = {c.n, c.line};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        die("socketpair");
    if (judged)
        start_judge(pair[1], &k->rules);
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                            judged ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0UL, &program);
    if (listener < 0)
        die("the filter");
    if (judged && judge_give(pair[0], (int)listener) != 0)
        die("the helper");
    if (judged)
        close((int)listener);
    close(pair[0]);
    close(pair[1]);
}

static void become(const char *name)
{
    const struct passwd *p = name ? getpwnam(name) : NULL;
    if (!name)
        return;
    if (!p || initgroups(name, p->pw_gid) != 0 || setresgid(p->pw_gid, p->pw_gid, p->pw_gid) != 0 ||
        setresuid(p->pw_uid, p->pw_uid, p->pw_uid) != 0)
        die(name);
}

static bool take_option(struct kernel *k, const char *name, const char *value)
{
    if (strcmp(name, "--landlock") == 0)
        k->rules.abi = atoi(value);
    else if (strcmp(name, "--refuse-fs") == 0)
        k->rules.refused_fs = strtoull(value, NULL, 16);
    else if (strcmp(name, "--missing") == 0)
        k->missing[0] = value;
    else if (strcmp(name, "--user") == 0)
        k->user = value;
    else
        return false;
    return true;
}

static bool take_flag(struct kernel *k, const char *name)
{
    bool rhel8 = strcmp(name, "--linux-4.18") == 0;
    if (rhel8)
        k->missing[1] = LINUX_4_18_GAPS;
    else if (strcmp(name, "--no-seal-noexec") != 0 && strcmp(name, "--no-actions") != 0)
        return false;
    k->no_new_seals |= rhel8 || strcmp(name, "--no-seal-noexec") == 0;
    k->no_actions |= strcmp(name, "--no-actions") == 0;
    return true;
}

int main(int argc, char **argv)
{
    struct kernel k = {.rules = {.abi = LANDLOCK_UNSET}};
    int i = 1;
    while (i < argc && strcmp(argv[i], "--") != 0)
        if (take_flag(&k, argv[i]))
            i++;
        else if (i + 1 < argc && take_option(&k, argv[i], argv[i + 1]))
            i += 2;
        else
            break;
    if (i + 1 >= argc || strcmp(argv[i], "--") != 0) {
        fprintf(stderr, "usage: reduced OPTIONS -- PROGRAM ARGUMENTS\n");
        return 2;
    }
    if (geteuid() != 0) {
        printf("SKIPPED: only root can look into what is judged\n");
        return SKIPPED;
    }
    if (k.rules.abi > real_abi()) {
        printf("SKIPPED: this kernel has Landlock ABI %d\n", real_abi());
        return SKIPPED;
    }
    enter(&k);
    become(k.user);
    execvp(argv[i + 1], argv + i + 1);
    die(argv[i + 1]);
}
