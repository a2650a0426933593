/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tw-agent-net-session: one TLS connection, one request. It verifies the server, sends the token
 * once without keeping a copy, and only then reads what the server says.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/birth.h"
#include "net/session/memory.h"
#include "net/session/session.h"

int main(void)
{
    struct packet packet;
    struct session session;
    if (memory_init() != 0) {
        log_error("tw-agent-net-session: OpenSSL does not take our allocator");
        return BIRTH_FAILED;
    }
    /* Started by descriptor, the kernel may have named it after a number. */
    prctl(PR_SET_NAME, "tw-agent-net-session", 0, 0, 0);
    birth_receive("tw-agent-net-session", 3, PARENT_TO_SESSION, MSG_session_config, &packet);
    const struct msg_session_config *config = &packet.message.session_config;
    log_init("net-session", (enum log_level)config->log_level, (enum log_format)config->log_format);
    if (session_init(&session, config, &packet.fd) != 0 || session_confine(&session) != 0) {
        session_fail(&session);
        _exit(0); /* the word is core's: the launcher need not add another */
    }
    _exit(session_run(&session)); /* at once: nothing is left to tidy */
}
