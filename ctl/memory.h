/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TW_CTL_MEMORY_H
#define TW_CTL_MEMORY_H

/*
 * Makes OpenSSL, through whose buffers the token goes, wipe whatever it frees, and takes out of the
 * environment what would let it choose OpenSSL's modules or record TLS keys. First thing in main:
 * OpenSSL takes no allocator once it has allocated. 0, or -1 after an error is logged.
 */
int memory_init(void);

#endif
