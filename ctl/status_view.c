/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/status_view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "base/wall.h"
#include "ctl/output.h"

#define LABEL "  %-14s "

static void judge(struct view *v, enum instance_lock lock)
{
    const struct status_facts *f = &v->facts;
    if (lock == INSTANCE_FREE) {
        v->condition = VIEW_NOT_RUNNING;
        return;
    }
    if (!f->root) {
        v->condition = VIEW_UNKNOWN;
    } else if (f->pid > 0 && f->pid != v->instance.pid) {
        v->condition = VIEW_UNKNOWN;
        snprintf(v->why, sizeof v->why,
                 STATUS_FILE " is of an earlier run, process %lld: the agent starts, or cannot "
                             "write (is the disk full?)",
                 (long long)f->pid);
    } else {
        v->condition = f->next_write < v->now ? VIEW_SILENT : VIEW_RUNNING;
    }
}

void view_look(struct view *v)
{
    const char *why = NULL;
    v->now = wall_s();
    v->why[0] = '\0';
    if (!instance_open(&v->instance, v->path)) {
        v->condition = errno == ENOENT ? VIEW_NONE : VIEW_UNKNOWN;
        if (errno != ENOENT)
            snprintf(v->why, sizeof v->why, "its state directory cannot be read: %s",
                     strerror(errno));
        return;
    }
    enum instance_lock lock = instance_lock(&v->instance, v->why, sizeof v->why);
    char *text = instance_load(&v->instance, STATUS_FILE, STATUS_FILE_MAX, &why);
    char what[300];
    if (text)
        why = status_facts_take(&v->facts, text, what, sizeof what);
    free(text);
    if (why && !v->why[0])
        snprintf(v->why, sizeof v->why, STATUS_FILE " cannot be used: %s", why);
    if (lock == INSTANCE_FOREIGN)
        v->condition = VIEW_UNKNOWN;
    else
        judge(v, lock);
}

bool view_online(const struct view *v)
{
    return v->condition == VIEW_RUNNING && strcmp(v->facts.state, "online") == 0;
}

void view_finish(struct view *v)
{
    instance_finish(&v->instance);
    status_facts_finish(&v->facts);
}

/* ---- texts ---- */

static void say(const char *text)
{
    output_escaped(stdout, text, false);
}

/* "45 s", "12 min", "2 h", "3 d" */
static void say_age(int64_t seconds)
{
    static const struct {
        int64_t most, unit;
        const char *name;
    } steps[] = {{120, 1, "s"}, {7200, 60, "min"}, {172800, 3600, "h"}, {INT64_MAX, 86400, "d"}};
    size_t i = 0;
    if (seconds < 0)
        seconds = 0; /* the clock was set back */
    while (seconds >= steps[i].most)
        i++;
    printf("%lld %s", (long long)(seconds / steps[i].unit), steps[i].name);
}

/* The time of day; with the date when that is another. */
static void say_time(int64_t when, int64_t now)
{
    time_t t = (time_t)when, n = (time_t)now;
    struct tm a, b;
    char text[64] = "?";
    if (localtime_r(&t, &a) && localtime_r(&n, &b)) {
        bool today = a.tm_yday == b.tm_yday && a.tm_year == b.tm_year;
        strftime(text, sizeof text, today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &a);
    }
    fputs(text, stdout);
}

static void say_since(int64_t when, int64_t now)
{
    printf(" since ");
    say_time(when, now);
    printf(" (");
    say_age(now - when);
    printf(")");
}

static void say_state(const struct status_facts *f)
{
    for (const char *c = f->state; *c; c++) {
        char one[2] = {*c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c == '-' ? ' ' : *c, '\0'};
        if ((unsigned char)*c >= 0x80)
            one[0] = '?'; /* no state of ours */
        say(one);
    }
}

static void print_ended(const struct view *v)
{
    const struct status_facts *f = &v->facts;
    printf("NOT RUNNING");
    if (!f->root)
        return;
    say_since(f->written, v->now);
    if (f->exit_code >= 0)
        printf(": it ended with code %lld", (long long)f->exit_code);
    else
        printf(" or later: it ended without a word (killed?)");
}

void view_print_line(const struct view *v)
{
    const struct status_facts *f = &v->facts;
    switch (v->condition) {
    case VIEW_NONE:
        printf("NOT RUNNING: it has no state on this host, so it was never started here");
        return;
    case VIEW_NOT_RUNNING:
        print_ended(v);
        return;
    case VIEW_UNKNOWN:
        printf("UNKNOWN");
        if (v->instance.pid > 0)
            printf(" (process %lld)", (long long)v->instance.pid);
        printf(": ");
        say(v->why);
        return;
    case VIEW_SILENT:
        printf("NOT RESPONDING: process %lld runs, but has not updated its status for ",
               (long long)v->instance.pid);
        say_age(v->now - f->written);
        printf("; it was ");
        say_state(f);
        return;
    case VIEW_RUNNING:
        say_state(f);
        say_since(f->since, v->now);
        printf("  sandbox: ");
        say(f->level);
        return;
    }
}

