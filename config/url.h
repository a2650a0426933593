/* SPDX-License-Identifier: Apache-2.0 */
/* The API endpoint: https://HOST[:PORT][/PATH], nothing else. */
#ifndef TW_CONFIG_URL_H
#define TW_CONFIG_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

struct url {
    char text[LIMIT_URL_PATH + LIMIT_HOST + 32]; /* normalised, without a trailing slash */
    char host[LIMIT_HOST + 1];                   /* an IPv6 address without its brackets */
    uint16_t port;
    char path[LIMIT_URL_PATH + 1]; /* "" or "/…" without a trailing slash */
};

/* NULL, or a static text that says what is wrong. */
const char *url_parse(struct url *url, const char *text);

/* "host", "host:port", "[v6]" or "[v6]:port"; rest gets what follows. *port is kept when there is
 * none. False: malformed. */
bool url_parse_authority(const char *text, char *host, size_t size, uint16_t *port,
                         const char **rest);

#endif
