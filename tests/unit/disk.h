/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk under a test: the calls that change files of the test's directory go through here (the
 * linker's --wrap), so that they can fail, or be the last thing that the process did.
 */
#ifndef TW_TESTS_UNIT_DISK_H
#define TW_TESTS_UNIT_DISK_H

#include <stdbool.h>
#include <stddef.h>

enum disk_mood {
    DISK_GOOD,
    DISK_FULL,     /* ENOSPC; removing a file makes room */
    DISK_UNSYNCED, /* fsync and fdatasync fail, EIO */
};

/* room: bytes that a full disk still takes. */
void disk_set(enum disk_mood mood, size_t room);
enum disk_mood disk_get(void);

/* The process is killed at its next change but this many: half of a write is done, and whatever it
 * does then leaves no trace on the disk. */
void disk_kill_after(unsigned changes);
bool disk_killed(void);

/* Another process begins. */
void disk_revive(void);

/* How often a change failed. */
extern unsigned disk_failures;

#endif
