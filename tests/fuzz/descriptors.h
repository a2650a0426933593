/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of every sort, to be sent along with a packet. */
#ifndef TW_TESTS_FUZZ_DESCRIPTORS_H
#define TW_TESTS_FUZZ_DESCRIPTORS_H

#include "ipc/message.h"

enum sort {
    SENT_NONE,
    SENT_SEALED,       /* a memfd as it should be, of SENT_BYTES */
    SENT_SEALED_EMPTY, /* and of other sizes */
    SENT_SEALED_4M,    /* a byte more than a CA bundle may have */
    SENT_SEALED_MOST,  /* the largest output */
    SENT_SEALED_OVER,  /* a byte more */
    SENT_UNSEALED,
    SENT_HALF_SEALED, /* it may still grow */
    SENT_SOCKET,
    SENT_DIRECTORY,
    SENT_PIPE,
    SENT_TWO, /* two good memfds */
    SENT_FILE,
    SENT_SORTS
};

#define SENT_BYTES "squeue: nothing\n"

/* Sends the frame with such descriptors, which stay ours for the next time. 0 or -1 with errno. */
int sent_packet(int socket, const void *frame, size_t len, enum sort sort);

/* Whether the table lets a message of this row come with it. */
bool sent_fits(const struct ipc_row *row, enum sort sort);

/* Puts one end of a new channel at this number, as a program has it at its birth; returns the
 * other, non-blocking. */
int sent_peer(int number);

/* The number that the fourth of four new descriptors gets: higher after a leak. */
int sent_numbers(void);

#endif
