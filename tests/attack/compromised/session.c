/* SPDX-License-Identifier: Apache-2.0 */
/* A session that obeys what the server says once it has parsed it: a command's text, or the message
 * of an error page. It keeps a second descriptor of its channel to the parent, as an attacker
 * would who had come in earlier. */
#include <fcntl.h>
#include <unistd.h>

#include "ipc/birth.h"
#include "ipc/channel.h"
#include "net/session/session.h"
#include "tests/attack/compromised/puppet.h"

#define KEPT 64

int __real_channel_send(struct channel *c, enum ipc_type type, const void *message, int fd);
int __wrap_channel_send(struct channel *c, enum ipc_type type, const void *message, int fd);
void __real_exchange_begin(struct session *s);
void __wrap_exchange_begin(struct session *s);

static struct puppet puppet = {.role = "session", .handover = -1};

int __wrap_channel_send(struct channel *c, enum ipc_type type, const void *message, int fd)
{
    if (type == MSG_command && puppet_obey(&puppet, ((const struct msg_command *)message)->text))
        return 0;
    if (type == MSG_response &&
        puppet_obey(&puppet, ((const struct msg_response *)message)->message) && puppet.swallow)
        return 0;
    return __real_channel_send(c, type, message, fd);
}

void __wrap_exchange_begin(struct session *s)
{
    if (fcntl(BIRTH_FD_FIRST, F_DUPFD_CLOEXEC, KEPT) != KEPT)
        _exit(94);
    __real_exchange_begin(s);
}
