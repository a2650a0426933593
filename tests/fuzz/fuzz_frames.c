/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One IPC frame: what decodes encodes again to a frame that decodes to the same message, and is no
 * longer than the first; cut short, or with a byte more, it does not decode.
 *
 * Input: the frame.
 */
#include <stdlib.h>
#include <string.h>

#include "ipc/message.h"
#include "ipc/walk.h"
#include "tests/fuzz/fuzz.h"

static void check_fields(const struct ipc_row *row, const void *one, const void *other,
                         struct span frame)
{
    for (size_t i = 0; i < row->n_fields; i++) {
        const struct ipc_field *f = &row->fields[i];
        const char *a = (const char *)one + f->offset, *b = (const char *)other + f->offset;
        struct span s, t;
        uint64_t number;
        int64_t whole;
        memcpy(&number, a, sizeof number);
        memcpy(&whole, a, sizeof whole);
        if (f->kind == KIND_UNSIGNED || f->kind == KIND_SIGNED) {
            CHECK(memcmp(a, b, sizeof number) == 0);
            CHECK(f->kind == KIND_SIGNED ? whole >= f->min && whole <= (int64_t)f->max
                                         : number <= f->max);
            continue;
        }
        memcpy(&s, a, sizeof s);
        memcpy(&t, b, sizeof t);
        CHECK(span_equal(s, t) && s.len >= (size_t)f->min && s.len <= f->max);
        CHECK(s.len == 0 || (s.data >= frame.data && s.data + s.len <= frame.data + frame.len));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char frame[LIMIT_PACKET], longer[LIMIT_PACKET + 1];
    union ipc_message message, again;
    struct span in = {(const char *)data, size};
    const char *why = NULL;
    CHECK(ipc_walk(in.data, size, &why) <= WALK_ELEMENTS);
    int type = ipc_decode(in.data, size, &message, &why);
    if (type < 0) {
        CHECK(why && *why);
        return 0;
    }
    const struct ipc_row *row = ipc_row((unsigned)type);
    CHECK(ipc_walk(in.data, size, &why) == (int)row->n_fields + 1);
    CHECK(ipc_decode(in.data, size - 1, &again, &why) < 0);
    CHECK(ipc_walk(in.data, size - 1, &why) < 0);
    if (size < sizeof longer) {
        memcpy(longer, in.data, size);
        CHECK(ipc_decode(longer, size + 1, &again, &why) < 0);
        CHECK(ipc_walk(longer, size + 1, &why) < 0);
    }
    size_t len = ipc_encode(frame, sizeof frame, (enum ipc_type)type, &message);
    CHECK(len > 0 && len <= size);
    CHECK(ipc_decode(frame, len, &again, &why) == type);
    check_fields(row, &message, &again, in);
    return 0;
}
