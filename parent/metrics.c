/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fds.h"

static int refuse(const struct options *o, const char *why, const char *remedy)
{
    char origin[512];
    log_error("%s: the file of the metrics cannot be made there: %s; %s",
              options_origin(o, OPT_METRICS_FILE, origin, sizeof origin), why, remedy);
    return EXIT_CONFIG;
}

int metrics_open(struct metrics *m, const struct options *o)
{
    const char *path = settings_text(o, OPT_METRICS_FILE), *slash = strrchr(path, '/');
    char directory[LIMIT_PATH + 1];
    struct stat st;
    *m = (struct metrics){.dirfd = -1, .name = "metrics.prom"};
    if (!*path)
        return 0;
    m->name = slash + 1;
    span_copy(directory, sizeof directory,
              (struct span){path, slash == path ? 1 : (size_t)(slash - path)});
    m->dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m->dirfd < 0)
        return refuse(o, strerror(errno),
                      "the directory must exist, and the agent's user must be able to list it");
    if (faccessat(m->dirfd, ".", W_OK | X_OK, AT_EACCESS) != 0)
        return refuse(o, strerror(errno),
                      "the agent's user (tw-agent when started as root) must be able to write in "
                      "the directory");
    if (fstatat(m->dirfd, m->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
        return refuse(o, "there is something else of this name", "remove it, or name another file");
    return 0;
}
