/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/tower.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_FORMAT "00000000-0000-4000-8000-%012llx"
#define ID_PREFIX 24 /* bytes of it before the number */
#define REQUEST   8192

static void complain(struct tower *t, const char *what, const struct agent *a)
{
    printf("{\"error\":\"%s: %s\"}\n", a ? a->id : "?", what);
    fflush(stdout);
    t->work.kind = WORK_NONE;
}

/* ---- requests ---- */

static size_t make_request(char *out, uint64_t id, const char *text)
{
    int n = snprintf(out, REQUEST,
                     "{\"@type\":\"command-request\",\"id\":\"" ID_FORMAT "\",\"command\":\"",
                     (unsigned long long)id);
    char *at = out + n;
    for (; *text && at < out + REQUEST - 8; text++) {
        if (*text == '"' || *text == '\\')
            *at++ = '\\';
        *at++ = *text;
    }
    memcpy(at, "\"}", 2);
    return (size_t)(at + 2 - out);
}

static void send_next(struct tower *t)
{
    struct work *w = &t->work;
    char request[REQUEST];
    int i = w->sent++, target = i % w->n_targets;
    size_t len = make_request(request, w->first_id + (uint64_t)i, w->texts[target]);
    w->sent_ns[i] = now_ns();
    if (!tower_send(w->targets[target], WS_TEXT, request, len) && w->kind == WORK_LOAD)
        complain(t, "is not connected", w->targets[target]);
}

static void print_load(const struct work *w)
{
    printf("{\"seconds\":%.6f,\"bytes\":%llu,\"us\":[", (double)(now_ns() - w->begun) / 1e9,
           (unsigned long long)w->bytes);
    for (int target = 0; target < w->n_targets; target++) {
        printf("%s[", target ? "," : "");
        for (int i = target; i < w->total; i += w->n_targets)
            printf("%s%.1f", i > target ? "," : "", (double)w->took_ns[i] / 1e3);
        printf("]");
    }
    printf("],\"status\":[");
    for (int target = 0; target < w->n_targets; target++) {
        printf("%s[", target ? "," : "");
        for (int i = target; i < w->total; i += w->n_targets)
            printf("%s%d", i > target ? "," : "", w->status[i]);
        printf("]");
    }
    printf("]}\n");
    fflush(stdout);
}

static void on_response(struct tower *t, const struct agent *a, const struct ws_message *m)
{
    struct work *w = &t->work;
    const char *id = message_value(m, "id"), *status = message_value(m, "exitStatus");
    if (!id || !status || strlen(id) < 1 + ID_PREFIX) {
        complain(t, "sent a response without id or exitStatus", a);
        return;
    }
    uint64_t i = strtoull(id + 1 + ID_PREFIX, NULL, 16) - w->first_id;
    if (w->kind != WORK_LOAD || i >= (uint64_t)w->sent || w->took_ns[i] != 0) {
        complain(t, "sent a response that nobody waits for", a);
        return;
    }
    w->took_ns[i] = t->received_ns - w->sent_ns[i];
    w->status[i] = (int)strtol(status, NULL, 10);
    w->bytes += m->len;
    w->answered++;
    if (w->sent < w->total)
        send_next(t);
    if (w->answered == w->total && w->kind == WORK_LOAD) {
        w->kind = WORK_NONE;
        print_load(w);
    }
}

static void *table(void *old, size_t n, size_t size)
{
    free(old);
    void *p = calloc(n, size);
    if (!p)
        fail("no memory");
    return p;
}