static void print_reduced(const struct status_facts *f)
{
    size_t i;
    const json_t *item;
    if (json_array_size(f->reduced) == 0)
        return;
    printf(LABEL "not in full:", "sandbox");
    json_array_foreach(f->reduced, i, item)
    {
        printf(i ? ", " : " ");
        say(json_string_value(item));
    }
    printf(" (tw-agentctl check says why)\n");
}

static void print_connection(const struct view *v)
{
    const struct status_facts *f = &v->facts;
    if (*f->reason && view_online(v) == false) {
        printf(LABEL, "why");
        say(f->reason);
        putchar('\n');
    }
    printf(LABEL, "server");
    say(f->url);
    if (*f->api_version) {
        printf("  version ");
        say(*f->server_version ? f->server_version : "unknown");
        printf(", API ");
        say(f->api_version);
    }
    printf("\n" LABEL, "connection ID");
    say(f->connection_id);
    printf("\n" LABEL, "heartbeat");
    if (f->last_reply > 0) {
        printf("answered ");
        say_age(v->now - f->last_reply);
        printf(" ago");
    } else {
        printf("not answered yet");
    }
    bool whole = f->interval_ms % 1000 == 0;
    printf(", every %lld %s; %lld reconnects\n",
           (long long)(whole ? f->interval_ms / 1000 : f->interval_ms), whole ? "s" : "ms",
           (long long)f->reconnects);
}

/* Ages go on while nothing is written. */
static void print_commands(const struct view *v)
{
    const struct status_facts *f = &v->facts;
    printf(LABEL "%lld commands, %lld bytes\n", "queue", (long long)f->queued,
           (long long)f->queued_bytes);
    printf(LABEL "%lld commands", "running", (long long)f->running);
    for (size_t i = 0; i < f->n_commands; i++) {
        printf("\n" LABEL "  ", "");
        say_age(f->commands[i].seconds + (v->now - f->written));
        printf("\t");
        say(f->commands[i].id);
        printf("%s", i == 0 && f->n_commands > 1 ? " (the oldest)" : "");
    }
    printf("\n" LABEL
           "%lld received, %lld started, %lld finished, %lld delivered; %lld repeated, %lld "
           "refused, %lld withheld\n",
           "commands", (long long)f->received, (long long)f->begun, (long long)f->finished,
           (long long)f->delivered, (long long)f->repeated, (long long)f->refused,
           (long long)f->withheld);
    printf(LABEL "%lld undelivered; %lld bytes in memory, %lld on disk\n", "results",
           (long long)f->undelivered, (long long)f->memory_bytes, (long long)f->disk_bytes);
}

void view_print(const struct view *v)
{
    const struct status_facts *f = &v->facts;
    view_print_line(v);
    putchar('\n');
    if (v->condition == VIEW_NOT_RUNNING && v->why[0]) {
        printf(LABEL, "status");
        say(v->why);
        putchar('\n');
    }
    if (f->root && v->condition >= VIEW_SILENT) {
        print_reduced(f);
        print_connection(v);
        print_commands(v);
        printf(LABEL, "attestation");
        say(f->attestation);
        printf("\n" LABEL, "agent");
        say(f->version);
        printf(", %s mode, process %lld, started ", strcmp(f->mode, "system") ? "user" : "system",
               (long long)v->instance.pid);
        say_time(f->started, v->now);
        printf("; tw-agentctl " TW_VERSION "\n");
    }
    if (f->root && f->error_time > 0) {
        printf(LABEL, "last error");
        say_time(f->error_time, v->now);
        printf("  ");
        say(f->error);
        putchar('\n');
    }
}

/* A path, or the name of a file, can be any bytes; JSON holds UTF-8. */
static json_t *any_json(const char *path)
{
    static char escaped[6 * sizeof((struct view *)NULL)->path];
    json_t *text = json_string(path);
    if (text)
        return text;
    text_escape(escaped, sizeof escaped, path, strlen(path), false);
    return json_string(escaped);
}

json_t *view_json(const struct view *v)
{
    static const char *const conditions[] = {"none", "not-running", "unknown", "silent", "running"};
    json_t *status = v->facts.root ? json_incref(v->facts.root) : json_null();
    return json_pack("{s:o, s:s, s:b, s:s, s:o, s:I, s:I, s:o}", "name", any_json(v->name),
                     "condition", conditions[v->condition], "online", (int)view_online(v),
                     "problem", v->why, "stateDirectory", any_json(v->path), "pid",
                     (json_int_t)v->instance.pid, "time", (json_int_t)v->now, "status", status);
}

int view_good_for_ms(const struct view *v, bool whole)
{
    const struct status_facts *f = &v->facts;
    /* What has no process changes by a new file alone; one that cannot be read is tried again. */
    if (v->condition == VIEW_NONE || v->condition == VIEW_UNKNOWN)
        return 5000;
    int64_t s = v->condition == VIEW_RUNNING ? f->next_write - v->now + 1 : 60;
    if (whole && v->condition >= VIEW_SILENT) /* ages in seconds, then in minutes */
        s = v->now - f->last_reply < 120 || v->now - f->since < 120 || f->n_commands > 0 ? 1 : 60;
    return (int)(s < 1 ? 1 : s > 60 ? 60 : s) * 1000;
}
