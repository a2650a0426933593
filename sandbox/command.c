/* SPDX-License-Identifier: Apache-2.0 */
/* The domain of a command: two sibling domains cannot look into each other, whatever else they
 * handle. */
#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static struct ll_attr command_rights(int abi, enum sandbox_isolation isolation)
{
    /* Scopes alone: every handled file right would make mount, unshare and bwrap fail. */
    if (abi >= LL_ABI_SCOPES)
        return (struct ll_attr){.scoped =
                                    LL_SCOPE_ABSTRACT |
                                    (isolation == SANDBOX_ISOLATE_FULL ? LL_SCOPE_SIGNAL : 0)};
    /* A domain needs a handled right. REFER, because a domain that leaves it out loses renames
     * across directories. */
    if (abi >= LL_ABI_REFER)
        return (struct ll_attr){.fs = LANDLOCK_ACCESS_FS_REFER};
    /* ABI 1 denies renames and links across directories (EXDEV) in every domain; devices need root
     * anyway. */
    return (struct ll_attr){.fs = LANDLOCK_ACCESS_FS_MAKE_BLOCK};
}

static int allow_everywhere(int ruleset, uint64_t rights)
{
    if (rights == 0)
        return 0;
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -1;
    int rc = ll_allow(ruleset, root, rights);
    int saved = errno;
    close(root);
    errno = saved;
    return rc;
}

int ll_command_ruleset(int abi, enum sandbox_isolation isolation)
{
    struct ll_attr attr = command_rights(abi, isolation);
    int ruleset = ll_create(abi, &attr);
    if (ruleset >= 0 && allow_everywhere(ruleset, attr.fs) != 0) {
        int saved = errno;
        close(ruleset);
        errno = saved;
        return -1;
    }
    return ruleset;
}

int sandbox_command_init(struct sandbox_command *command, enum sandbox_isolation isolation)
{
    command->ruleset_fd = -1;
    for (int abi = ll_abi(); abi > 0; abi--) {
        command->ruleset_fd = ll_command_ruleset(abi, isolation);
        if (command->ruleset_fd >= 0)
            return 0;
        /* A kernel that refuses a right of its own ABI (a vendor's backport) may know an earlier
         * one. */
        if (errno != EINVAL)
            return -1;
    }
    return 0;
}

int sandbox_command_apply(const struct sandbox_command *command)
{
    return command->ruleset_fd < 0 ? 0 : ll_restrict(command->ruleset_fd);
}

void sandbox_command_finish(struct sandbox_command *command)
{
    if (command->ruleset_fd >= 0)
        close(command->ruleset_fd);
    command->ruleset_fd = -1;
}
