/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/output.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "policy/redact.h"

/* So many bytes are escaped at once; a character never becomes more than six times as long. */
#define PIECE 256

/* The bytes of text up to max that cut no character. */
static size_t piece_of(const char *text, size_t len)
{
    if (len <= PIECE)
        return len;
    size_t n = PIECE;
    while (n > PIECE - 4 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    return n;
}

void output_escaped(FILE *out, const char *text, bool json)
{
    char escaped[8 * PIECE];
    size_t left = strlen(text);
    while (left > 0) {
        size_t n = piece_of(text, left);
        fwrite(escaped, 1, text_escape(escaped, sizeof escaped, text, n, json), out);
        text += n;
        left -= n;
    }
}

void output_message(void *context, enum log_level level, const char *message)
{
    char *first = context, safe[LOG_LINE_MAX];
    /* A token given to the wrong option would be repeated. */
    redact(safe, sizeof safe, span_of(message));
    if (first && first[0] == '\0' && level == LOG_LEVEL_ERROR)
        redact(first, OUTPUT_FIRST_MAX, span_of(message));
    fprintf(stderr, "tw-agentctl: ");
    output_escaped(stderr, safe, false);
    fputc('\n', stderr);
}

void output_json_text(FILE *out, bool first, const char *key, const char *text)
{
    fprintf(out, "%s\"%s\":\"", first ? "" : ",", key);
    output_escaped(out, text, true);
    fputc('"', out);
}

void output_json_bool(FILE *out, bool first, const char *key, bool value)
{
    fprintf(out, "%s\"%s\":%s", first ? "" : ",", key, value ? "true" : "false");
}

void output_json_line(json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    if (!text)
        log_error("it cannot be written as JSON");
    /* DEL is ASCII too. */
    for (const char *at = text; at && *at; at++)
        if (*at == 0x7f)
            fputs("\\u007f", stdout);
        else
            putchar(*at);
    putchar('\n');
    free(text);
    json_decref(value);
}
