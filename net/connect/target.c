/* SPDX-License-Identifier: Apache-2.0 */
#include "net/connect/target.h"

#include <stdio.h>
#include <string.h>

#include "net/reach.h"

/* Nothing that could end the host part of a URL or begin another one. */
static bool is_host(const char *host)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789.-_:%";
    return host[0] != '\0' && host[strspn(host, allowed)] == '\0';
}

const char *target_init(struct target *t, const struct msg_connect_config *config)
{
    uint16_t proxy_port;
    *t = (struct target){.port = (uint16_t)config->port,
                         .timeout_ms = (uint32_t)config->timeout_ms,
                         .sandbox_log = config->sandbox_log};
    if (!span_copy(t->host, sizeof t->host, config->host) || !is_host(t->host))
        return "not a host name";
    if (config->proxy.len > 0 && !reach_proxy_port(config->proxy, &proxy_port))
        return "a proxy must be http://host:port";
    if (!span_copy(t->proxy, sizeof t->proxy, config->proxy) ||
        !span_copy(t->auth, sizeof t->auth, config->proxy_auth))
        return "text too long";
    if (t->auth[0] != '\0') {
        char *colon = strchr(t->auth, ':');
        if (colon)
            *colon = '\0';
        t->user = t->auth;
        t->password = colon ? colon + 1 : t->auth + strlen(t->auth);
    }
    /* The scheme is plain http since TLS is the session's; nothing of HTTP is ever sent to the
     * host. */
    bool ipv6 = strchr(t->host, ':') != NULL;
    snprintf(t->url, sizeof t->url, "http://%s%s%s:%u", ipv6 ? "[" : "", t->host, ipv6 ? "]" : "",
             t->port);
    return NULL;
}

void target_wipe(struct target *t)
{
    explicit_bzero(t->auth, sizeof t->auth);
    t->user = NULL;
    t->password = NULL;
}
