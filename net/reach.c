/* SPDX-License-Identifier: Apache-2.0 */
#include "net/reach.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const char scheme[] = "http://";

bool reach_proxy_port(struct span proxy, uint16_t *port)
{
    char text[LIMIT_URL_PATH + 1];
    uint64_t number;
    if (!span_copy(text, sizeof text, proxy) || strncmp(text, scheme, sizeof scheme - 1) != 0)
        return false;
    char *host = text + sizeof scheme - 1;
    size_t len = strlen(host);
    if (len > 0 && host[len - 1] == '/')
        host[len - 1] = '\0';
    char *colon = strrchr(host, ':');
    if (!colon || colon == host || strpbrk(host, "@/?# \\"))
        return false;
    if (!text_number(colon + 1, UINT16_MAX, &number) || number == 0)
        return false;
    *port = (uint16_t)number;
    return true;
}

bool reach_first_hop(struct reach *r, uint16_t port, struct span proxy)
{
    r->port = port;
    return proxy.len == 0 || reach_proxy_port(proxy, &r->port);
}

void reach_add(struct reach *r, const char *path)
{
    if (r->n_paths < REACH_PATHS)
        r->paths[r->n_paths++] = path;
    r->paths[r->n_paths] = NULL;
}

/* Sites link /etc/resolv.conf to where another program keeps it. */
static void add_resolv_conf(struct reach *r)
{
    char real[LIMIT_PATH + 1];
    if (!realpath("/etc/resolv.conf", real) || strlen(real) >= sizeof r->resolv_dir)
        return;
    memcpy(r->resolv_dir, real, strlen(real) + 1);
    char *slash = strrchr(r->resolv_dir, '/');
    if (slash == r->resolv_dir)
        return; /* never the root directory */
    *slash = '\0';
    reach_add(r, r->resolv_dir);
}

void reach_add_resolver(struct reach *r)
{
    static const char *const paths[] = {
        "/etc",
        /* NSS modules are loaded when the first name is resolved. */
        "/lib", "/lib64", "/usr/lib", "/usr/lib64",
        /* The sockets and caches of systemd-resolved, nscd, nslcd, sssd, avahi. */
        "/run/systemd/resolve", "/run/nscd", "/run/nslcd", "/run/resolvconf", "/run/NetworkManager",
        "/run/avahi-daemon", "/var/run/nscd", "/var/cache/nscd", "/var/db/nscd", "/var/lib/sss",
        /* glibc counts the processors for its memory arenas. */
        "/sys/devices/system/cpu"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        reach_add(r, paths[i]);
    add_resolv_conf(r);
}

void reach_add_system(struct reach *r)
{
    /* No /usr/bin: what the launcher may read it may run, and no shell is to be among that. */
    static const char *const paths[] = {"/etc", "/lib", "/lib64", "/usr/lib", "/usr/lib64",
                                        "/usr/local/lib", "/usr/share", "/run", "/var/run",
                                        "/var/cache/nscd", "/var/db/nscd", "/var/lib/sss",
                                        /* OpenSSL asks whether FIPS mode is on. */
                                        "/proc/sys/crypto", "/sys/devices/system/cpu"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        reach_add(r, paths[i]);
    add_resolv_conf(r);
}
