/* SPDX-License-Identifier: Apache-2.0 */
/* Small files that the site gives: configuration, proxy address, CA certificates. */
#ifndef TW_CONFIG_FILES_H
#define TW_CONFIG_FILES_H

#include <stddef.h>
#include <sys/stat.h>

/*
 * Reads a regular file of at most max bytes into fresh memory, a NUL behind it; *st is what was
 * opened. The caller wipes and frees it. NULL with a text in *why.
 */
char *file_read(const char *path, size_t max, size_t *len, struct stat *st, const char **why);

/* Reads from fd until the end or max bytes. The count, or -1 with errno. */
long file_drain(int fd, char *out, size_t max);

#endif
