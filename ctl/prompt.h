/* SPDX-License-Identifier: Apache-2.0 */
/* Questions on the terminal of the session, /dev/tty, whatever the standard streams are. */
#ifndef TW_CTL_PROMPT_H
#define TW_CTL_PROMPT_H

#include <stdbool.h>

#include "base/secret.h"

/* True when there is a terminal to ask on. */
bool prompt_possible(void);

enum prompt_answer { PROMPT_NO, PROMPT_YES, PROMPT_NONE };

/*
 * Shows the lines (NULL at the end), then the question with " [y/N] ", each escaped, and reads a
 * line that was typed after it. Only "y" or "yes" is yes. PROMPT_NONE, after an error is logged: no
 * terminal, or its end.
 */
enum prompt_answer prompt_yes(const char *const *lines, const char *question);

/*
 * Asks for a secret without echo and reads a line into the page; len is set, without the line end.
 * The terminal is as before afterwards, also when SIGINT, SIGTERM, SIGHUP or SIGQUIT ends the
 * program meanwhile. 0, or -1 after an error is logged; the page is then wiped.
 */
int prompt_secret(const char *question, struct secret *page);

#endif
