/* SPDX-License-Identifier: Apache-2.0 */
/* Where to connect, in the forms that libcurl and people read. */
#ifndef TW_NET_CONNECT_TARGET_H
#define TW_NET_CONNECT_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/message.h"

struct target {
    char host[LIMIT_HOST + 1]; /* an IPv6 address without brackets */
    uint16_t port;
    uint32_t timeout_ms;
    bool sandbox_log;
    char url[LIMIT_HOST + 32];
    char proxy[LIMIT_URL_PATH + 1]; /* empty: none */
    char *user;                     /* of the proxy, or NULL; in auth */
    char *password;                 /* likewise */
    char auth[LIMIT_URL_PATH + 1];
};

/* Takes what it needs out of the message. NULL, or a static text that says what is wrong. */
const char *target_init(struct target *t, const struct msg_connect_config *config);

/* Wipes the proxy's user and password. */
void target_wipe(struct target *t);

#endif
