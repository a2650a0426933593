/* SPDX-License-Identifier: Apache-2.0 */
#include "core/status.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/replace.h"

#define STATUS_INTERVAL_MS 1000
/* Of an agent that does nothing. */
#define REFRESH_MS 60000
/* Bounds of both texts: the longest names and 64 commands fit. */
#define TEXT_MAX 262144

static void write_one(int dirfd, const char *name, unsigned mode, struct buf *text, bool *failed)
{
    errno = ENOMEM;
    bool ok = buf_len(text) > 0 && replace_file(dirfd, name, mode, buf_data(text), buf_len(text));
    if (!ok && !*failed)
        log_warn("%s cannot be written: %s", name, strerror(errno));
    *failed = !ok;
    buf_finish(text);
}

void status_write(struct core *core)
{
    const struct core_config *c = &core->config;
    struct buf text;
    core->status_pending = false;
    core->status_ms = clock_ms();
    event_del(core->status_timer);
    buf_init(&text, TEXT_MAX);
    metrics_format(core, &text);
    write_one(core->metrics_dirfd, c->metrics_name, c->metrics_mode, &text, &core->metrics_failed);
    /* The last: whoever waits for it finds both of the same moment. */
    status_format(core, &text);
    write_one(core->state_dirfd, "status.json", 0600, &text, &core->status_failed);
}

void status_changed(struct core *core)
{
    if (core->status_pending)
        return;
    core->status_pending = true;
    struct timeval soon = clock_timeval(STATUS_INTERVAL_MS);
    event_add(core->status_timer, &soon);
}

void status_answered(struct core *core)
{
    if (!core->finishing && clock_ms() - core->status_ms >= REFRESH_MS)
        status_write(core);
}

void status_beat(struct core *core)
{
    /* No answer came that would have had them written. */
    if (clock_ms() - core->status_ms >= REFRESH_MS + core->config.heartbeat_ms * 3 / 2)
        status_write(core);
}

uint64_t status_age_most(const struct core *core)
{
    return REFRESH_MS + 3 * core->config.heartbeat_ms;
}
