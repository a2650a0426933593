/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for tw-agent-net-session. It tells the test, on the channel to core, what it was
 * started with and what the connector handed over, and does as it is told there.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fds.h"
#include "ipc/birth.h"

extern char **environ;

static void tell(const char *text, int fd)
{
    if (packet_send(BIRTH_FD_PEER, text, strlen(text), fd) != 0)
        _exit(90);
}

static void tell_birth(int argc, char **argv)
{
    char text[512];
    size_t variables = 0;
    bool extra = false;
    while (environ[variables])
        variables++;
    for (int fd = 0; fd < 64; fd++)
        extra |= fd > BIRTH_FD_HANDOVER && fds_is_channel(fd);
    snprintf(text, sizeof text, "born %d %zu %d%d%d%d %s %s", (int)getpid(), variables,
             fds_is_channel(BIRTH_FD_FIRST), fds_is_channel(BIRTH_FD_PEER),
             fds_is_channel(BIRTH_FD_HANDOVER), extra, argv[0], argc == 2 ? argv[1] : "?");
    tell(text, -1);
}

static void tell_handover(void)
{
    static struct packet p;
    char text[LIMIT_DETAIL + 64];
    const char *why = "";
    enum packet_outcome got =
        packet_receive(BIRTH_FD_HANDOVER, &p, CONNECT_TO_SESSION, PHASE_RUN, &why);
    if (got == PACKET_EOF)
        snprintf(text, sizeof text, "closed");
    else if (got != PACKET_OK)
        snprintf(text, sizeof text, "broken %s", why);
    else if (p.type == MSG_connected)
        snprintf(text, sizeof text, "connected");
    else
        snprintf(text, sizeof text, "failed %u %u %.*s", (unsigned)p.message.connect_failed.stage,
                 (unsigned)p.message.connect_failed.code, (int)p.message.connect_failed.detail.len,
                 p.message.connect_failed.detail.data);
    tell(text, got == PACKET_OK ? p.fd : -1);
    fds_close(&p.fd);
}

static void obey(void)
{
    char order[32];
    ssize_t n = recv(BIRTH_FD_PEER, order, sizeof order - 1, 0);
    if (n <= 0)
        _exit(0);
    order[n] = '\0';
    _exit(atoi(order));
}

int main(int argc, char **argv)
{
    struct pollfd p[] = {{.fd = BIRTH_FD_PEER, .events = POLLIN},
                         {.fd = BIRTH_FD_HANDOVER, .events = POLLIN}};
    /* As birth_receive does. */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    tell_birth(argc, argv);
    for (;;) {
        if (poll(p, 2, -1) < 0)
            _exit(91);
        if (p[1].revents) {
            tell_handover();
            p[1].fd = -1;
        }
        if (p[0].revents)
            obey();
    }
}