/* load ROUNDS IN-FLIGHT ID TEXT [ID TEXT …]: requests to the agents in turn. */
static void load(struct tower *t, char *rest)
{
    struct work *w = &t->work;
    int rounds = (int)strtol(strsep(&rest, "\t"), NULL, 10);
    int in_flight = rest ? (int)strtol(strsep(&rest, "\t"), NULL, 10) : 0;
    for (w->n_targets = 0; rest && w->n_targets < 8; w->n_targets++) {
        w->targets[w->n_targets] = tower_agent(t, strsep(&rest, "\t"));
        free(w->texts[w->n_targets]);
        w->texts[w->n_targets] = rest ? strdup(strsep(&rest, "\t")) : NULL;
        if (!w->texts[w->n_targets])
            fail("load: a target without a text");
    }
    w->total = rounds * w->n_targets;
    if (w->total < 1 || in_flight < 1)
        fail("load: nothing to do");
    w->sent_ns = table(w->sent_ns, (size_t)w->total, sizeof *w->sent_ns);
    w->took_ns = table(w->took_ns, (size_t)w->total, sizeof *w->took_ns);
    w->status = table(w->status, (size_t)w->total, sizeof *w->status);
    w->first_id = t->next_id;
    t->next_id += (uint64_t)w->total;
    w->sent = w->answered = 0;
    w->bytes = 0;
    w->kind = WORK_LOAD;
    w->begun = now_ns();
    while (w->kind == WORK_LOAD && w->sent < w->total && w->sent < in_flight)
        send_next(t);
}

/* ---- waiting, ending ---- */

static void check_waiting(struct tower *t)
{
    struct work *w = &t->work;
    const struct agent *a = w->agent;
    if ((w->kind != WORK_ONLINE || a->infos < w->until) &&
        (w->kind != WORK_BEATS || a->beats < w->until))
        return;
    printf("{\"t\":%.6f,\"infos\":%u,\"beats\":%u}\n",
           (double)(w->kind == WORK_ONLINE ? a->info_ns : now_ns()) / 1e9, a->infos, a->beats);
    fflush(stdout);
    w->kind = WORK_NONE;
}

/* close ID CODE, or rst in place of the code */
static void end(struct agent *a, const char *how)
{
    int64_t begun = now_ns();
    bool connected = a->connection;
    if (strcmp(how, "rst") == 0) {
        tower_reset(a);
    } else {
        unsigned code = (unsigned)strtoul(how, NULL, 10);
        uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
        connected = tower_send(a, WS_CLOSE, payload, sizeof payload);
    }
    if (connected)
        printf("{\"t\":%.6f}\n", (double)begun / 1e9);
    else
        printf("{\"error\":\"%s: is not connected\"}\n", a->id);
    fflush(stdout);
}

void script_line(struct tower *t, char *line)
{
    char *rest = line;
    const char *what = strsep(&rest, "\t");
    struct work *w = &t->work;
    if (!rest)
        fail("a line without fields");
    if (w->kind != WORK_NONE)
        fail("asked while at work");
    if (strcmp(what, "load") == 0) {
        load(t, rest);
        return;
    }
    struct agent *a = tower_agent(t, strsep(&rest, "\t"));
    if (!rest)
        fail("a field is missing");
    if (strcmp(what, "close") == 0) {
        end(a, rest);
        return;
    }
    w->agent = a;
    w->until = (unsigned)strtoul(rest, NULL, 10);
    if (strcmp(what, "online") == 0) { /* online ID N: its Nth info */
        w->kind = WORK_ONLINE;
    } else if (strcmp(what, "beats") == 0) { /* beats ID N: N more heartbeats */
        w->kind = WORK_BEATS;
        w->until += a->beats;
    } else {
        fail("an unknown line");
    }
    check_waiting(t);
}

/* ---- what agents say ---- */

void script_message(struct tower *t, struct agent *a, const struct ws_message *m)
{
    static const char reply[] = "{\"@type\":\"heartbeat\"}";
    const char *type = message_value(m, "@type");
    if (!type) {
        complain(t, "sent a message without @type", a);
    } else if (strncmp(type, "\"command-response\"", 18) == 0) {
        on_response(t, a, m);
    } else if (strncmp(type, "\"heartbeat\"", 11) == 0) {
        tower_send(a, WS_TEXT, reply, sizeof reply - 1);
        a->beats++;
        check_waiting(t);
    } else if (strncmp(type, "\"info\"", 6) == 0) {
        a->infos++;
        a->info_ns = t->received_ns;
        check_waiting(t);
    }
}

void script_lost(struct tower *t, const struct agent *a)
{
    struct work *w = &t->work;
    if (w->kind == WORK_BEATS && w->agent == a)
        complain(t, "was lost while idle", a);
    for (int i = 0; w->kind == WORK_LOAD && i < w->n_targets; i++)
        if (w->targets[i] == a)
            complain(t, "was lost at work", a);
}
