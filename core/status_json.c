/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/wall.h"
#include "core/link.h"
#include "core/status.h"
#include "policy/redact.h"
#include "sandbox/guarantees.h"

/* Of status.json itself: raised when a key changes its meaning or goes. */
#define STATUS_FORMAT 1
/* Commands that are listed. */
#define LISTED_MOST 64
/* Beyond the time at which it is written again at the latest. */
#define SLACK_S 10

static const char *yes_no(bool value)
{
    return value ? "true" : "false";
}

static void put_text(struct buf *b, const char *key, const char *text)
{
    char escaped[LIMIT_PATH * 6 + 1];
    text_escape(escaped, sizeof escaped, text, strlen(text), true);
    buf_print(b, "\"%s\":\"%s\",", key, escaped);
}

/* A time of the wall clock; null: never. */
static void put_time(struct buf *b, const char *key, int64_t seconds)
{
    if (seconds > 0)
        buf_print(b, "\"%s\":%lld,", key, (long long)seconds);
    else
        buf_print(b, "\"%s\":null,", key);
}

static void put_link(struct buf *b, const struct core *core)
{
    const struct link *k = &core->link;
    uint64_t now = clock_ms();
    uint64_t next = k->state == LINK_ONLINE ? status_age_most(core)
                    : k->due_ms > now       ? k->due_ms - now
                                            : 0;
    put_time(b, "nextWrite", wall_s() + (int64_t)(next / 1000) + SLACK_S);
    buf_print(b, "\"state\":\"%s\",\"stateSeconds\":%llu,", link_state_name(k->state),
              (unsigned long long)(now - k->state_since_ms) / 1000);
    put_time(b, "since", k->state_since);
    put_text(b, "reason", k->state == LINK_ONLINE ? "" : k->reason);
    put_text(b, "lastError", k->error);
    put_time(b, "lastErrorTime", k->last_error);
    put_text(b, "connectionId", core->config.connection_id);
    put_text(b, "url", core->config.url);
    buf_print(b, "\"server\":{");
    put_text(b, "version", k->server_version);
    put_text(b, "apiVersion", k->api_version);
    buf_print(b, "\"known\":%s},\"heartbeat\":{\"intervalMs\":%llu,", yes_no(k->api_version[0]),
              (unsigned long long)core->config.heartbeat_ms);
    put_time(b, "lastSent", k->last_beat);
    put_time(b, "lastReply", k->last_reply);
    buf_print(b, "\"sent\":%llu,\"answered\":%llu},\"reconnects\":%u,",
              (unsigned long long)core->counters.beats,
              (unsigned long long)core->counters.beat_replies, k->reconnects);
}

static void put_sandbox(struct buf *b, const struct core *core)
{
    static const char *const commands[] = {
        [COMMANDS_SEPARATE] = "separate", [COMMANDS_SHARED] = "shared", [COMMANDS_OPEN] = "open"};
    uint64_t reduced = core->attest.facts.reduced;
    const char *level = !core->attest.informed ? "unknown" : reduced ? "reduced" : "full";
    bool first = true;
    put_text(b, "workDir", core->work_dir);
    put_text(b, "mode", core->config.system_mode ? "system" : "user");
    buf_print(b,
              "\"sandbox\":{\"level\":\"%s\",\"commands\":\"%s\",\"namespaces\":%s,\"logOnly\":%s,"
              "\"reduced\":[",
              level, commands[core->config.commands], yes_no(core->config.allow_namespaces),
              yes_no(core->config.sandbox_log));
    for (unsigned i = 0; i < GUARANTEES_MAX; i++)
        if (reduced >> i & 1) {
            buf_print(b, "%s\"%s\"", first ? "" : ",", guarantees[i].name);
            first = false;
        }
    buf_print(b, "]},");
}

static void put_counts(struct buf *b, const struct core *core)
{
    const struct counters *n = &core->counters;
    const size_t *c = core->ledger.counts;
    buf_print(b,
              "\"commands\":{\"received\":%llu,\"started\":%llu,\"finished\":%llu,"
              "\"repeated\":%llu,\"refused\":%llu,\"withheld\":%llu,\"delivered\":%llu,"
              "\"queued\":%zu,\"queuedBytes\":%zu,\"running\":%zu,\"undelivered\":%zu},"
              "\"results\":{\"memoryBytes\":%zu,\"diskBytes\":%llu,\"onDisk\":%s},"
              "\"tokenReleases\":%llu,\"attestation\":\"%s\",",
              (unsigned long long)n->received, (unsigned long long)n->started,
              (unsigned long long)n->finished, (unsigned long long)n->repeated,
              (unsigned long long)n->refused, (unsigned long long)n->withheld,
              (unsigned long long)n->delivered, c[ENTRY_QUEUED], core->ledger.text_bytes,
              c[ENTRY_RUNNING] + c[ENTRY_SEARCHING], c[ENTRY_READY] + c[ENTRY_SENT],
              core->ledger.output_bytes, (unsigned long long)core->store.disk_bytes,
              yes_no(store_safe(&core->store)), (unsigned long long)n->tokens,
              attest_state_name(core->attest.state));
}

/* 8-4-4-4-12 hexadecimal digits: no token looks like that. */
static bool is_uuid(const struct entry *e)
{
    bool ok = e->id_len == 36;
    for (size_t i = 0; ok && i < 36; i++)
        ok = i == 8 || i == 13 || i == 18 || i == 23 ? e->id[i] == '-'
                                                     : isxdigit((unsigned char)e->id[i]) != 0;
    return ok;
}

/* The server chose the id: one that could be a token in disguise is not shown whole. */
static void put_command(struct buf *b, const struct entry *e, bool first)
{
    char shown[LIMIT_ID + 1], escaped[256];
    struct span id = {e->id, e->id_len};
    if (is_uuid(e))
        span_copy(shown, sizeof shown, id);
    else
        redact_foreign(shown, sizeof shown, id);
    text_escape(escaped, sizeof escaped, shown, strlen(shown), true);
    uint64_t ms = clock_ms() - (uint64_t)e->started_ms;
    buf_print(b, "%s{\"id\":\"%s\",\"seconds\":%llu}", first ? "" : ",", escaped,
              (unsigned long long)ms / 1000);
}

/* In the order of their start, the oldest first. */
static void put_running(struct buf *b, const struct core *core)
{
    static const enum entry_state states[] = {ENTRY_SEARCHING, ENTRY_RUNNING};
    const struct entry *e;
    unsigned n = 0;
    buf_print(b, "\"running\":[");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        TAILQ_FOREACH(e, &core->ledger.lists[states[i]], in_state)
    if (n++ < LISTED_MOST)
        put_command(b, e, n == 1);
    buf_print(b, "],");
}

void status_format(const struct core *core, struct buf *out)
{
    buf_print(out, "{\"format\":%d,\"version\":\"" TW_VERSION "\",\"pid\":%u,", STATUS_FORMAT,
              core->attest.processes[0].pid);
    put_time(out, "started", core->started);
    put_time(out, "written", wall_s());
    put_link(out, core);
    put_sandbox(out, core);
    put_counts(out, core);
    put_running(out, core);
    if (core->finishing)
        buf_print(out, "\"exitCode\":%d}\n", core->finish_code);
    else
        buf_print(out, "\"exitCode\":null}\n");
}
