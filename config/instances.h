/* SPDX-License-Identifier: Apache-2.0 */
/* Named instances: NAME is /etc/tw-agent/NAME.conf for root, else ~/.config/tw-agent/NAME.conf. */
#ifndef TW_CONFIG_INSTANCES_H
#define TW_CONFIG_INSTANCES_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a name: it is a part of file names and of a unit's name (systemd.unit(5)). */
#define INSTANCE_NAME_MAX 64

/* Letters, digits, '_', '.' and '-', the first no '.' or '-'. */
bool instance_name_valid(const char *name);

/* The directory of the configuration files: the system's, else $XDG_CONFIG_HOME/tw-agent or
 * ~/.config/tw-agent. False: there is none, or it is too long. */
bool instance_directory(bool system_mode, char *out, size_t size);

/* The path of a file of this instance there: its name with suffix (".conf", ".token") behind it.
 * False: no valid name, no directory, or too long. */
bool instance_file(const char *name, const char *suffix, bool system_mode, char *out, size_t size);

#endif
