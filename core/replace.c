/* SPDX-License-Identifier: Apache-2.0 */
#include "core/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/limits.h"

bool replace_file(int dirfd, const char *name, unsigned mode, const char *text, size_t len)
{
    char fresh[LIMIT_FILE_NAME + 5];
    snprintf(fresh, sizeof fresh, "%s.new", name);
    /* In user mode commands can put anything here: a new file, or none. */
    unlinkat(dirfd, fresh, 0);
    int fd = openat(dirfd, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    bool ok = fd >= 0 && fds_write(fd, text, len) == 0;
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    if (ok && renameat(dirfd, fresh, dirfd, name) == 0)
        return true;
    int saved = errno;
    if (fd >= 0)
        unlinkat(dirfd, fresh, 0);
    errno = saved;
    return false;
}
