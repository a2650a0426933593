/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must_have(void *memory)
{
    if (memory)
        return memory;
    fprintf(stderr, "tw-agentctl: no memory\n");
    exit(1);
}

void findings_add(struct findings *f, const char *name, enum severity severity, const char *remedy,
                  const char *format, ...)
{
    char *detail = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&detail, format, args) < 0)
        detail = NULL;
    va_end(args);
    f->items = must_have(realloc(f->items, (f->n + 1) * sizeof *f->items));
    f->items[f->n++] = (struct finding){.name = name,
                                        .severity = severity,
                                        .detail = must_have(detail),
                                        .remedy = must_have(strdup(remedy ? remedy : ""))};
}

size_t findings_count(const struct findings *f, enum severity severity)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++)
        n += f->items[i].severity == severity;
    return n;
}

const char *severity_name(enum severity severity)
{
    static const char *const names[] = {"ok", "note", "warning", "error"};
    return names[severity];
}

void findings_finish(struct findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->items[i].detail);
        free(f->items[i].remedy);
    }
    free(f->items);
    *f = (struct findings){0};
}
