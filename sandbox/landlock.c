/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/rows.h"

#ifndef SYS_landlock_create_ruleset /* Linux 5.13, all architectures */
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

#define LL_ABI_KNOWN 7 /* newer kernels are taken for this */
#define PORT_DNS     53

/* What a regular file can be granted; the others are EINVAL there. */
#define FILE_RIGHTS                                                                                \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
     LL_FS_TRUNCATE)
#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* Regular files and directories; no devices, sockets, pipes or links, and nothing to execute. */
#define STATE_RIGHTS                                                                               \
    (READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                 \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |  \
     LANDLOCK_ACCESS_FS_REFER | LL_FS_TRUNCATE)

/* A file is made under another name and renamed. */
#define REPLACE_RIGHTS                                                                             \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG)

struct net_port_rule {
    uint64_t rights;
    uint64_t port; /* host byte order */
};

int ll_abi(void)
{
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return 0;
    return abi > LL_ABI_KNOWN ? LL_ABI_KNOWN : (int)abi;
}

uint64_t ll_all_fs(int abi)
{
    static const uint64_t last[] = {0,
                                    LANDLOCK_ACCESS_FS_MAKE_SYM,
                                    LANDLOCK_ACCESS_FS_REFER,
                                    LL_FS_TRUNCATE,
                                    LL_FS_TRUNCATE,
                                    LL_FS_IOCTL_DEV};
    size_t i = abi < 0 ? 0 : abi > 5 ? 5 : (size_t)abi;
    return last[i] == 0 ? 0 : (last[i] << 1) - 1;
}

int ll_create(int abi, const struct ll_attr *attr)
{
    struct ll_attr a = {.fs = attr->fs & ll_all_fs(abi)};
    size_t size = sizeof a.fs;
    if (abi >= LL_ABI_NET) {
        a.net = attr->net;
        size = offsetof(struct ll_attr, scoped);
    }
    if (abi >= LL_ABI_SCOPES) {
        a.scoped = attr->scoped;
        size = sizeof a;
    }
    return (int)syscall(SYS_landlock_create_ruleset, &a, size, 0U);
}

int ll_allow(int ruleset, int fd, uint64_t rights)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
    return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U);
}

int ll_allow_connect(int ruleset, uint16_t port)
{
    struct net_port_rule rule = {.rights = LL_NET_CONNECT_TCP, .port = port};
    return (int)syscall(SYS_landlock_add_rule, ruleset, LL_RULE_NET_PORT, &rule, 0U);
}

int ll_restrict(int ruleset)
{
    return (int)syscall(SYS_landlock_restrict_self, ruleset, 0U);
}

static int allow_path(int ruleset, const char *path, uint64_t rights)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return 0; /* absent, or not ours to see: nothing to allow */
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rights &= FILE_RIGHTS;
    int rc = ll_allow(ruleset, fd, rights);
    int saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

static int allow_all(int ruleset, int abi, enum sandbox_role role,
                     const struct sandbox_access *access)
{
    uint64_t reading = READ_RIGHTS;
    if (role == SANDBOX_LAUNCHER)
        reading |= LANDLOCK_ACCESS_FS_EXECUTE;
    if (access->write_dirfd >= 0 &&
        ll_allow(ruleset, access->write_dirfd, STATE_RIGHTS & ll_all_fs(abi)) != 0)
        return -1;
    for (size_t i = 0; i < access->n_replace_dirfds; i++)
        if (ll_allow(ruleset, access->replace_dirfds[i], REPLACE_RIGHTS) != 0)
            return -1;
    if (access->read_dirfd >= 0 && ll_allow(ruleset, access->read_dirfd, reading) != 0)
        return -1;
    for (const char *const *p = access->read_paths; p && *p; p++)
        if (allow_path(ruleset, *p, reading) != 0)
            return -1;
    /* A sanitizer's runtime reads its memory map when a program starts. */
    if (SANDBOX_SANITIZER && role == SANDBOX_LAUNCHER && allow_path(ruleset, "/proc", reading) != 0)
        return -1;
    if (abi < LL_ABI_NET || access->n_connect_ports == 0)
        return 0;
    for (size_t i = 0; i < access->n_connect_ports; i++)
        if (ll_allow_connect(ruleset, access->connect_ports[i]) != 0)
            return -1;
    return ll_allow_connect(ruleset, PORT_DNS);
}

static struct ll_attr role_rights(enum sandbox_role role, int abi)
{
    /* Commands keep files and network: one handled right would make mount and unshare fail for
     * them. */
    if (role == SANDBOX_EXEC)
        return (struct ll_attr){.scoped = LL_SCOPE_ABSTRACT | LL_SCOPE_SIGNAL};
    return (struct ll_attr){.fs = ll_all_fs(abi),
                            .net = LL_NET_BIND_TCP | LL_NET_CONNECT_TCP,
                            .scoped = LL_SCOPE_ABSTRACT | LL_SCOPE_SIGNAL};
}

int ll_enter(enum sandbox_role role, int abi, const struct sandbox_access *access,
             struct sandbox_report *report, char *err, size_t err_size)
{
    static const struct sandbox_access nothing = {.write_dirfd = -1, .read_dirfd = -1};
    int ruleset = -1;
    bool shared = role == SANDBOX_EXEC && access && access->setuid_helpers;
    /* Commands have domains of their own; exec's would add nothing but its scopes. */
    if (abi == 0 || (role == SANDBOX_EXEC && !shared && abi < LL_ABI_SCOPES))
        return 0;
    /* A kernel that refuses a right of its own ABI (a vendor's backport) may know an earlier one.
     */
    for (; abi > 0; abi--) {
        struct ll_attr attr = role_rights(role, abi);
        ruleset = shared ? ll_command_ruleset(abi, SANDBOX_ISOLATE_FULL) : ll_create(abi, &attr);
        if (ruleset >= 0 || errno != EINVAL)
            break;
    }
    if (ruleset < 0 ||
        allow_all(ruleset, abi, role, access && role != SANDBOX_EXEC ? access : &nothing) != 0 ||
        ll_restrict(ruleset) != 0) {
        snprintf(err, err_size, "Landlock (ABI %d) cannot be enforced: %s", abi, strerror(errno));
        if (ruleset >= 0)
            close(ruleset);
        return -1;
    }
    close(ruleset);
    report->landlock_abi = abi;
    report->landlock_scoped = abi >= LL_ABI_SCOPES;
    return 0;
}
