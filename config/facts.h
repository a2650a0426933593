/* SPDX-License-Identifier: Apache-2.0 */
/* What the guarantees are judged by, of this host and this configuration. */
#ifndef TW_CONFIG_FACTS_H
#define TW_CONFIG_FACTS_H

#include "base/secret.h"
#include "config/token_source.h"
#include "config/users.h"

/* The kernel's part and the settings'. The token's memory and source are not known yet: both are
 * taken for bad. */
void facts_take(struct facts *f, const struct settings *s, const struct users *u);

/* The pages that hold the token: what the worst of them is. */
void facts_take_pages(struct facts *f, const struct secret *const *pages, size_t n);

/* Its source, once it was opened; reader is for f->token_reader, and must outlive *f. */
void facts_take_source(struct facts *f, const struct token_source *source, const struct users *u,
                       char *reader, size_t size);

#endif
