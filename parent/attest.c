/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/attest.h"

#include <stdio.h>
#include <unistd.h>

struct span attest_token_file(const struct parent *p, char *out, size_t size)
{
    const struct token_source *s = &p->token.source;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", s->dirfd);
    ssize_t n = s->dirfd >= 0 ? readlink(link, out, size - 1) : -1;
    if (n < 0)
        return span_of("");
    int more = snprintf(out + n, size - (size_t)n, "/%s", s->name);
    return more > 0 && (size_t)more < size - (size_t)n ? span_of(out) : span_of("");
}

void attest_open_programs(struct parent *p)
{
    const char *config = p->options.values[OPT_CONFIG].text;
    char path[LIMIT_PATH + 64];
    release_add_file(&p->release, "tw-agent", "/proc/self/exe");
    for (size_t i = 0; i < PROGRAMS; i++)
        if (program_path(path, sizeof path, &p->programs, program_names[i]))
            release_add_file(&p->release, program_names[i], path);
    if (config)
        release_add_file(&p->release, "configuration", config);
}

void attest_send_self(const struct parent *p)
{
    struct channel *core = p->children[CHILD_CORE].channel;
    struct msg_process m = {.pid = (uint64_t)getpid(),
                            .landlock_abi = (uint64_t)p->sandbox.landlock_abi,
                            .landlock_scoped = p->sandbox.landlock_scoped,
                            .seccomp = p->sandbox.seccomp,
                            .syscalls = p->sandbox.syscalls};
    struct msg_facts facts = {.landlock_abi = p->facts.landlock_abi,
                              .token_reachable = p->facts.token == EXPOSED_TO_ALL ||
                                                 p->facts.token == EXPOSED_TO_COMMANDS,
                              .reduced = p->reduced};
    /* A core that does not take them shows in what must be sent. */
    send_process(core, &m, -1);
    send_facts(core, &facts, -1);
}

void attest_send_process(const struct parent *p, const struct child *c, const struct msg_started *s)
{
    struct msg_process m = {.role = c->id + 1u,
                            .pid = (uint64_t)c->pid,
                            .landlock_abi = s->landlock_abi,
                            .landlock_scoped = s->landlock_scoped,
                            .seccomp = s->seccomp,
                            .syscalls = s->syscalls};
    send_process(p->children[CHILD_CORE].channel, &m, -1);
}
