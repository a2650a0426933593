/* SPDX-License-Identifier: Apache-2.0 */
#include "config/token_read.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"

/* A writer of --token-fd that does not write must not hold the start for ever. */
#define FD_DEADLINE_MS 10000
/* Enough to see that a token is too long, line end included. */
#define READ_MAX (LIMIT_TOKEN + 3)

void token_take(struct secret *page, char *text)
{
    size_t len = strlen(text);
    explicit_bzero(page->data, page->size);
    page->len = len < READ_MAX ? len : READ_MAX;
    memcpy(page->data, text, page->len);
    explicit_bzero(text, len);
}

const char *token_judge(const char *bytes, size_t *len)
{
    while (*len > 0 && (bytes[*len - 1] == '\n' || bytes[*len - 1] == '\r'))
        --*len;
    if (*len == 0)
        return "it is empty";
    if (*len > LIMIT_TOKEN)
        return "it is longer than 4096 bytes";
    for (size_t i = 0; i < *len; i++)
        if (bytes[i] < 0x21 || bytes[i] > 0x7e)
            return "it holds a blank, a control character or a byte that is not ASCII";
    return NULL;
}

static const char *wait_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, FD_DEADLINE_MS) == 1 ? NULL : "nothing was written to it within 10 s";
}

/* stream: what is in a pipe comes when its writer writes it. */
static const char *read_fd(int fd, bool stream, struct secret *page)
{
    const char *why = NULL;
    explicit_bzero(page->data, page->size);
    page->len = 0;
    while (page->len < READ_MAX) {
        if (stream && (why = wait_readable(fd)))
            return why;
        ssize_t n = read(fd, page->data + page->len, READ_MAX - page->len);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return strerror(errno);
        if (n == 0)
            break;
        page->len += (size_t)n;
    }
    return NULL;
}

const char *token_read(struct token_source *s, struct secret *page)
{
    const char *why;
    int fd = token_source_open(s, &why);
    if (fd < 0)
        return why;
    why = read_fd(fd, s->mode == 0, page);
    close(fd);
    return why;
}
