/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: the fixed numbers that a child starts with, and nothing beside them. */
#ifndef TW_BASE_FDS_H
#define TW_BASE_FDS_H

#include <stdbool.h>
#include <stddef.h>

/* Closes every descriptor from first on. 0, or -1 with errno. */
int fds_close_from(int first);

/*
 * Puts fds[i] at descriptor first+i, without close-on-exec, for i < n (n <= 8), whatever their
 * numbers are now, and closes all others from first+n on. Async-signal-safe: for use between clone
 * and execve. 0, or -1 with errno.
 */
int fds_arrange(int first, const int *fds, int n);

/* Opens /dev/null at each of 0, 1 and 2 that is closed, so that no later descriptor takes such a
 * number. 0 or -1. */
int fds_fill_standard(void);

/* True when fd is an AF_UNIX SOCK_SEQPACKET socket: what a program started by hand does not have
 * at 3. */
bool fds_is_channel(int fd);

/* Sets or clears O_NONBLOCK. 0 or -1 with errno. */
int fds_set_nonblocking(int fd, bool on);

/* The part of our descriptors (1/share of the soft limit) that something may have; most at most. */
size_t fds_share(size_t share, size_t most);

/* Writes all of it, whatever write(2) takes at a time, to a descriptor that blocks. 0, or -1 with
 * errno. */
int fds_write(int fd, const void *data, size_t len);

/* Closes *fd unless it is -1, and sets it to -1. */
void fds_close(int *fd);

#endif
