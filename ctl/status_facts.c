/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/status_facts.h"

#include <stdio.h>
#include <string.h>

/* What this program understands. */
#define FORMAT   1
#define TEXT_MAX 8192
/* A number beyond is none of the agent's; a time beyond is no date. */
#define NUMBER_MAX (INT64_C(1) << 53)
#define TIME_MAX   INT64_C(99999999999)

enum kind { TEXT, NUMBER, TIME, CODE };

static const struct row {
    const char *object; /* NULL: the whole */
    const char *key;
    enum kind kind;
    size_t offset;
} rows[] = {
#define ROW(object, key, kind, member)                                                             \
    {                                                                                              \
        object, key, kind, offsetof(struct status_facts, member)                                   \
    }
    ROW(NULL, "version", TEXT, version),
    ROW(NULL, "state", TEXT, state),
    ROW(NULL, "reason", TEXT, reason),
    ROW(NULL, "lastError", TEXT, error),
    ROW(NULL, "connectionId", TEXT, connection_id),
    ROW(NULL, "url", TEXT, url),
    ROW("server", "version", TEXT, server_version),
    ROW("server", "apiVersion", TEXT, api_version),
    ROW("sandbox", "level", TEXT, level),
    ROW(NULL, "workDir", TEXT, work_dir),
    ROW(NULL, "mode", TEXT, mode),
    ROW(NULL, "attestation", TEXT, attestation),
    ROW(NULL, "pid", NUMBER, pid),
    ROW(NULL, "started", TIME, started),
    ROW(NULL, "written", TIME, written),
    ROW(NULL, "nextWrite", TIME, next_write),
    ROW(NULL, "stateSeconds", NUMBER, state_seconds),
    ROW(NULL, "since", TIME, since),
    ROW(NULL, "lastErrorTime", TIME, error_time),
    ROW("heartbeat", "intervalMs", NUMBER, interval_ms),
    ROW("heartbeat", "lastReply", TIME, last_reply),
    ROW(NULL, "reconnects", NUMBER, reconnects),
    ROW("commands", "received", NUMBER, received),
    ROW("commands", "started", NUMBER, begun),
    ROW("commands", "finished", NUMBER, finished),
    ROW("commands", "repeated", NUMBER, repeated),
    ROW("commands", "refused", NUMBER, refused),
    ROW("commands", "withheld", NUMBER, withheld),
    ROW("commands", "delivered", NUMBER, delivered),
    ROW("commands", "queued", NUMBER, queued),
    ROW("commands", "queuedBytes", NUMBER, queued_bytes),
    ROW("commands", "running", NUMBER, running),
    ROW("commands", "undelivered", NUMBER, undelivered),
    ROW("results", "memoryBytes", NUMBER, memory_bytes),
    ROW("results", "diskBytes", NUMBER, disk_bytes),
    ROW(NULL, "exitCode", CODE, exit_code),
#undef ROW
};

static const char *text_of(const json_t *value)
{
    return json_is_string(value) && json_string_length(value) <= TEXT_MAX ? json_string_value(value)
                                                                          : NULL;
}

/* False: it is not of that kind. */
static bool take(struct status_facts *f, const struct row *r)
{
    const json_t *object = r->object ? json_object_get(f->root, r->object) : f->root;
    const json_t *value = json_object_get(object, r->key);
    void *place = (char *)f + r->offset;
    if (r->kind == TEXT)
        return (*(const char **)place = text_of(value)) != NULL;
    int64_t *number = place, most = r->kind == TIME ? TIME_MAX : r->kind == CODE ? 255 : NUMBER_MAX;
    if (r->kind != NUMBER && json_is_null(value))
        return *number = r->kind == CODE ? -1 : 0, true;
    *number = json_integer_value(value);
    return json_is_integer(value) && *number >= 0 && *number <= most;
}

static bool take_running(struct status_facts *f)
{
    const json_t *list = json_object_get(f->root, "running");
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > STATUS_RUNNING)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i), *s = json_object_get(item, "seconds");
        struct status_command *c = &f->commands[f->n_commands++];
        *c = (struct status_command){text_of(json_object_get(item, "id")), json_integer_value(s)};
        if (!c->id || !json_is_integer(s) || c->seconds < 0 || c->seconds > NUMBER_MAX)
            return false;
    }
    return true;
}

static bool take_reduced(struct status_facts *f)
{
    size_t i;
    const json_t *item;
    f->reduced = json_object_get(json_object_get(f->root, "sandbox"), "reduced");
    json_array_foreach(f->reduced, i, item) if (!text_of(item)) return false;
    return json_is_array(f->reduced) && json_array_size(f->reduced) <= STATUS_RUNNING;
}

/* Its name, or NULL. */
static const char *bad_key(struct status_facts *f)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!take(f, &rows[i]))
            return rows[i].key;
    return !take_running(f) ? "running" : !take_reduced(f) ? "reduced" : NULL;
}

const char *status_facts_take(struct status_facts *f, const char *text, char *why, size_t size)
{
    json_error_t error;
    *f = (struct status_facts){.root = json_loads(text, JSON_REJECT_DUPLICATES, &error)};
    const json_t *format = json_object_get(f->root, "format");
    const char *key;
    if (!f->root)
        snprintf(why, size, "it is no whole JSON (line %d)", error.line);
    else if (!json_is_object(f->root))
        snprintf(why, size, "it is no JSON object");
    else if (!json_is_integer(format))
        snprintf(why, size, "it says no format, as a tw-agent before this one wrote it");
    else if (json_integer_value(format) != FORMAT)
        snprintf(why, size,
                 "its format is %lld, and this program knows %d: use the tw-agentctl that was "
                 "installed with the agent",
                 (long long)json_integer_value(format), FORMAT);
    else if ((key = bad_key(f)))
        snprintf(why, size, "\"%s\" in it is missing or not of its kind", key);
    else
        return NULL;
    status_facts_finish(f);
    return why;
}

void status_facts_finish(struct status_facts *f)
{
    json_decref(f->root);
    *f = (struct status_facts){.root = NULL};
}
