/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz harnesses share: a check that ends the process, a reader of the input, the log. */
#ifndef TW_TESTS_FUZZ_FUZZ_H
#define TW_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* libFuzzer's entry, and replay.c's: 0, always. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold for every input. */
#define CHECK(property) ((property) ? (void)0 : fuzz_fail(#property, __FILE__, __LINE__))
_Noreturn void fuzz_fail(const char *property, const char *file, int line);

/* The input, read from its front; past its end come zeros and empty spans. */
struct input {
    const uint8_t *at;
    size_t left;
};
uint8_t input_byte(struct input *in);
uint16_t input_word(struct input *in);
struct span input_take(struct input *in, size_t most);
/* The rest, up to a line's end, which is taken as well. */
struct span input_line(struct input *in);

/* Sizes of the pieces that an input is split into: from 1 to max, the same for the same seed. */
size_t fuzz_piece(uint32_t *seed, size_t max);

/* Bytes that are allocated now; 0 where no sanitizer counts them. */
size_t fuzz_allocated(void);

/*
 * What log_line was given since fuzz_log_clear, a line each, before it is escaped. Harnesses are
 * linked with --wrap=log_line: nothing reaches descriptor 2.
 */
struct fuzz_log {
    size_t len;
    unsigned lines;
    char text[65536];
};
extern struct fuzz_log fuzz_log;
void fuzz_log_clear(void);
bool fuzz_log_has(struct span text);

#endif
