/* SPDX-License-Identifier: Apache-2.0 */
/* Steps on a road, said one by one as they are taken: a line each, or one JSON object. */
#ifndef TW_CTL_STEPS_H
#define TW_CTL_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum step_state {
    STEP_OK,
    STEP_NOTE,    /* well, and worth knowing */
    STEP_WARNING, /* the road goes on, less well than it could */
    STEP_FAILED   /* the road ends here */
};

/* Of all messages of a step, the first ones that fit. */
#define STEPS_SAID 1024

struct steps {
    bool json;
    size_t n;
    const char *failed;    /* the first step that did; NULL: none */
    const char *name;      /* of the step under way; static string */
    uint64_t since;        /* its start: the end of the one before, unless it is begun later */
    char said[STEPS_SAID]; /* what shared code logged in it */
};

/* From here on what shared code logs is kept for the step under way. */
void steps_begin(struct steps *s, bool json);

/* The step under way from now on. */
void step_begin(struct steps *s, const char *name);

/*
 * Says how it ended, with the time it took. remedy, and output (what a program said), may be NULL.
 * All is escaped here. Gives false for STEP_FAILED.
 */
bool step_end(struct steps *s, enum step_state state, const char *remedy, const char *output,
              const char *format, ...) __attribute__((format(printf, 5, 6)));

/* STEP_FAILED with what shared code logged. */
bool step_end_said(struct steps *s, const char *remedy);

/* The verdict; the log goes to standard error again. True: no step failed, and all was written. */
bool steps_end(struct steps *s);

#endif
