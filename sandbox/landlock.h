/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock by its kernel interface. Rights newer than the installed kernel headers have names of
 * ours. */
#ifndef TW_SANDBOX_LANDLOCK_H
#define TW_SANDBOX_LANDLOCK_H

#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>

#include "sandbox/sandbox.h"

#define LL_FS_TRUNCATE     (1ULL << 14) /* ABI 3, Linux 6.2 */
#define LL_FS_IOCTL_DEV    (1ULL << 15) /* ABI 5, Linux 6.10 */
#define LL_NET_BIND_TCP    (1ULL << 0)  /* ABI 4, Linux 6.7 */
#define LL_NET_CONNECT_TCP (1ULL << 1)  /* ABI 4 */
#define LL_SCOPE_ABSTRACT  (1ULL << 0)  /* ABI 6, Linux 6.12 */
#define LL_SCOPE_SIGNAL    (1ULL << 1)  /* ABI 6 */
#define LL_RULE_NET_PORT   2            /* ABI 4 */

#define LL_ABI_REFER  2
#define LL_ABI_NET    4
#define LL_ABI_SCOPES 6

struct ll_attr {
    uint64_t fs;
    uint64_t net;    /* ABI 4 */
    uint64_t scoped; /* ABI 6 */
};

/* The kernel's ABI; 0: no Landlock. */
int ll_abi(void);

/* A ruleset of these rights, cut to what the ABI knows. A descriptor (close-on-exec), or -1 with
 * errno. */
int ll_create(int abi, const struct ll_attr *attr);

/* Allows rights below a directory, or on a file. 0, or -1 with errno. */
int ll_allow(int ruleset, int fd, uint64_t rights);

/* Allows connecting to a TCP port. 0, or -1 with errno. */
int ll_allow_connect(int ruleset, uint16_t port);

/* Enters a domain of the ruleset; async-signal-safe. 0, or -1 with errno. */
int ll_restrict(int ruleset);

/* Every file right that the ABI knows. */
uint64_t ll_all_fs(int abi);

/*
 * Enters the role's domain at this ABI (0: does nothing) and fills the report's Landlock part. 0,
 * or -1 with a line in err.
 */
int ll_enter(enum sandbox_role role, int abi, const struct sandbox_access *access,
             struct sandbox_report *report, char *err, size_t err_size);

/* The ruleset of commands at this ABI (1 or more). A descriptor, or -1 with errno. */
int ll_command_ruleset(int abi, enum sandbox_isolation isolation);

#endif
