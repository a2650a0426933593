/* SPDX-License-Identifier: Apache-2.0 */
#include "net/session/frames.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/limits.h"

/* Bytes of output per piece of base64: a multiple of 3, and 16 KiB once encoded. */
#define PIECE 12288
/* Head of a client's frame, RFC 6455 section 5.2. */
#define HEADER_MAX 14
#define FIN        0x80u
#define MASKED     0x80u
#define TEXT       0x1u
#define BINARY     0x2u
#define CLOSE      0x8u
#define NO_CODE    1005u

/* The largest response: 15 MB is what the platform takes. An id's byte becomes six at most. */
_Static_assert((LIMIT_OUTPUT + 2) / 3 * 4 + 6 * LIMIT_ID + 128 <= 15 * 1024 * 1024,
               "the largest response exceeds what the platform takes");

static uint64_t base64_len(size_t n)
{
    return (n + 2) / 3 * 4;
}

void frames_init(struct frames *f)
{
    *f = (struct frames){0};
    buf_init(&f->out, FRAMES_AHEAD);
    buf_init(&f->control, FRAMES_CONTROL);
    STAILQ_INIT(&f->queue);
}

static void drop_first(struct frames *f)
{
    struct frame *first = STAILQ_FIRST(&f->queue);
    STAILQ_REMOVE_HEAD(&f->queue, next);
    f->queued--;
    f->results -= first->is_result;
    memfd_unmap(&first->body);
    free(first->head);
    free(first);
}

void frames_finish(struct frames *f)
{
    while (!STAILQ_EMPTY(&f->queue))
        drop_first(f);
    buf_finish(&f->out);
    buf_finish(&f->control);
}

/* ---- queueing ---- */

static struct frame *add(struct frames *f, struct span head)
{
    struct frame *frame = f->closed ? NULL : calloc(1, sizeof *frame);
    if (!frame)
        return NULL;
    frame->head = span_dup(head);
    if (!frame->head) {
        free(frame);
        return NULL;
    }
    frame->head_len = head.len;
    STAILQ_INSERT_TAIL(&f->queue, frame, next);
    f->queued++;
    if (!f->next)
        f->next = frame;
    return frame;
}

bool frames_message(struct frames *f, struct span text, bool binary)
{
    struct frame *frame = add(f, text);
    if (!frame)
        return false;
    frame->binary = binary;
    return true;
}

bool frames_result(struct frames *f, struct span head, struct memfd_map *body, const char *tail)
{
    struct frame *frame = add(f, head);
    if (!frame) {
        memfd_unmap(body);
        return false;
    }
    frame->is_result = true;
    f->results++;
    frame->body = *body;
    frame->tail = tail;
    *body = (struct memfd_map){0};
    return true;
}

/* ---- masking ---- */

/* XORs with the mask, whose first byte falls on payload byte number 0. */
static void apply_mask(const unsigned char mask[4], uint64_t at, char *data, size_t len)
{
    unsigned char turned[8];
    uint64_t wide, word;
    size_t i = 0;
    for (size_t k = 0; k < sizeof turned; k++)
        turned[k] = mask[(at + k) & 3];
    memcpy(&wide, turned, sizeof wide);
    for (; i + 8 <= len; i += 8) {
        memcpy(&word, data + i, sizeof word);
        word ^= wide;
        memcpy(data + i, &word, sizeof word);
    }
    for (; i < len; i++)
        data[i] = (char)((unsigned char)data[i] ^ turned[i & 7]);
}

static size_t header(unsigned char *out, unsigned opcode, uint64_t len, const unsigned char mask[4])
{
    size_t n = 0, width = len < 126 ? 0 : len < 65536 ? 2 : 8;
    out[n++] = (unsigned char)(FIN | opcode);
    out[n++] = (unsigned char)(MASKED | (width == 0 ? len : width == 2 ? 126 : 127));
    for (size_t i = 0; i < width; i++)
        out[n++] = (unsigned char)(len >> (8 * (width - 1 - i)));
    memcpy(out + n, mask, 4);
    return n + 4;
}

/* ---- control frames ---- */

bool frames_raw_control(struct frames *f, const void *data, size_t len)
{
    return buf_append(&f->control, data, len);
}

bool frames_control(struct frames *f, unsigned opcode, const void *payload, size_t len)
{
    unsigned char frame[HEADER_MAX + 125], mask[4];
    if (f->closed || len > 125 || RAND_bytes(mask, sizeof mask) != 1)
        return false;
    size_t n = header(frame, opcode, len, mask);
    if (len)
        memcpy(frame + n, payload, len);
    apply_mask(mask, 0, (char *)frame + n, len);
    return buf_append(&f->control, frame, n + len);
}

