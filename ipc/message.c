/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/message.h"

#include <msgpack.h>
#include <string.h>

#include "base/text.h"
#include "ipc/walk.h"

#define U(message, field, max)                                                                     \
    {#field, KIND_UNSIGNED, offsetof(struct msg_##message, field), 0, max},
#define I(message, field, min, max)                                                                \
    {#field, KIND_SIGNED, offsetof(struct msg_##message, field), min, max},
#define S(message, field, min, max)                                                                \
    {#field, KIND_TEXT, offsetof(struct msg_##message, field), min, max},
#define B(message, field, min, max)                                                                \
    {#field, KIND_BYTES, offsetof(struct msg_##message, field), min, max},
#define MESSAGE(name, directions, phases, frequency, descriptor, fd_max, meaning, fields)          \
    static const struct ipc_field fields_##name[] = {fields};
#include "ipc/messages.def"
#undef MESSAGE

#define MESSAGE(name, directions, phases, frequency, descriptor, fd_max, meaning, fields)          \
    {#name,  meaning,       directions,                                                            \
     phases, frequency,     descriptor,                                                            \
     fd_max, fields_##name, sizeof fields_##name / sizeof *fields_##name},
static const struct ipc_row rows[MSG_COUNT] = {
#include "ipc/messages.def"
};
#undef MESSAGE

#define MESSAGE(name, ...)                                                                         \
    _Static_assert(sizeof fields_##name / sizeof *fields_##name < WALK_ELEMENTS,                   \
                   "more fields than a walk allows");
#include "ipc/messages.def"
#undef MESSAGE

const struct ipc_row *ipc_row(unsigned type)
{
    return type < MSG_COUNT ? &rows[type] : NULL;
}

struct sink {
    char *out;
    size_t size;
    size_t len;
};

static int sink_write(void *data, const char *bytes, size_t n)
{
    struct sink *s = data;
    if (n > s->size - s->len)
        return -1;
    memcpy(s->out + s->len, bytes, n);
    s->len += n;
    return 0;
}

static bool text_is_acceptable(struct span s)
{
    return (s.len == 0 || !memchr(s.data, '\0', s.len)) && text_is_utf8(s.data, s.len);
}

static bool within(const struct ipc_field *f, uint64_t value)
{
    return value >= (uint64_t)f->min && value <= f->max;
}

static bool signed_within(const struct ipc_field *f, int64_t value)
{
    return value >= f->min && (value < 0 || (uint64_t)value <= f->max);
}

static bool encode_field(msgpack_packer *p, const struct ipc_field *f, const char *place)
{
    switch (f->kind) {
    case KIND_UNSIGNED: {
        uint64_t v;
        memcpy(&v, place, sizeof v);
        return within(f, v) && msgpack_pack_uint64(p, v) == 0;
    }
    case KIND_SIGNED: {
        int64_t v;
        memcpy(&v, place, sizeof v);
        return signed_within(f, v) && msgpack_pack_int64(p, v) == 0;
    }
    case KIND_TEXT:
    case KIND_BYTES: {
        struct span s;
        memcpy(&s, place, sizeof s);
        if (!within(f, s.len) || (f->kind == KIND_TEXT && !text_is_acceptable(s)))
            return false;
        const char *data = s.len ? s.data : "";
        if (f->kind == KIND_TEXT)
            return msgpack_pack_str(p, s.len) == 0 && msgpack_pack_str_body(p, data, s.len) == 0;
        return msgpack_pack_bin(p, s.len) == 0 && msgpack_pack_bin_body(p, data, s.len) == 0;
    }
    }
    return false;
}

size_t ipc_encode(char *out, size_t size, enum ipc_type type, const void *message)
{
    const struct ipc_row *row = ipc_row(type);
    struct sink sink = {.out = out, .size = size < LIMIT_PACKET ? size : LIMIT_PACKET};
    msgpack_packer p;
    msgpack_packer_init(&p, &sink, sink_write);
    if (msgpack_pack_array(&p, row->n_fields + 1) != 0 || msgpack_pack_uint64(&p, type) != 0)
        return 0;
    for (size_t i = 0; i < row->n_fields; i++)
        if (!encode_field(&p, &row->fields[i], (const char *)message + row->fields[i].offset))
            return 0;
    return sink.len;
}

/* Spans that the unpacked object holds point into the frame: msgpack references str and bin bodies
 * in place. */
static bool decode_field(const struct ipc_field *f, const msgpack_object *o, char *place)
{
    if (f->kind == KIND_UNSIGNED) {
        if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || !within(f, o->via.u64))
            return false;
        memcpy(place, &o->via.u64, sizeof o->via.u64);
        return true;
    }
    if (f->kind == KIND_SIGNED) {
        bool positive = o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= INT64_MAX;
        if ((!positive && o->type != MSGPACK_OBJECT_NEGATIVE_INTEGER) ||
            !signed_within(f, o->via.i64))
            return false;
        memcpy(place, &o->via.i64, sizeof o->via.i64);
        return true;
    }
    struct span s;
    if (f->kind == KIND_TEXT && o->type == MSGPACK_OBJECT_STR)
        s = (struct span){o->via.str.ptr, o->via.str.size};
    else if (f->kind == KIND_BYTES && o->type == MSGPACK_OBJECT_BIN)
        s = (struct span){o->via.bin.ptr, o->via.bin.size};
    else
        return false;
    if (!within(f, s.len) || (f->kind == KIND_TEXT && !text_is_acceptable(s)))
        return false;
    memcpy(place, &s, sizeof s);
    return true;
}

static int decode_object(const msgpack_object *o, union ipc_message *message, const char **why)
{
    const msgpack_object *e = o->via.array.ptr;
    const struct ipc_row *row = NULL;
    if (o->type == MSGPACK_OBJECT_ARRAY && e[0].type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
        e[0].via.u64 < MSG_COUNT)
        row = ipc_row((unsigned)e[0].via.u64);
    if (!row) {
        *why = "unknown type";
        return -1;
    }
    if (o->via.array.size != row->n_fields + 1) {
        *why = "field count";
        return -1;
    }
    for (size_t i = 0; i < row->n_fields; i++)
        if (!decode_field(&row->fields[i], &e[i + 1], (char *)message + row->fields[i].offset)) {
            *why = row->fields[i].name;
            return -1;
        }
    return (int)e[0].via.u64;
}

int ipc_decode(const char *frame, size_t len, union ipc_message *message, const char **why)
{
    if (ipc_walk(frame, len, why) < 0)
        return -1;
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    int type = -1;
    size_t off = 0;
    msgpack_unpack_return rc = msgpack_unpack_next(&unpacked, frame, len, &off);
    if (rc == MSGPACK_UNPACK_SUCCESS && off == len)
        type = decode_object(&unpacked.data, message, why);
    else
        *why = rc == MSGPACK_UNPACK_NOMEM_ERROR ? "no memory to decode it" : "not msgpack";
    msgpack_unpacked_destroy(&unpacked);
    return type;
}
