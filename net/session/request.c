/* SPDX-License-Identifier: Apache-2.0 */
#include "net/session/request.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* Spaces and control characters would end the request line or a header. */
static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] <= 0x20 || s.data[i] > 0x7e)
            return false;
    return true;
}

static bool target_of(const struct request *r, char *out, size_t size)
{
    char id[3 * LIMIT_CONNECTION_ID + 1] = "";
    const char *path = r->purpose == PURPOSE_PROBE   ? "/service-info"
                       : r->purpose == PURPOSE_LOGIN ? "/user"
                                                     : "/agent/";
    bool agent = r->purpose == PURPOSE_AGENT;
    if (!is_plain(r->url_path) ||
        (agent && !text_percent_encode(id, sizeof id, r->connection_id.data, r->connection_id.len)))
        return false;
    int n = snprintf(out, size, "%.*s%s%s%s", (int)r->url_path.len, r->url_path.data, path, id,
                     agent ? "/connect" : "");
    return n > 0 && (size_t)n < size;
}

static bool host_of(const struct request *r, char *out, size_t size)
{
    bool bare6 = memchr(r->host.data, ':', r->host.len) && r->host.data[0] != '[';
    char port[8] = "";
    if (r->port != 443)
        snprintf(port, sizeof port, ":%u", r->port);
    int n = snprintf(out, size, "%s%.*s%s%s", bare6 ? "[" : "", (int)r->host.len, r->host.data,
                     bare6 ? "]" : "", port);
    return is_plain(r->host) && n > 0 && (size_t)n < size;
}

size_t request_prefix(const struct request *r, char *out, size_t size)
{
    char target[LIMIT_URL_PATH + 3 * LIMIT_CONNECTION_ID + 32], host[LIMIT_HOST + 16];
    if (!target_of(r, target, sizeof target) || !host_of(r, host, sizeof host))
        return 0;
    int n = snprintf(out, size,
                     "GET %s HTTP/1.1\r\n"
                     "Host: %s\r\n"
                     "User-Agent: tw-agent/" TW_VERSION "\r\n"
                     "Accept: application/json\r\n",
                     target, host);
    if (n < 0 || (size_t)n >= size)
        return 0;
    size_t at = (size_t)n;
    if (r->purpose == PURPOSE_AGENT)
        n = snprintf(out + at, size - at,
                     "Connection: Upgrade\r\n"
                     "Upgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: %s\r\n"
                     "Authorization: Bearer ",
                     r->key);
    else
        n = snprintf(out + at, size - at, "Connection: close%s",
                     r->purpose == PURPOSE_LOGIN ? "\r\nAuthorization: Bearer " : "");
    return n > 0 && (size_t)n < size - at ? at + (size_t)n : 0;
}
