/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TW_NET_SESSION_WIPE_H
#define TW_NET_SESSION_WIPE_H

/* Overwrites the stack below the caller's frame: what encryption left in its own frames. */
void wipe_stack(void);

/* Clears the vector registers, which ciphers without AES instructions leave full of plaintext. */
void wipe_registers(void);

#endif
