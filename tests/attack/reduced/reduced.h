/* SPDX-License-Identifier: Apache-2.0 */
/* What an older kernel knows of Landlock, judged from outside the programs that ask. */
#ifndef TW_REDUCED_H
#define TW_REDUCED_H

#include <stdbool.h>
#include <stdint.h>

struct rules {
    int abi;
    uint64_t refused_fs; /* rights that are refused although the ABI has them */
};

/* This kernel's ABI; 0: none. */
int real_abi(void);

/* Sends the listener to the helper and waits until it has it. 0 or -1. */
int judge_give(int channel, int listener);

/* The helper: judges until the last process under the filter has ended. An exit code. */
int judge(int channel, const struct rules *rules);

#endif
