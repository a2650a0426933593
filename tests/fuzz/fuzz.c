/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct fuzz_log fuzz_log;

void fuzz_fail(const char *property, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, property);
    abort();
}

uint8_t input_byte(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

uint16_t input_word(struct input *in)
{
    uint16_t high = input_byte(in);
    return (uint16_t)(high << 8 | input_byte(in));
}

struct span input_take(struct input *in, size_t most)
{
    struct span s = {(const char *)in->at, most < in->left ? most : in->left};
    in->at += s.len;
    in->left -= s.len;
    return s;
}

struct span input_line(struct input *in)
{
    const uint8_t *end = in->left ? memchr(in->at, '\n', in->left) : NULL;
    struct span line = input_take(in, end ? (size_t)(end - in->at) : in->left);
    input_byte(in);
    return line;
}

size_t fuzz_piece(uint32_t *seed, size_t max)
{
    *seed = *seed * 1664525u + 1013904223u;
    uint32_t r = *seed >> 8;
    /* Mostly small: what matters is where a piece ends. */
    size_t most = r & 3 ? 8 : max;
    return 1 + (r >> 2) % (most < max ? most : max);
}

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

size_t fuzz_allocated(void)
{
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : 0;
}

void fuzz_log_clear(void)
{
    fuzz_log.len = 0;
    fuzz_log.lines = 0;
    fuzz_log.text[0] = '\0';
}

bool fuzz_log_has(struct span text)
{
    return text.len && memmem(fuzz_log.text, fuzz_log.len, text.data, text.len);
}

void __wrap_log_line(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void __wrap_log_line(enum log_level level, const char *format, ...)
{
    char line[LOG_LINE_MAX / 2];
    va_list args;
    (void)level;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    CHECK(n >= 0);
    size_t len = (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    fuzz_log.lines++;
    if (len + 2 > sizeof fuzz_log.text - fuzz_log.len)
        return;
    memcpy(fuzz_log.text + fuzz_log.len, line, len);
    fuzz_log.len += len;
    fuzz_log.text[fuzz_log.len++] = '\n';
    fuzz_log.text[fuzz_log.len] = '\0';
}
