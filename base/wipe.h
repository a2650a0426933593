/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TW_BASE_WIPE_H
#define TW_BASE_WIPE_H

/* For those who handle the token: what library code leaves outside of the secret pages. */

/* Overwrites the stack below the caller's frame: what encryption left in its own frames. */
void wipe_stack(void);

/* Clears the vector registers, which ciphers without AES instructions leave full of plaintext. */
void wipe_registers(void);

#endif
