/* SPDX-License-Identifier: Apache-2.0 */
/* A connector that obeys the first line which its peer sends; any other line is passed over. */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/packet.h"
#include "tests/attack/compromised/puppet.h"

#define PATIENCE 60000

int __real_packet_send_message(int socket, enum ipc_type type, const void *message, int fd);
int __wrap_packet_send_message(int socket, enum ipc_type type, const void *message, int fd);

static size_t read_line(int fd, char *line, size_t size)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    size_t n = 0;
    while (n < size && poll(&p, 1, PATIENCE) == 1 && recv(fd, line + n, 1, 0) == 1)
        if (line[n++] == '\n')
            break;
    return n;
}

int __wrap_packet_send_message(int socket, enum ipc_type type, const void *message, int fd)
{
    static struct puppet puppet = {.role = "connector", .handover = -1};
    char line[4096];
    if (type == MSG_connected)
        puppet_obey(&puppet, (struct span){line, read_line(fd, line, sizeof line)});
    if (puppet.swallow)
        return 0;
    return __real_packet_send_message(socket, type, message,
                                      puppet.handover >= 0 ? puppet.handover : fd);
}
