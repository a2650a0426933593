/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/clock.h"
#include "core/link.h"
#include "core/status.h"
#include "sandbox/guarantees.h"

/* Every series carries the connection ID, so that several agents' files can lie in one directory.
 * In a label's value these are escaped; control characters no connection ID has. */
static void put_label_value(struct buf *b, const char *text)
{
    for (; *text; text++)
        buf_print(b, "%s%c", *text == '\\' || *text == '"' ? "\\" : "", *text);
}

static void put_head(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_print(b, "# HELP tw_agent_%s %s\n# TYPE tw_agent_%s %s\n", name, help, name, type);
}

/* One series; label: NULL, or a further label's name. */
static void put_series(struct buf *b, const struct core *core, const char *name, const char *label,
                       const char *label_value, uint64_t value)
{
    buf_print(b, "tw_agent_%s{connection_id=\"", name);
    put_label_value(b, core->config.connection_id);
    if (label)
        buf_print(b, "\",%s=\"%s", label, label_value);
    buf_print(b, "\"} %llu\n", (unsigned long long)value);
}

/* The age of the command that runs longest. */
static uint64_t oldest_s(const struct core *core)
{
    const struct entry *e = TAILQ_FIRST(&core->ledger.lists[ENTRY_RUNNING]);
    return e ? (clock_ms() - (uint64_t)e->started_ms) / 1000 : 0;
}

static void put_state(const struct core *core, struct buf *b)
{
    put_head(b, "info", "gauge", "The agent's version and mode; always 1.");
    buf_print(b, "tw_agent_info{connection_id=\"");
    put_label_value(b, core->config.connection_id);
    buf_print(b, "\",version=\"" TW_VERSION "\",mode=\"%s\"} 1\n",
              core->config.system_mode ? "system" : "user");
    put_head(b, "state", "gauge", "The connection's state: 1 for the one it is in.");
    for (unsigned i = 0; i <= LINK_STATE_MAX; i++)
        put_series(b, core, "state", "state", link_state_name((enum link_state)i),
                   core->link.state == (enum link_state)i);
    put_head(b, "attestation", "gauge", "The agent's attack on itself: 1 for what came of it.");
    for (unsigned i = 0; i <= ATTEST_FAILED; i++)
        put_series(b, core, "attestation", "result", attest_state_name((enum attest_state)i),
                   core->attest.state == (enum attest_state)i);
}

void metrics_format(const struct core *core, struct buf *out)
{
    const struct counters *n = &core->counters;
    const struct link *k = &core->link;
    const size_t *c = core->ledger.counts;
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } rows[] = {
        {"start_time_seconds", "gauge", "When the agent was started, as Unix time.",
         (uint64_t)core->started},
        {"state_start_time_seconds", "gauge", "When the connection's state began, as Unix time.",
         (uint64_t)k->state_since},
        {"last_heartbeat_reply_time_seconds", "gauge",
         "When Tower last answered a heartbeat, as Unix time; 0: not yet.",
         (uint64_t)k->last_reply},
        {"heartbeats_sent_total", "counter", "Heartbeats sent to Tower.", n->beats},
        {"heartbeats_answered_total", "counter", "Heartbeats that Tower answered.",
         n->beat_replies},
        {"reconnects_total", "counter", "Connections that ended and were made again.",
         k->reconnects},
        {"token_releases_total", "counter", "Times that the access token went to a session.",
         n->tokens},
        {"commands_received_total", "counter", "Commands asked for, repeats not counted.",
         n->received},
        {"commands_started_total", "counter", "Commands started.", n->started},
        {"commands_finished_total", "counter", "Commands that ended.", n->finished},
        {"commands_repeated_total", "counter", "Requests that repeated an id.", n->repeated},
        {"commands_refused_total", "counter", "Requests that repeated an id with another text.",
         n->refused},
        {"commands_queued", "gauge", "Commands that wait for their start.", c[ENTRY_QUEUED]},
        {"commands_queued_bytes", "gauge", "Size of the texts of commands that wait.",
         core->ledger.text_bytes},
        {"commands_running", "gauge", "Commands that run.", c[ENTRY_RUNNING] + c[ENTRY_SEARCHING]},
        {"commands_running_oldest_seconds", "gauge", "Age of the command that runs longest.",
         oldest_s(core)},
        {"results_delivered_total", "counter", "Results that arrived at Tower.", n->delivered},
        {"results_withheld_total", "counter", "Results withheld, since they held the token.",
         n->withheld},
        {"results_undelivered", "gauge", "Results that are not known to have arrived.",
         c[ENTRY_READY] + c[ENTRY_SENT]},
        {"results_memory_bytes", "gauge", "Size of results in memory.", core->ledger.output_bytes},
        {"results_disk_bytes", "gauge", "Size of results in files.", core->store.disk_bytes},
        {"results_on_disk", "gauge", "1: what is not delivered would outlive the agent.",
         store_safe(&core->store)},
        {"sandbox_full", "gauge", "1: every guarantee holds in full on this host.",
         core->attest.informed && core->attest.facts.reduced == 0},
    };
    put_state(core, out);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_head(out, rows[i].name, rows[i].type, rows[i].help);
        put_series(out, core, rows[i].name, NULL, NULL, rows[i].value);
    }
}