bool frames_close(struct frames *f, unsigned code, const char *reason)
{
    char payload[125];
    size_t n = strlen(reason);
    if (n > sizeof payload - 2)
        n = sizeof payload - 2;
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    memcpy(payload + 2, reason, n);
    bool ok = frames_control(f, CLOSE, payload, code == NO_CODE ? 0 : n + 2);
    f->closed = true;
    return ok;
}

/* ---- encoding ---- */

static bool begin(struct frames *f)
{
    struct frame *frame = f->next;
    char *room = buf_reserve(&f->out, HEADER_MAX);
    if (!room || RAND_bytes(f->mask, sizeof f->mask) != 1)
        return false;
    f->at = 0;
    f->payload = frame->head_len + base64_len(frame->body.bytes.len) +
                 (frame->tail ? strlen(frame->tail) : 0);
    size_t n = header((unsigned char *)room, frame->binary ? BINARY : TEXT, f->payload, f->mask);
    buf_commit(&f->out, n);
    f->encoded += n;
    return true;
}

/* Puts up to room bytes of a plain part that starts at payload byte `from`. */
static size_t put_plain(struct frames *f, const char *text, size_t len, uint64_t from, size_t room)
{
    size_t done = (size_t)(f->at - from), n = len - done;
    if (n > room)
        n = room;
    char *out = buf_reserve(&f->out, n);
    if (!out)
        return 0;
    memcpy(out, text + done, n);
    return n;
}

static size_t put_base64(struct frames *f, struct span body, uint64_t from, size_t room)
{
    size_t done = (size_t)(f->at - from) / 4 * 3, n = body.len - done;
    if (n > PIECE)
        n = PIECE;
    /* One more byte: EVP_EncodeBlock ends with NUL. */
    size_t need = (size_t)base64_len(n) + 1;
    char *out = need <= room ? buf_reserve(&f->out, need) : NULL;
    if (!out)
        return 0;
    return (size_t)EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)body.data + done,
                                   (int)n);
}

/* The next piece of the frame under way; false when there is no room for one. */
static bool encode_piece(struct frames *f)
{
    struct frame *frame = f->next;
    size_t room = f->out.max - buf_len(&f->out), n;
    uint64_t body_end = frame->head_len + base64_len(frame->body.bytes.len);
    if (room == 0)
        return false;
    if (f->at < frame->head_len)
        n = put_plain(f, frame->head, frame->head_len, 0, room);
    else if (f->at < body_end)
        n = put_base64(f, frame->body.bytes, frame->head_len, room);
    else
        n = put_plain(f, frame->tail, (size_t)(f->payload - body_end), body_end, room);
    if (n == 0)
        return false;
    apply_mask(f->mask, f->at, f->out.data + f->out.end, n);
    buf_commit(&f->out, n);
    f->at += n;
    f->encoded += n;
    return true;
}

static void end_frame(struct frames *f)
{
    f->next->end = f->encoded;
    f->next = STAILQ_NEXT(f->next, next);
    f->payload = f->at = 0;
}

static bool move_control(struct frames *f)
{
    size_t n = buf_len(&f->control), room = f->out.max - buf_len(&f->out);
    if (n > room)
        n = room;
    if (n == 0 || !buf_append(&f->out, buf_data(&f->control), n))
        return false;
    buf_consume(&f->control, n);
    f->encoded += n;
    return true;
}

/* One step towards a full output buffer; false when there is nothing to do or no room. */
static bool step(struct frames *f, bool *ok)
{
    if (f->payload > 0) {
        if (!encode_piece(f))
            return false;
        if (f->at == f->payload)
            end_frame(f);
        return true;
    }
    if (buf_len(&f->control) > 0)
        return move_control(f);
    if (f->closed || !f->next || f->out.max - buf_len(&f->out) < HEADER_MAX)
        return false;
    *ok = begin(f);
    if (*ok && f->payload == 0)
        end_frame(f);
    return *ok;
}

struct span frames_output(struct frames *f, bool *ok)
{
    *ok = true;
    /* Refilled when a quarter is left, so that little is moved to the front. */
    if (buf_len(&f->out) < FRAMES_AHEAD / 4)
        while (step(f, ok))
            ;
    return (struct span){buf_len(&f->out) ? buf_data(&f->out) : NULL, buf_len(&f->out)};
}

void frames_written(struct frames *f, size_t n)
{
    struct frame *first;
    buf_consume(&f->out, n);
    f->written += n;
    while ((first = STAILQ_FIRST(&f->queue)) && first->end && first->end <= f->written) {
        f->results_written += first->is_result;
        drop_first(f);
    }
}
