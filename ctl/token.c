/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/token.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "config/token_read.h"
#include "ctl/arguments.h"
#include "ctl/ctl.h"
#include "ctl/prompt.h"

static int judge(struct secret *page, const char *name)
{
    const char *why = token_judge(page->data, &page->len);
    if (!why)
        return CTL_WELL;
    log_error("%s is not usable: %s", name, why);
    return CTL_CONFIGURATION;
}

int token_ask(struct secret *page)
{
    return prompt_secret("Access token (not shown):", page) == 0
               ? judge(page, "what was given as the access token")
               : CTL_CONFIGURATION;
}

/* A descriptor named in the file is one of the agent's, opened by whoever starts it. */
static bool is_said(const struct options *o)
{
    return o->values[OPT_ACCESS_TOKEN].text || o->values[OPT_TOKEN_FILE].text ||
           o->values[OPT_TOKEN_FD].level == LEVEL_OPTION;
}

static int read_source(struct secret *page, struct options *o)
{
    struct token_source source;
    uint64_t fd = 0;
    const struct option_value *n = &o->values[OPT_TOKEN_FD];
    if (n->text && !text_number(n->text, option_rows[OPT_TOKEN_FD].max, &fd)) {
        log_error("--token-fd is not the number of a descriptor");
        return options_bad(o, OPT_TOKEN_FD);
    }
    token_source_init(&source);
    int code = token_source_find(&source, o, (int)fd);
    const char *name = token_source_text(&source);
    if (code == 0 && token_source_open_to_all(&source)) {
        log_warn("%s was readable by other users of this host at start: better in a file, given by "
                 "--token-file",
                 name);
    } else if (code == 0) {
        const char *why = token_read(&source, page);
        if (why) {
            log_error("%s is not usable: %s", name, why);
            code = CTL_CONFIGURATION;
        }
    }
    token_source_finish(&source);
    return code == 0 ? judge(page, name) : code;
}

int token_obtain(struct secret *page, struct options *o, const char *file)
{
    bool said = is_said(o);
    if (!said)
        arguments_forget(o, OPT_TOKEN_FD);
    if (!said && file && access(file, F_OK) == 0)
        said = options_set(o, OPT_TOKEN_FILE, LEVEL_FILE, 0, file);
    if (!said && !getenv("CREDENTIALS_DIRECTORY") && prompt_possible())
        return token_ask(page);
    return read_source(page, o);
}
