/* SPDX-License-Identifier: Apache-2.0 */
/* An exec that obeys what a command printed, when it passes its end on. */
#include <unistd.h>

#include "ipc/channel.h"
#include "tests/attack/compromised/puppet.h"

int __real_channel_send(struct channel *c, enum ipc_type type, const void *message, int fd);
int __wrap_channel_send(struct channel *c, enum ipc_type type, const void *message, int fd);

static struct puppet puppet = {.role = "exec", .handover = -1};

int __wrap_channel_send(struct channel *c, enum ipc_type type, const void *message, int fd)
{
    char output[8192];
    ssize_t n = type == MSG_finished && fd >= 0 ? pread(fd, output, sizeof output, 0) : 0;
    if (n > 0) {
        puppet.ticket = ((const struct msg_finished *)message)->ticket;
        if (puppet_obey(&puppet, (struct span){output, (size_t)n}) && puppet.swallow)
            return 0;
    }
    return __real_channel_send(c, type, message, fd);
}
