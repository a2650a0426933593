/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmark's Tower: connections (tower.c) and what is done with them (script.c). */
#ifndef TW_BENCH_TOWER_H
#define TW_BENCH_TOWER_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/wire.h"

#define AGENTS_MAX   64
#define AGENT_ID_MAX 64

struct connection;

/* One for each connection ID that was ever seen. */
struct agent {
    char id[AGENT_ID_MAX];
    struct connection *connection; /* NULL: not connected */
    unsigned infos, beats;
    int64_t info_ns;
};

/* The work under way: requests to one agent or to several in turn, a fixed number in flight; or
 * waiting for an agent. */
struct work {
    enum { WORK_NONE, WORK_LOAD, WORK_ONLINE, WORK_BEATS } kind;
    struct agent *agent; /* that is waited for */
    unsigned until;
    int n_targets, total, sent, answered;
    struct agent *targets[8];
    char *texts[8];
    uint64_t first_id, bytes;
    int64_t begun;
    int64_t *sent_ns, *took_ns;
    int *status;
};

struct tower {
    struct agent agents[AGENTS_MAX];
    int n_agents;
    struct work work;
    uint64_t next_id;
    int64_t received_ns; /* when the bytes at hand were read */
};

struct agent *tower_agent(struct tower *t, const char *id);
/* False when the agent is not connected, or was lost by this. */
bool tower_send(struct agent *a, unsigned opcode, const void *payload, size_t len);
void tower_reset(struct agent *a);

void script_line(struct tower *t, char *line);
void script_message(struct tower *t, struct agent *a, const struct ws_message *m);
void script_lost(struct tower *t, const struct agent *a);

#endif
