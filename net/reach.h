/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the connector may reach, as its sandbox and its launcher's must know it: the launcher's
 * sandbox is inherited, so it has to contain the connector's.
 */
#ifndef TW_NET_REACH_H
#define TW_NET_REACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/span.h"

/* Room for every list of paths that is built here. */
#define REACH_PATHS 32

struct reach {
    uint16_t port;                      /* the target's, or its proxy's */
    const char *paths[REACH_PATHS + 1]; /* NULL-terminated */
    size_t n_paths;
    char resolv_dir[LIMIT_PATH + 1]; /* where /etc/resolv.conf really is */
};

/*
 * The port of "http://host:port", the one form of a proxy that is supported. False: another form.
 */
bool reach_proxy_port(struct span proxy, uint16_t *port);

/* Notes the one TCP port. False: the proxy has no form that is supported. */
bool reach_first_hop(struct reach *r, uint16_t port, struct span proxy);

/* Adds the paths that a name service's modules read. */
void reach_add_resolver(struct reach *r);

/* Adds coarse paths, for a sandbox whose children narrow it: a directory that is absent now (the
 * resolver's, say) may appear later. */
void reach_add_system(struct reach *r);

/* Adds one path, which must outlive *r. */
void reach_add(struct reach *r, const char *path);

#endif
