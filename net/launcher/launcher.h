/* SPDX-License-Identifier: Apache-2.0 */
/* The launcher's state: where every connection goes, whom it started, what it was asked. */
#ifndef TW_NET_LAUNCHER_LAUNCHER_H
#define TW_NET_LAUNCHER_LAUNCHER_H

#include <event2/event.h>

#include "ipc/channel.h"
#include "net/launcher/children.h"
#include "sandbox/sandbox.h"

/* The first half of an order: start_session, until start_session_token follows. */
struct order {
    bool pending;
    uint32_t serial;
    enum purpose purpose;
    int core; /* the session's end of its channel to core */
};

struct launcher {
    struct event_base *base;
    struct event *child_ended;
    struct event *grace; /* after the parent's end: what children have left */
    bool ending;
    uint64_t full_since_ms; /* when there was no room for an order; 0: there was at the last one */
    struct channel *parent;
    struct children children;
    struct order order;
    struct msg_connect_config connect; /* the same for every connector; texts below */
    char host[LIMIT_HOST + 1];
    char proxy[LIMIT_URL_PATH + 1];
    char proxy_auth[LIMIT_URL_PATH + 1];
    int exit_code;
};

/* Takes the configuration and opens what the sandbox would deny. 0, or -1 after a log line. */
int launcher_init(struct launcher *l, const struct msg_launcher_config *config);

/* Enters the sandbox, which contains those of the programs it starts. 0, or the exit code
 * after a log line. */
int launcher_confine(struct launcher *l, struct sandbox_report *report);

/* Serves the parent until end of file. Returns the exit code. */
int launcher_run(struct launcher *l, int parent, const struct sandbox_report *report);

void launcher_finish(struct launcher *l);

#endif
