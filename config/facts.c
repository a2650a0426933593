/* SPDX-License-Identifier: Apache-2.0 */
#include "config/facts.h"

#include "sandbox/sandbox.h"

void facts_take(struct facts *f, const struct settings *s, const struct users *u)
{
    struct sandbox_host host;
    sandbox_probe(&host);
    *f = (struct facts){.landlock_abi = (unsigned)host.landlock_abi,
                        .seccomp = host.seccomp,
                        .memfd_secret = host.memfd_secret,
                        .token = EXPOSED_UNKNOWN,
                        .split_uid = s->system_mode,
                        .isolate_full = s->numbers[OPT_ISOLATE] == 0,
                        .setuid_helpers = s->numbers[OPT_SETUID_HELPERS] != 0,
                        .allow_namespaces = s->numbers[OPT_ALLOW_NAMESPACES] != 0,
                        .sandbox_log = s->numbers[OPT_SANDBOX_LOG] != 0,
                        .user = u->name};
}

void facts_take_pages(struct facts *f, const struct secret *const *pages, size_t n)
{
    f->secret_memory = f->locked_memory = true;
    for (size_t i = 0; i < n; i++) {
        f->secret_memory = f->secret_memory && pages[i]->memfd;
        f->locked_memory = f->locked_memory && pages[i]->locked;
    }
}

void facts_take_source(struct facts *f, const struct token_source *source, const struct users *u,
                       char *reader, size_t size)
{
    f->token = token_source_exposure(source, u);
    f->token_reader = token_source_reader(source, reader, size);
}
