/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/shell.h"

#include <string.h>

static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                            "_-./:@%+,";

bool shell_word(char out[SHELL_WORD_MAX], const char *text)
{
    size_t len = strlen(text), at = 0;
    if (len > LIMIT_PATH)
        return false;
    if (len > 0 && strspn(text, plain) == len) {
        memcpy(out, text, len + 1);
        return true;
    }
    out[at++] = '\'';
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\'') {
            memcpy(out + at, "'\\''", 4);
            at += 4;
        } else {
            out[at++] = text[i];
        }
    }
    out[at++] = '\'';
    out[at] = '\0';
    return true;
}
