/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TW_CTL_SHELL_H
#define TW_CTL_SHELL_H

#include <stdbool.h>

#include "base/limits.h"

/* Each byte may become four. */
#define SHELL_WORD_MAX (4 * LIMIT_PATH + 3)

/* The text as one word of a POSIX shell: as it is, or between single quotes. False: too long. */
bool shell_word(char out[SHELL_WORD_MAX], const char *text);

#endif
