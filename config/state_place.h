/* SPDX-License-Identifier: Apache-2.0 */
/* Where the state directory is, and whether it is the agent's alone. Makes nothing. */
#ifndef TW_CONFIG_STATE_PLACE_H
#define TW_CONFIG_STATE_PLACE_H

#include <sys/stat.h>

#include "config/users.h"

/* Longest name of the part of one connection ID below it. */
#define STATE_NAME_MAX (4 * LIMIT_CONNECTION_ID)

/* The directory of all instances: what is given, else the mode's. False: there is no place, or it
 * is too long. */
bool state_place(const struct options *o, const struct settings *s, const struct users *u,
                 char *out, size_t size);

/* The name below it of this connection ID on this host. False: too long. */
bool state_instance(const char *connection_id, char *out, size_t size);

/* True when it belongs to the agent's user and nobody else writes there. */
bool state_is_private(const struct stat *st, const struct users *u);

#endif
