/* SPDX-License-Identifier: Apache-2.0 */
/* Files that cannot be what they should be are renamed to NAME.aside, for a person to look at. */
#ifndef TW_CORE_SET_ASIDE_H
#define TW_CORE_SET_ASIDE_H

#include <stdbool.h>

/* NAME_MAX and the NUL. */
#define SET_ASIDE_NAME 256

/* Renames; to gets the name that the file has then. False: it could not be renamed (Landlock lets
 * core rename files and directories alone). */
bool set_aside(int dirfd, const char *name, char to[SET_ASIDE_NAME]);

/*
 * Sets aside every file of the directory that is not known, and names it in the log. Beyond a few
 * dozen, files are left as they are.
 */
void set_aside_unknown(int dirfd, bool (*known)(void *context, const char *name), void *context);

#endif
