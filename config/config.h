/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file: lines of "key = value"; a line that begins with # or ; is a comment; an
 * indented line is a further value of a list.
 */
#ifndef TW_CONFIG_CONFIG_H
#define TW_CONFIG_CONFIG_H

#include "config/options.h"

/* Reads the file that OPT_CONFIG names, if any, and takes what is good in it. 0, or EXIT_CONFIG
 * after an error is logged for each mistake, with file, line and remedy. */
int config_read(struct options *o);

/* The same from memory, which is changed; name is for messages. */
int config_parse(struct options *o, char *text, size_t len, const char *name);

#endif
