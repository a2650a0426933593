/* SPDX-License-Identifier: Apache-2.0 */
/* What a subcommand that speaks to Tower has: arguments, settings, the token, the way there. */
#ifndef TW_CTL_TOWER_H
#define TW_CTL_TOWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/secret.h"
#include "config/instances.h"
#include "config/settings.h"
#include "ctl/ctl.h"
#include "ctl/http.h"
#include "ctl/page.h"

/* A path below the API endpoint: an ID and a name in it are percent-encoded. */
#define TOWER_PATH_MAX 1024

struct tower {
    const struct ctl *ctl;
    const struct page *page;
    const char *values[PAGE_OWN_MAX];
    struct options options;
    struct settings settings;
    char instance[INSTANCE_NAME_MAX + 1]; /* whose configuration file it is; empty: of none */
    bool has_id;                          /* settings.connection_id was given by someone */
    uint64_t timeout_ms;                  /* --timeout, or what is standard */
    struct secret token;
    struct http *http;
};

/*
 * Reads arguments, variables and the configuration file of --for or --config. CTL_WELL, or what the
 * program is to end with in *code: after an error is logged, or after --help was printed. Finished
 * by tower_finish in any case; big, so that callers have it static.
 */
bool tower_arguments(struct tower *t, const struct ctl *ctl, const struct page *page, int argc,
                     char **argv, int *code);

/* The text of one of the page's own options; NULL: not given, or the page has none such. */
const char *tower_value(const struct tower *t, const char *name);

/* Obtains the token and prepares for requests. An exit code, after an error is logged. */
int tower_connect(struct tower *t);

/*
 * One request. CTL_WELL with *json, which the caller releases and which is NULL when there was no
 * body; else an exit code after Tower's words, or what was in the way, are logged. json may be
 * NULL.
 */
int tower_request(struct tower *t, const char *method, const char *path, const json_t *body,
                  json_t **json);

/* Logs what came of a failed request; gives its exit code. */
int tower_failed(const struct http_result *r);

/* A text member, or "" when there is none such. */
const char *tower_text(const json_t *object, const char *key);

void tower_finish(struct tower *t);

#endif
