/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/token.h"

#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/wipe.h"

int token_init(struct token *t)
{
    *t = (struct token){0};
    token_source_init(&t->source);
    return secret_init(&t->pages[0]) == 0 && secret_init(&t->pages[1]) == 0 &&
                   search_init(&t->search) == 0
               ? 0
               : -1;
}

bool token_take_environment(struct token *t, char **environment)
{
    return token_source_take_environment(environment, token_take_argument, t);
}

void token_take_argument(void *token, char *value)
{
    struct token *t = token;
    token_take(&t->pages[t->used], value);
}

int token_find(struct token *t, const struct options *o, int fd)
{
    int code = token_source_find(&t->source, o, fd);
    return code == 0 && token_source_open_to_all(&t->source) ? token_load(t) : code;
}

int token_load(struct token *t)
{
    struct secret *page = &t->pages[t->used];
    const char *why = token_source_open_to_all(&t->source) ? NULL : token_read(&t->source, page);
    if (!why)
        why = token_judge(page->data, &page->len);
    if (why) {
        log_error("%s is not usable: %s", token_source_text(&t->source), why);
        return EXIT_CONFIG;
    }
    return search_set(&t->search, token_bytes(t)) == 0 ? 0 : EXIT_OTHER;
}

void token_check_rereadable(struct token *t)
{
    struct token_source *s = &t->source;
    if (s->dirfd < 0 || faccessat(s->dirfd, s->name, R_OK, 0) == 0)
        return;
    if (s->kind == TOKEN_FILE)
        log_warn("the token file cannot be read again by this user, so SIGHUP will not replace the "
                 "token: give it to root:tw-agent with mode 0640");
    token_source_release(s);
}

enum token_outcome token_reload(struct token *t)
{
    struct secret *old = &t->pages[t->used], *new = &t->pages[!t->used];
    if (t->source.dirfd < 0)
        return TOKEN_NOT_READABLE_AGAIN;
    const char *why = token_read(&t->source, new);
    if (!why)
        why = token_judge(new->data, &new->len);
    enum token_outcome outcome = TOKEN_KEPT;
    if (why)
        log_warn("the token was read again, and the new one is not usable: %s", why);
    else if (new->len == old->len && memcmp(new->data, old->data, old->len) == 0)
        outcome = TOKEN_UNCHANGED;
    else
        outcome = TOKEN_REPLACED;
    if (outcome == TOKEN_REPLACED) {
        t->used = !t->used;
        if (search_set(&t->search, token_bytes(t)) != 0)
            log_error("no random numbers: results are not searched for the new token");
        new = old;
    }
    explicit_bzero(new->data, new->size);
    new->len = 0;
    wipe_stack();
    wipe_registers();
    return outcome;
}

struct span token_bytes(const struct token *t)
{
    return (struct span){t->pages[t->used].data, t->pages[t->used].len};
}

void token_finish(struct token *t)
{
    secret_finish(&t->pages[0]);
    secret_finish(&t->pages[1]);
    search_finish(&t->search);
    token_source_finish(&t->source);
}
