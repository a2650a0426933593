/* SPDX-License-Identifier: Apache-2.0 */
#include "net/session/messages.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/json_scan.h"

/* ---- from Tower ---- */

static json_t *load(struct span text, const char **why)
{
    *why = json_scan(text, JSON_TOKENS_MAX);
    if (*why)
        return NULL;
    json_t *root = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (!root)
        *why = "not JSON, or a repeated key";
    return root;
}

/* A string member; false when absent or of another type. */
static bool member(const json_t *object, const char *key, struct span *s)
{
    const json_t *v = json_object_get(object, key);
    if (!json_is_string(v))
        return false;
    *s = (struct span){json_string_value(v), json_string_length(v)};
    return true;
}

static const char *decode_command(struct message *m)
{
    if (!member(m->root, "id", &m->id) || m->id.len == 0 || m->id.len > LIMIT_ID)
        return "command request without a proper id";
    if (!member(m->root, "command", &m->command))
        return "command request without a command";
    m->kind = MESSAGE_COMMAND;
    return NULL;
}

void message_decode(struct message *m, struct span text)
{
    struct span type;
    *m = (struct message){.kind = MESSAGE_REFUSED};
    m->root = load(text, &m->why);
    if (!m->root)
        return;
    if (!json_is_object(m->root) || !member(m->root, "@type", &type))
        m->why = "no @type";
    else if (span_is(type, "heartbeat"))
        m->kind = MESSAGE_HEARTBEAT;
    else if (span_is(type, "command-request"))
        m->why = decode_command(m);
    else
        *m = (struct message){
            .kind = MESSAGE_REFUSED, .why = "unknown @type", .harmless = true, .root = m->root};
}

void message_finish(struct message *m)
{
    json_decref(m->root);
    *m = (struct message){.kind = MESSAGE_REFUSED};
}

/* ---- to Tower ---- */

/* The inside of a JSON string, exactly: an id must come back as it was. text is UTF-8. */
static bool quote(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        char piece[8];
        int n = 1;
        if (c == '"' || c == '\\')
            n = snprintf(piece, sizeof piece, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            n = snprintf(piece, sizeof piece, "\\u%04x", c);
        else
            piece[0] = (char)c;
        if (!buf_append(out, piece, (size_t)n))
            return false;
    }
    return true;
}

static bool put(struct buf *out, const char *text)
{
    return buf_append(out, text, strlen(text));
}

bool message_heartbeat(struct buf *out)
{
    return put(out, "{\"@type\":\"heartbeat\"}");
}

bool message_info(struct buf *out, const struct msg_info *m)
{
    return put(out, "{\"@type\":\"info\",\"userName\":\"") && quote(out, m->user_name) &&
           put(out, "\",\"workDir\":\"") && quote(out, m->work_dir) &&
           put(out, "\",\"agentVersion\":\"") && quote(out, m->agent_version) && put(out, "\"}");
}

bool message_response(struct buf *head, const char **tail, const struct msg_result *m, bool empty)
{
    char status[48];
    snprintf(status, sizeof status, "\",\"exitStatus\":%d%s", (int)m->status,
             empty ? "" : ",\"result\":\"");
    *tail = empty ? "}" : "\"}";
    return put(head, "{\"@type\":\"command-response\",\"id\":\"") && quote(head, m->id) &&
           put(head, status);
}

/* ---- bodies ---- */

bool body_api_version(struct span body, char *version, size_t size)
{
    const char *why;
    struct span text;
    json_t *root = load(body, &why);
    bool ok = json_is_object(root) &&
              member(json_object_get(root, "serviceInfo"), "apiVersion", &text) && text.len > 0 &&
              text.len < size;
    version[0] = '\0';
    for (size_t i = 0; ok && i < text.len; i++)
        ok = text.data[i] >= 0x20 && text.data[i] <= 0x7e;
    if (ok)
        span_copy(version, size, text);
    json_decref(root);
    return ok;
}

void text_clean(char *out, size_t size, struct span text)
{
    size_t at = 0;
    for (size_t i = 0; i < text.len;) {
        uint32_t code = 0;
        size_t n = text_utf8_char(text.data + i, text.len - i, &code);
        bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
        if (n && !control) {
            if (at + n >= size)
                break;
            memcpy(out + at, text.data + i, n);
            at += n;
        }
        i += n ? n : 1;
    }
    out[at] = '\0';
}

void body_message(struct span body, char *out, size_t size)
{
    const char *why;
    struct span text;
    json_t *root = load(body, &why);
    out[0] = '\0';
    if (json_is_object(root) && member(root, "message", &text))
        text_clean(out, size, text);
    json_decref(root);
}

void body_server_version(struct span body, char *out, size_t size)
{
    const char *why;
    struct span text;
    json_t *root = load(body, &why);
    out[0] = '\0';
    if (json_is_object(root) && member(json_object_get(root, "serviceInfo"), "version", &text))
        text_clean(out, size, text);
    json_decref(root);
}
