/* SPDX-License-Identifier: Apache-2.0 */
#include "pages/markup.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define COMMENT_WIDTH 80

static void put_scd(char c)
{
    if (strchr("\\*_", c))
        putchar('\\');
    putchar(c);
}

static void scd(const char *text, bool sentence)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '`')
            putchar('*');
        else
            put_scd(sentence && i == 0 ? (char)toupper((unsigned char)text[i]) : text[i]);
    }
    if (sentence && len > 0 && text[len - 1] != '.')
        putchar('.');
}

void markup_scd(const char *text)
{
    scd(text, false);
}

void markup_scd_sentence(const char *text)
{
    scd(text, true);
}

void markup_scd_bold(const char *text)
{
    putchar('*');
    for (; *text; text++)
        put_scd(*text);
    putchar('*');
}

void markup_scd_word(const char *text)
{
    putchar('_');
    for (; *text; text++)
        put_scd(*text);
    putchar('_');
}

void markup_md(const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            putchar('\\');
        putchar(*text);
    }
}

void markup_md_code(const char *text)
{
    if (!text)
        return;
    putchar('`');
    markup_md(text);
    putchar('`');
}

/* The next word without its marks; the rest is returned. */
static const char *take_word(const char *text, char *word, size_t size)
{
    size_t n = 0;
    for (; *text && *text != ' '; text++)
        if (*text != '`' && n + 1 < size)
            word[n++] = *text;
    word[n] = '\0';
    return text + strspn(text, " ");
}

void markup_comment(const char *text)
{
    char word[COMMENT_WIDTH + 1];
    int column = 0, plain = *text != '`';
    bool stop = *text && text[strlen(text) - 1] == '.';
    while (*text) {
        text = take_word(text, word, sizeof word);
        if (plain && column == 0)
            word[0] = (char)toupper((unsigned char)word[0]);
        plain = 0;
        if (column > 0 && column + 1 + (int)strlen(word) > COMMENT_WIDTH) {
            putchar('\n');
            column = 0;
        }
        column += printf(column == 0 ? "# %s" : " %s", word);
    }
    printf(stop ? "\n" : ".\n");
}
