/* SPDX-License-Identifier: Apache-2.0 */
#include "core/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "core/link.h"

#define STATUS_INTERVAL_MS 1000
#define NEW_FILE           "status.json.new"

static size_t format_status(const struct core *core, char *out, size_t size)
{
    const struct link *k = &core->link;
    const struct counters *n = &core->counters;
    const size_t *c = core->ledger.counts;
    char id[LIMIT_CONNECTION_ID * 6 + 1], url[4096], reason[1024], dir[LIMIT_PATH * 6 + 1];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    text_escape(id, sizeof id, core->config.connection_id, strlen(core->config.connection_id),
                true);
    text_escape(url, sizeof url, core->config.url, strlen(core->config.url), true);
    text_escape(reason, sizeof reason, k->reason, strlen(k->reason), true);
    text_escape(dir, sizeof dir, core->work_dir, strlen(core->work_dir), true);
    int len = snprintf(
        out, size,
        "{\"version\":\"" TW_VERSION
        "\",\"written\":%lld,\"state\":\"%s\",\"stateSeconds\":%llu,\"reason\":\"%s\","
        "\"connectionId\":\"%s\",\"url\":\"%s\",\"workDir\":\"%s\",\"mode\":\"%s\",\"reconnects\":%"
        "u,"
        "\"commands\":{\"received\":%llu,\"started\":%llu,\"finished\":%llu,\"repeated\":%llu,"
        "\"refused\":%llu,"
        "\"withheld\":%llu,\"delivered\":%llu,\"queued\":%zu,\"running\":%zu,\"undelivered\":%zu},"
        "\"tokenReleases\":%llu}\n",
        (long long)now.tv_sec, link_state_name(k->state),
        (unsigned long long)(clock_ms() - k->state_since_ms) / 1000,
        k->state == LINK_ONLINE ? "" : reason, id, url, dir,
        core->config.system_mode ? "system" : "user", k->reconnects,
        (unsigned long long)n->received, (unsigned long long)n->started,
        (unsigned long long)n->finished, (unsigned long long)n->repeated,
        (unsigned long long)n->refused, (unsigned long long)n->withheld,
        (unsigned long long)n->delivered, c[ENTRY_QUEUED], c[ENTRY_RUNNING] + c[ENTRY_SEARCHING],
        c[ENTRY_READY] + c[ENTRY_SENT], (unsigned long long)n->tokens);
    return len > 0 && (size_t)len < size ? (size_t)len : 0;
}

static bool write_file(int dirfd, const char *text, size_t len)
{
    struct stat st;
    /* In user mode commands can put anything here: a pipe must not hold core up. */
    int fd = openat(dirfd, NEW_FILE,
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    bool ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
              write(fd, text, len) == (ssize_t)len;
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    if (ok && renameat(dirfd, NEW_FILE, dirfd, "status.json") == 0)
        return true;
    int saved = ok || fd < 0 ? errno : EIO;
    unlinkat(dirfd, NEW_FILE, 0);
    errno = saved;
    return false;
}

void status_write(struct core *core)
{
    char text[65536];
    core->status_pending = false;
    size_t len = format_status(core, text, sizeof text);
    bool ok = len > 0 && write_file(core->state_dirfd, text, len);
    if (!ok && !core->status_failed)
        log_warn("status.json cannot be written: %s", strerror(errno));
    core->status_failed = !ok;
}

void status_changed(struct core *core)
{
    if (core->status_pending)
        return;
    core->status_pending = true;
    struct timeval soon = clock_timeval(STATUS_INTERVAL_MS);
    event_add(core->status_timer, &soon);
}
