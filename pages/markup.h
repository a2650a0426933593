/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of the option table, in which `code` stands in backticks, in other forms. */
#ifndef TW_PAGES_MARKUP_H
#define TW_PAGES_MARKUP_H

#include <stdbool.h>

/* For scdoc(5): code in bold, everything else literally. */
void markup_scd(const char *text);

/* The same as a sentence of its own: a capital in front, a full stop behind. */
void markup_scd_sentence(const char *text);

/* Literally, in bold or (an argument's word) underlined. */
void markup_scd_bold(const char *text);
void markup_scd_word(const char *text);

/* For a cell of a table in Markdown. */
void markup_md(const char *text);

/* A cell of one piece of code; empty when text is NULL. */
void markup_md_code(const char *text);

/* A sentence without marks, broken into lines of 80 that begin with "# ". */
void markup_comment(const char *text);

#endif
