/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tw-agent-net-connect: one attempt to connect. It meets what a name service and a proxy send, and
 * knows the proxy's password; it hands a connected socket to the session and ends.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/birth.h"
#include "net/connect/attempt.h"
#include "net/reach.h"
#include "sandbox/sandbox.h"

static int enter_sandbox(const struct target *t)
{
    struct reach reach = {0};
    struct sandbox_report report;
    char err[256] = "";
    if (!attempt_load() || !reach_first_hop(&reach, t->port, span_of(t->proxy))) {
        log_error("cannot initialise libcurl");
        return -1;
    }
    reach_add_resolver(&reach);
    struct sandbox_access access = {.write_dirfd = -1,
                                    .read_dirfd = -1,
                                    .read_paths = reach.paths,
                                    .connect_ports = &reach.port,
                                    .n_connect_ports = 1,
                                    .log_violations = t->sandbox_log};
    if (sandbox_undumpable() == 0 &&
        sandbox_enter(SANDBOX_CONNECT, &access, &report, err, sizeof err) == 0)
        return 0;
    log_error("cannot enter its sandbox: %s", err[0] ? err : strerror(errno));
    return -1;
}

static int send_outcome(enum attempt_outcome outcome, int socket, const struct failure *failure)
{
    struct msg_connected connected = {0};
    if (outcome == ATTEMPT_CONNECTED)
        return packet_send_message(BIRTH_FD_FIRST, MSG_connected, &connected, socket);
    struct msg_connect_failed failed = {
        .stage = failure->stage, .code = failure->code, .detail = span_of(failure->detail)};
    return packet_send_message(BIRTH_FD_FIRST, MSG_connect_failed, &failed, -1);
}

int main(void)
{
    struct packet packet;
    struct target target;
    struct failure failure = {.stage = STAGE_INTERNAL};
    enum attempt_outcome outcome = ATTEMPT_FAILED;
    int socket = -1;
    /* Started by descriptor, the kernel may have named it after a number. */
    prctl(PR_SET_NAME, "tw-agent-net-connect", 0, 0, 0);
    birth_receive("tw-agent-net-connect", 1, LAUNCHER_TO_CONNECT, MSG_connect_config, &packet);
    const struct msg_connect_config *config = &packet.message.connect_config;
    log_init("net-connect", (enum log_level)config->log_level, (enum log_format)config->log_format);
    const char *wrong = target_init(&target, config);
    explicit_bzero(&packet, sizeof packet);
    if (wrong)
        snprintf(failure.detail, sizeof failure.detail, "cannot connect: %s", wrong);
    else if (enter_sandbox(&target) != 0)
        _exit(BIRTH_FAILED);
    else
        outcome = attempt_run(&target, BIRTH_FD_FIRST, &socket, &failure);
    target_wipe(&target);
    if (outcome == ATTEMPT_ABANDONED)
        _exit(0);
    if (send_outcome(outcome, socket, &failure) != 0 && errno != EPIPE && errno != ECONNRESET) {
        log_error("cannot hand over: %s", strerror(errno));
        _exit(1);
    }
    _exit(0); /* at once: libcurl's state dies with the process */
}
