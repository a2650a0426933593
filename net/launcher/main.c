/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tw-agent-net: starts a connector and a session per connection and reaps them. It parses nothing
 * that comes from outside; host and port are fixed when it starts.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "ipc/birth.h"
#include "net/launcher/launcher.h"

int main(void)
{
    struct packet packet;
    struct launcher launcher;
    struct sandbox_report report = {0};
    birth_receive("tw-agent-net", 1, PARENT_TO_LAUNCHER, MSG_launcher_config, &packet);
    const struct msg_launcher_config *config = &packet.message.launcher_config;
    log_init("net", (enum log_level)config->log_level, (enum log_format)config->log_format);
    if (birth_become((uid_t)config->uid, (gid_t)config->gid, NULL, 0) != 0) {
        log_error("cannot become user %u: %s", (unsigned)config->uid, strerror(errno));
        return BIRTH_FAILED;
    }
    int ready = launcher_init(&launcher, config);
    explicit_bzero(&packet, sizeof packet);
    if (ready != 0)
        return BIRTH_FAILED;
    int refused = launcher_confine(&launcher, &report);
    if (refused)
        return refused;
    int code = launcher_run(&launcher, BIRTH_FD_FIRST, &report);
    launcher_finish(&launcher);
    return code;
}
