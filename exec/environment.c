/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/environment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/text.h"

/* Room beside the bounded base: pass_env, set_env, and ours. */
#define COMPOSED_MAX (2 * LIMIT_ENVIRONMENT + 65536)

/* The next NUL-separated entry of the block; empty entries are skipped. */
static bool next(struct span *block, struct span *entry)
{
    while (block->len > 0) {
        size_t n = strnlen(block->data, block->len);
        size_t step = n < block->len ? n + 1 : n;
        *entry = (struct span){block->data, n};
        *block = (struct span){block->data + step, block->len - step};
        if (n > 0)
            return true;
    }
    return false;
}

static struct span name_of(struct span entry)
{
    const char *equals = entry.len ? memchr(entry.data, '=', entry.len) : NULL;
    return (struct span){entry.data, equals ? (size_t)(equals - entry.data) : entry.len};
}

static struct span value_of(struct span entry)
{
    size_t n = name_of(entry).len + 1;
    return n > entry.len ? (struct span){"", 0} : (struct span){entry.data + n, entry.len - n};
}

static bool has(struct span block, struct span name)
{
    struct span entry;
    while (next(&block, &entry))
        if (span_equal(name_of(entry), name))
            return true;
    return false;
}

struct span environment_get(struct span block, const char *name)
{
    struct span entry;
    while (next(&block, &entry))
        if (span_is(name_of(entry), name))
            return value_of(entry);
    return (struct span){NULL, 0};
}

static bool is_proxy(struct span name)
{
    static const char suffix[] = "_proxy";
    const size_t n = sizeof suffix - 1;
    return name.len > n && strncasecmp(name.data + name.len - n, suffix, n) == 0;
}

bool environment_withheld(struct span entry)
{
    static const char *const names[] = {
        "TOWER_ACCESS_TOKEN",
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_PIDFDID",
        "LISTEN_FDNAMES",
        "CREDENTIALS_DIRECTORY",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "MAINPID",
        "MANAGERPID",
        "SYSTEMD_EXEC_PID",
        "MEMORY_PRESSURE_WATCH",
        "MEMORY_PRESSURE_WRITE",
        "FDSTORE",
        "_",
        "ENCRYPTED_CREDENTIALS_DIRECTORY",
    };
    struct span name = name_of(entry), value = value_of(entry);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_is(name, names[i]))
            return true;
    /* A user name alone can be a token, and a password may hold any character: any @ counts. */
    return is_proxy(name) && value.len > 0 && memchr(value.data, '@', value.len);
}

static bool append_entry(struct buf *out, struct span entry)
{
    return buf_append(out, entry.data, entry.len) && buf_append(out, "", 1);
}

bool environment_append(struct buf *block, const char *name, struct span value)
{
    return buf_append(block, name, strlen(name)) && buf_append(block, "=", 1) &&
           (value.len == 0 || buf_append(block, value.data, value.len)) && buf_append(block, "", 1);
}

static struct span block_of(const struct buf *b)
{
    return (struct span){buf_len(b) ? buf_data(b) : NULL, buf_len(b)};
}

/* The agent's entries whose names are passed on. */
static bool append_passed(struct buf *out, const struct environment_parts *parts)
{
    struct span agent = parts->agent, entry;
    while (next(&agent, &entry)) {
        struct span names = parts->pass, name;
        while (next(&names, &name))
            if (span_equal(name_of(entry), name) && !append_entry(out, entry))
                return false;
    }
    return true;
}

#define BLOCKS 5
/* Blocks up to this are freed of repeated names, whose last value a shell would take as well. */
#define UNIQUE_MAX 65536

static bool append_blocks(struct buf *out, const struct span blocks[BLOCKS])
{
    for (size_t i = 0; i < BLOCKS; i++) {
        struct span rest = blocks[i], entry;
        while (next(&rest, &entry)) {
            bool keep = name_of(entry).len > 0 && !environment_withheld(entry);
            if (keep && blocks[i].len <= UNIQUE_MAX)
                keep = !has(rest, name_of(entry));
            for (size_t j = i + 1; keep && j < BLOCKS; j++)
                keep = !has(blocks[j], name_of(entry));
            if (keep && !append_entry(out, entry))
                return false;
        }
    }
    return true;
}

int environment_of_block(struct environment *e, struct span block)
{
    struct span rest = block, entry;
    size_t n = 0;
    while (next(&rest, &entry))
        n++;
    struct environment made = {malloc(block.len + 1), calloc(n + 1, sizeof(char *))};
    if (!made.bytes || !made.vector) {
        environment_finish(&made);
        errno = ENOMEM;
        return -1;
    }
    if (block.len > 0)
        memcpy(made.bytes, block.data, block.len);
    made.bytes[block.len] = '\0';
    rest = (struct span){made.bytes, block.len};
    for (size_t i = 0; next(&rest, &entry); i++)
        made.vector[i] = made.bytes + (entry.data - made.bytes);
    environment_finish(e);
    *e = made;
    return 0;
}

int environment_compose(struct environment *e, const struct environment_parts *parts)
{
    struct buf passed, own, all;
    int rc = -1;
    buf_init(&passed, LIMIT_ENVIRONMENT + 1);
    buf_init(&own, 65536);
    buf_init(&all, COMPOSED_MAX);
    errno = E2BIG;
    bool fits = append_passed(&passed, parts);
    if (parts->work_dir)
        fits = fits && environment_append(&own, "TW_AGENT_WORK", span_of(parts->work_dir)) &&
               environment_append(&own, "PWD", span_of(parts->work_dir));
    if (fits) {
        struct span blocks[BLOCKS] = {parts->defaults, parts->base, block_of(&passed), parts->set,
                                      block_of(&own)};
        if (append_blocks(&all, blocks))
            rc = environment_of_block(e, block_of(&all));
    }
    buf_finish(&passed);
    buf_finish(&own);
    buf_finish(&all);
    return rc;
}

void environment_finish(struct environment *e)
{
    free(e->bytes);
    free(e->vector);
    *e = (struct environment){NULL, NULL};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span trimmed(struct span s)
{
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    while (s.len > 0 && is_blank(s.data[0]))
        s = (struct span){s.data + 1, s.len - 1};
    return s;
}

static struct span unquoted(struct span s)
{
    if (s.len >= 2 && (s.data[0] == '"' || s.data[0] == '\'') && s.data[s.len - 1] == s.data[0])
        return (struct span){s.data + 1, s.len - 2};
    return s;
}

bool environment_append_file(struct buf *block, struct span file)
{
    while (file.len > 0) {
        const char *newline = memchr(file.data, '\n', file.len);
        size_t n = newline ? (size_t)(newline - file.data) : file.len;
        struct span line = trimmed((struct span){file.data, n});
        struct span name = name_of(line), value = unquoted(value_of(line));
        file = (struct span){file.data + n, file.len - n};
        file = newline ? (struct span){file.data + 1, file.len - 1} : file;
        if (name.len == line.len || !text_is_name(name) || memchr(line.data, '\0', line.len))
            continue;
        if (!buf_append(block, name.data, name.len) || !buf_append(block, "=", 1) ||
            (value.len > 0 && !buf_append(block, value.data, value.len)) ||
            !buf_append(block, "", 1))
            return false;
    }
    return true;
}
