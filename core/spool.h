/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large outputs on disk, a file each: results/<ticket, 16 hex digits>.out. What a file must hold
 * stands in the journal: its length and checksum.
 */
#ifndef TW_CORE_SPOOL_H
#define TW_CORE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/content.h"

/* "0123456789abcdef.out" */
#define SPOOL_NAME_SIZE 21

void spool_name(char name[SPOOL_NAME_SIZE], uint64_t ticket);

/* The ticket of a file's name. False: not such a name. */
bool spool_ticket(const char *name, uint64_t *ticket);

/*
 * Writes an output, which is in memory, to its file, and gives its checksum under the key. What
 * stood there is replaced. 0, or -1 with errno: no file is left.
 */
int spool_write(int dirfd, uint64_t ticket, const struct content *output, const uint64_t key[2],
                uint64_t *sum);

/* Reads it into a sealed memfd. False: the file is missing, or not what was written; errno says
 * why (EBADMSG: its content differs). */
bool spool_read(int dirfd, uint64_t ticket, size_t len, uint64_t sum, const uint64_t key[2],
                struct content *output);

/* True when there is a regular file of this length and owner. */
bool spool_exists(int dirfd, uint64_t ticket, size_t len);

/* fdatasync. 0 or -1 with errno. */
int spool_sync(int dirfd, uint64_t ticket);

void spool_remove(int dirfd, uint64_t ticket);

#endif
