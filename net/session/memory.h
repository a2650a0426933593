/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TW_NET_SESSION_MEMORY_H
#define TW_NET_SESSION_MEMORY_H

/*
 * Makes OpenSSL wipe whatever it frees, and keeps big blocks off the heap, so that they return to
 * the system. First thing in main: OpenSSL takes no allocator once it has allocated. 0 or -1.
 */
int memory_init(void);

#endif
