/* SPDX-License-Identifier: Apache-2.0 */
/* A small file of the state directory, replaced whole. */
#ifndef TW_CORE_REPLACE_H
#define TW_CORE_REPLACE_H

#include <stdbool.h>
#include <stddef.h>

/* Writes NAME.new with this mode and renames it to name, of at most LIMIT_FILE_NAME bytes. False,
 * with errno: nothing changed. */
bool replace_file(int dirfd, const char *name, unsigned mode, const char *text, size_t len);

#endif
