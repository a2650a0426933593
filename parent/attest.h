/* SPDX-License-Identifier: Apache-2.0 */
/* What core is told so that the agent can attack itself: programs, processes, what is known. */
#ifndef TW_PARENT_ATTEST_H
#define TW_PARENT_ATTEST_H

#include "parent/parent.h"

/* The path of the file that the token comes from, in out; "" when it is none. */
struct span attest_token_file(const struct parent *p, char *out, size_t size);

/* Opens the programs that run and the configuration file, while they may be read. */
void attest_open_programs(struct parent *p);

/* This process, once it is in its sandbox, and what the warnings at start said. */
void attest_send_self(const struct parent *p);

/* A child that has reported. */
void attest_send_process(const struct parent *p, const struct child *c,
                         const struct msg_started *m);

#endif
