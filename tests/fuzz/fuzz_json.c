/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text message of the server's, as JSON: what passes the scan is within its bounds once decoded,
 * by counting the tree; memory stays in proportion; what is taken out of it fits the message to
 * core and comes back the same when encoded.
 *
 * Input: the message.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/json_scan.h"
#include "net/session/messages.h"
#include "tests/fuzz/fuzz.h"

/* What jansson may hold for a token: 165 to 232 bytes were measured for empty objects, the dearest.
 */
#define VALUE_COST 400
#define FIXED_COST 65536

struct tree {
    size_t values;
    unsigned depth;
};

static struct tree measure(const json_t *v)
{
    struct tree t = {.values = 1}, part;
    const char *key;
    json_t *child;
    size_t i;
    if (json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, child)
        {
            part = measure(child);
            t.values += 1 + part.values; /* the key is a token as well */
            t.depth = part.depth > t.depth ? part.depth : t.depth;
        }
        t.depth++;
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, child)
        {
            part = measure(child);
            t.values += part.values;
            t.depth = part.depth > t.depth ? part.depth : t.depth;
        }
        t.depth++;
    }
    return t;
}

static void check_tree(struct span text)
{
    size_t before = fuzz_allocated();
    json_t *root = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (!root)
        return;
    struct tree t = measure(root);
    CHECK(t.depth <= JSON_DEPTH_MAX && t.values <= JSON_TOKENS_MAX);
    size_t after = fuzz_allocated();
    CHECK(after < before || after - before <= FIXED_COST + VALUE_COST * t.values + 2 * text.len);
    json_decref(root);
}

static void check_string(struct span s)
{
    CHECK(text_is_utf8(s.data, s.len));
    CHECK(!memchr(s.data, '\0', s.len));
}

/* A response to this id, read back. */
static void check_response(struct span id, bool empty)
{
    struct buf b;
    const char *tail;
    struct msg_result result = {.id = id, .status = 255};
    buf_init(&b, 6 * LIMIT_ID + 128);
    CHECK(message_response(&b, &tail, &result, empty) && buf_append(&b, tail, strlen(tail)));
    json_t *root = json_loadb(buf_data(&b), buf_len(&b), JSON_REJECT_DUPLICATES, NULL);
    CHECK(json_is_object(root) && json_object_size(root) == (empty ? 3 : 4));
    const json_t *again = json_object_get(root, "id");
    CHECK(span_equal((struct span){json_string_value(again), json_string_length(again)}, id));
    CHECK(json_integer_value(json_object_get(root, "exitStatus")) == 255);
    json_decref(root);
    buf_finish(&b);
}

/* As conversation.c gives it to core: a message that cannot be sent would end the session. */
static void check_command(const struct message *m)
{
    static char frame[LIMIT_PACKET];
    struct msg_command c = {.id = m->id};
    if (m->command.len <= LIMIT_INLINE_TEXT)
        c.text = m->command;
    CHECK(m->id.len > 0 && m->id.len <= LIMIT_ID && m->command.len <= LIMIT_PAYLOAD);
    check_string(m->id);
    check_string(m->command);
    CHECK(ipc_encode(frame, sizeof frame, MSG_command, &c) > 0);
    check_response(m->id, m->command.len & 1);
}

/* The same message with white space around it says the same. */
static void check_padded(const struct message *m, struct span text)
{
    struct message padded;
    char *copy = malloc(text.len + 3);
    CHECK(copy);
    copy[0] = ' ';
    memcpy(copy + 1, text.data, text.len);
    memcpy(copy + 1 + text.len, "\r\n", 2);
    message_decode(&padded, (struct span){copy, text.len + 3});
    free(copy);
    CHECK(padded.kind == m->kind && padded.harmless == m->harmless);
    CHECK(span_equal(padded.id, m->id) && span_equal(padded.command, m->command));
    message_finish(&padded);
}

static void check_message(struct span text)
{
    struct message m;
    message_decode(&m, text);
    CHECK((m.kind == MESSAGE_REFUSED) == (m.why != NULL));
    CHECK(!m.harmless || (m.kind == MESSAGE_REFUSED && json_is_object(m.root)));
    CHECK(m.kind == MESSAGE_REFUSED || !json_scan(text, JSON_TOKENS_MAX));
    if (m.kind == MESSAGE_COMMAND)
        check_command(&m);
    check_padded(&m, text);
    message_finish(&m);
}

static void check_body(struct span text)
{
    char version[65], message[LIMIT_DETAIL + 1], again[LIMIT_DETAIL + 1];
    if (body_api_version(text, version, sizeof version))
        CHECK(*version && strlen(version) < sizeof version);
    body_message(text, message, sizeof message);
    text_clean(again, sizeof again, span_of(message));
    CHECK(strcmp(message, again) == 0);
    text_clean(message, sizeof message, text);
    CHECK(text_is_utf8(message, strlen(message)) && strlen(message) <= text.len);
    for (const char *c = message; *c; c++)
        CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
}

/* The info message is what it was made of, whatever the names hold. */
static void check_info(struct span text)
{
    struct span name = {text.data, text.len < LIMIT_USER ? text.len : LIMIT_USER};
    struct msg_info info = {.user_name = name, .work_dir = name, .agent_version = span_of("1")};
    struct buf b;
    if (!text_is_utf8(name.data, name.len) || memchr(name.data, '\0', name.len))
        return;
    buf_init(&b, 6 * (LIMIT_USER + LIMIT_PATH + 32) + 128);
    CHECK(message_info(&b, &info));
    json_t *root = json_loadb(buf_data(&b), buf_len(&b), JSON_REJECT_DUPLICATES, NULL);
    const json_t *again = json_object_get(root, "userName");
    CHECK(json_is_string(again));
    CHECK(span_equal((struct span){json_string_value(again), json_string_length(again)}, name));
    json_decref(root);
    buf_finish(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool seeded;
    if (!seeded)
        json_object_seed(1);
    seeded = true;
    if (size == 0)
        return 0;
    struct span text = {(const char *)data, size};
    if (!json_scan(text, JSON_TOKENS_MAX))
        check_tree(text);
    check_message(text);
    check_body(text);
    check_info(text);
    return 0;
}
