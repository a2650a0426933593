/* SPDX-License-Identifier: Apache-2.0 */
/* What this kernel and mode can enforce, against what the site demands. */
#ifndef TW_SANDBOX_ENFORCE_H
#define TW_SANDBOX_ENFORCE_H

#include <stdbool.h>

#include "sandbox/guarantees.h"

struct requirements {
    unsigned landlock;             /* least ABI; 0: not demanded */
    bool demanded[GUARANTEES_MAX]; /* by enum guarantee_id; only rows with a word */
};

/* The accepted words, for messages. */
extern const char requirement_words[];

enum commands_are facts_commands(const struct facts *f);

/* --require. False: an unknown name. */
bool requirements_parse(struct requirements *r, const char *text);

/* One demand that is not met: its word as it was given, and what the row says. */
typedef void requirement_unmet(void *context, const char *word, const struct judgement *j);

/* Calls unmet for each demand that is not met. True: none. */
bool requirements_judge(const struct requirements *r, const struct facts *f,
                        requirement_unmet *unmet, void *context);

/* The same, with one line in the log for each. */
bool requirements_met(const struct requirements *r, const struct facts *f);

/* The guarantees that do not hold in full: bit n is row n. */
unsigned facts_reduced(const struct facts *f);

/* Logs one line for each guarantee that does not hold in full. */
void facts_warn(const struct facts *f);

#endif
