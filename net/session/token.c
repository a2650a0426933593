/* SPDX-License-Identifier: Apache-2.0 */
#include "net/session/token.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/wipe.h"

#define SUFFIX_LEN (sizeof REQUEST_SUFFIX - 1)

/* One TLS record holds it all (RFC 8446 section 5.1), so that one write does. */
_Static_assert(LIMIT_SECRET_PAGE <= 16384, "the request must fit one record");
_Static_assert(LIMIT_URL_PATH + 3 * LIMIT_CONNECTION_ID + LIMIT_HOST + LIMIT_TOKEN + 1024 <
                   LIMIT_SECRET_PAGE,
               "every permitted request must fit the page");

int token_init(struct token *t, const struct request *request)
{
    *t = (struct token){0};
    if (secret_init(&t->page) != 0)
        return -1;
    t->prefix = request_prefix(request, t->page.data, t->page.size);
    if (t->prefix == 0 || t->prefix + LIMIT_TOKEN + 1 + SUFFIX_LEN > t->page.size) {
        token_finish(t);
        errno = EINVAL;
        return -1;
    }
    return 0;
}

void token_finish(struct token *t)
{
    secret_finish(&t->page);
    *t = (struct token){0};
}

/* In place, byte by byte: no library function gets to copy it. */
static bool is_token(const char *token, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (token[i] < 0x21 || token[i] > 0x7e)
            return false;
    return len > 0 && len <= LIMIT_TOKEN;
}

static enum token_outcome write_record(struct tls *tls, const char *data, size_t len)
{
    size_t n;
    switch (tls_write(tls, data, len, &n)) {
    case TLS_OK:
        return n == len ? TOKEN_SENT : TOKEN_FAILED;
    case TLS_WANT_READ:
    case TLS_WANT_WRITE:
        return TOKEN_UNWRITTEN;
    default:
        return TOKEN_FAILED;
    }
}

/* The record is made by the first call, so a repetition may point at zeroes of the same length. */
static enum token_outcome write_once(struct token *t, struct tls *tls)
{
    enum token_outcome outcome = write_record(tls, t->page.data, t->len);
    t->ending = outcome == TOKEN_SENT;
    return outcome;
}

/* Once the token's record is out, its page is not needed; the end of the request follows. */
static enum token_outcome write_end(struct token *t, struct tls *tls, enum token_outcome outcome)
{
    if (outcome == TOKEN_UNWRITTEN)
        return outcome;
    secret_finish(&t->page);
    return outcome == TOKEN_SENT ? write_record(tls, REQUEST_END, sizeof REQUEST_END - 1) : outcome;
}

static __attribute__((noinline)) enum token_outcome exchange(struct token *t, int channel,
                                                             struct tls *tls)
{
    char *gap = t->page.data + t->prefix;
    ssize_t n;
    do
        n = recv(channel, gap, LIMIT_TOKEN + 1, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return TOKEN_MISSING;
    if (!is_token(gap, (size_t)n))
        return TOKEN_BAD;
    memcpy(gap + n, REQUEST_SUFFIX, SUFFIX_LEN);
    t->len = t->prefix + (size_t)n + SUFFIX_LEN;
    return write_once(t, tls);
}

enum token_outcome token_exchange(struct token *t, int channel, struct tls *tls)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    enum token_outcome outcome = exchange(t, channel, tls);
    explicit_bzero(t->page.data, t->page.size);
    wipe_stack();
    wipe_registers();
    sigprocmask(SIG_SETMASK, &before, NULL);
    return write_end(t, tls, outcome);
}

enum token_outcome token_none(struct token *t, struct tls *tls)
{
    memcpy(t->page.data + t->prefix, REQUEST_SUFFIX, SUFFIX_LEN);
    t->len = t->prefix + SUFFIX_LEN;
    return token_resume(t, tls);
}

enum token_outcome token_resume(struct token *t, struct tls *tls)
{
    if (t->ending)
        return write_record(tls, REQUEST_END, sizeof REQUEST_END - 1);
    return write_end(t, tls, write_once(t, tls));
}
