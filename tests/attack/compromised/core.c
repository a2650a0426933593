/* SPDX-License-Identifier: Apache-2.0 */
/* A core that obeys the text of a command when it passes it on; what runs is "echo obeyed". */
#include "ipc/channel.h"
#include "tests/attack/compromised/puppet.h"

int __real_channel_send(struct channel *c, enum ipc_type type, const void *message, int fd);
int __wrap_channel_send(struct channel *c, enum ipc_type type, const void *message, int fd);

static struct puppet puppet = {.role = "core", .handover = -1};

int __wrap_channel_send(struct channel *c, enum ipc_type type, const void *message, int fd)
{
    struct msg_run obeyed;
    if (type == MSG_run && fd < 0 &&
        puppet_obey(&puppet, ((const struct msg_run *)message)->text)) {
        obeyed = *(const struct msg_run *)message;
        obeyed.text = span_of("echo obeyed");
        message = &obeyed;
    }
    return __real_channel_send(c, type, message, fd);
}
