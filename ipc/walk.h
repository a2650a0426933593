/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TW_IPC_WALK_H
#define TW_IPC_WALK_H

#include <stddef.h>

/* More elements than any message has fields. */
#define WALK_ELEMENTS 32

/*
 * Checks, without allocating, that the frame is one msgpack array of 1 to WALK_ELEMENTS elements,
 * each an integer, a str or a bin, whose lengths fit the bytes that are there, with nothing behind
 * it. A decoder that allocates from claimed counts sees only frames that passed. Returns the number
 * of elements, or -1 with a static text in *why.
 */
int ipc_walk(const char *frame, size_t len, const char **why);

#endif
