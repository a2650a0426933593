/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service manager is told, as sd_notify(3) has it: datagrams to the socket that
 * NOTIFY_SOCKET names. Nothing here waits: what the socket does not take now goes when it can, and
 * only the newest of it.
 */
#ifndef TW_PARENT_NOTIFY_H
#define TW_PARENT_NOTIFY_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipc/message.h"

struct notify {
    const char *path;     /* as the environment had it; NULL: nobody wants to know */
    uint64_t watchdog_ms; /* 0: no watchdog */
    int fd;               /* connected; -1: nobody to tell */
    struct event *writable;
    unsigned pending;   /* what is not sent yet: bits of notify.c */
    const char *status; /* the newest; static string */
    bool ready, stopping, failed;
};

/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment: they are for this
 * process alone. */
void notify_take_environment(struct notify *n);

/* Connects the socket: before root is given up, and before the sandbox. A socket that cannot be
 * reached is said in the log and no reason not to start. */
void notify_open(struct notify *n);

/* Takes the loop. 0, or -1: no memory. */
int notify_start(struct notify *n, struct event_base *base);

/* How often core has to show its life, so that a watchdog is content; 0: there is none. */
uint64_t notify_pulse_ms(const struct notify *n);

/* The agent runs; said once. */
void notify_ready(struct notify *n);

/* A line for `systemctl status`: words of our own for the state of the connection. */
void notify_state(struct notify *n, enum link_state state);

/* All loops go round. */
void notify_alive(struct notify *n);

/* A reload began, and ended. */
void notify_reloaded(struct notify *n);

/* The agent ends; said once, and nothing but the status after it. */
void notify_stopping(struct notify *n);

void notify_finish(struct notify *n);

#endif
