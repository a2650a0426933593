/* SPDX-License-Identifier: Apache-2.0 */
/* What checks found: a list that every printer uses. */
#ifndef TW_CTL_FINDINGS_H
#define TW_CTL_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

enum severity {
    FINDING_OK,
    FINDING_NOTE,    /* worth knowing */
    FINDING_WARNING, /* works, but less well than it could */
    FINDING_ERROR    /* the agent would not start, or must not */
};

struct finding {
    const char *name; /* static string: which check */
    enum severity severity;
    char *detail; /* owned; as found, to be escaped */
    char *remedy; /* owned; may be empty */
};

struct findings {
    struct finding *items;
    size_t n;
};

/* Adds one; remedy may be NULL. Ends the program when memory runs out. */
void findings_add(struct findings *f, const char *name, enum severity severity, const char *remedy,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));

/* How many are this severe. */
size_t findings_count(const struct findings *f, enum severity severity);

/* "ok", "note", "warning", "error". */
const char *severity_name(enum severity severity);

void findings_finish(struct findings *f);

#endif
