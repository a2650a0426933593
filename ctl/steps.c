/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/steps.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ctl/output.h"
#include "policy/redact.h"

#define NAME_WIDTH   15
#define DETAIL_MAX   8192
#define OUTPUT_MAX   4096
#define OUTPUT_LINES 20

static const char *const states[] = {"ok", "note", "warning", "failed"};

static void keep(void *context, enum log_level level, const char *message)
{
    struct steps *s = context;
    size_t at = strlen(s->said);
    if (level <= LOG_LEVEL_WARN)
        snprintf(s->said + at, sizeof s->said - at, "%s%s", at ? "; " : "", message);
}

void steps_begin(struct steps *s, bool json)
{
    *s = (struct steps){.json = json, .since = clock_ms()};
    log_init("ctl", LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    log_to(keep, s);
    if (json)
        printf("{\"steps\":[");
}

void step_begin(struct steps *s, const char *name)
{
    s->name = name;
    s->since = clock_ms();
    s->said[0] = '\0';
    /* A deadline ahead: a reader sees what is waited for. */
    fflush(stdout);
}

static void print_output(const char *output)
{
    unsigned lines = 0;
    while (*output && lines++ < OUTPUT_LINES) {
        char line[OUTPUT_MAX];
        size_t n = strcspn(output, "\n");
        snprintf(line, sizeof line, "%.*s", n < OUTPUT_MAX ? (int)n : OUTPUT_MAX - 1, output);
        printf("  %-8s %-*s | ", "", NAME_WIDTH, "");
        output_escaped(stdout, line, false);
        putchar('\n');
        output += n + (output[n] == '\n');
    }
    if (*output)
        printf("  %-8s %-*s | …\n", "", NAME_WIDTH, "");
}

static void print_text(const struct steps *s, enum step_state state, const char *detail,
                       const char *remedy, const char *output)
{
    printf("  %-8s %-*s ", states[state], NAME_WIDTH, s->name);
    output_escaped(stdout, detail, false);
    printf("  (%llu ms)\n", (unsigned long long)(clock_ms() - s->since));
    print_output(output);
    if (!*remedy)
        return;
    printf("  %-8s %-*s -> ", "", NAME_WIDTH, "");
    output_escaped(stdout, remedy, false);
    putchar('\n');
}

static void print_json(const struct steps *s, enum step_state state, const char *detail,
                       const char *remedy, const char *output)
{
    printf("%s{", s->n ? "," : "");
    output_json_text(stdout, true, "name", s->name);
    output_json_bool(stdout, false, "ok", state != STEP_FAILED);
    output_json_text(stdout, false, "state", states[state]);
    output_json_text(stdout, false, "detail", detail);
    output_json_text(stdout, false, "remedy", remedy);
    output_json_text(stdout, false, "output", output);
    printf(",\"milliseconds\":%llu}", (unsigned long long)(clock_ms() - s->since));
}

bool step_end(struct steps *s, enum step_state state, const char *remedy, const char *output,
              const char *format, ...)
{
    static char detail[DETAIL_MAX], clean[DETAIL_MAX], said[OUTPUT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    redact(clean, sizeof clean, span_of(detail));
    redact(said, sizeof said, span_of(output));
    (s->json ? print_json : print_text)(s, state, clean, remedy ? remedy : "", said);
    fflush(stdout);
    if (state == STEP_FAILED && !s->failed)
        s->failed = s->name;
    s->n++;
    s->since = clock_ms();
    return state != STEP_FAILED;
}

bool step_end_said(struct steps *s, const char *remedy)
{
    return step_end(s, STEP_FAILED, remedy, NULL, "%s", *s->said ? s->said : "no reason is known");
}

bool steps_end(struct steps *s)
{
    log_to(NULL, NULL);
    if (s->json) {
        printf("],\"ok\":%s", s->failed ? "false" : "true");
        output_json_text(stdout, false, "endsAt", s->failed ? s->failed : "");
        printf("}\n");
    } else if (s->failed) {
        printf("\nverdict: ends at the step '%s'\n", s->failed);
    } else {
        printf("\nverdict: ok\n");
    }
    return fflush(stdout) == 0 && !s->failed;
}
