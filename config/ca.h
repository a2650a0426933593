/* SPDX-License-Identifier: Apache-2.0 */
/* The CA certificates to trust: --ca-file's, else the system's. */
#ifndef TW_CONFIG_CA_H
#define TW_CONFIG_CA_H

#include <stddef.h>

#include "config/options.h"

/*
 * Reads them; *path is the file's. The caller frees the text. NULL with a text in *why (and *path
 * NULL when the system has none).
 */
char *ca_read(const struct options *o, size_t *len, const char **path, const char **why);

#endif
