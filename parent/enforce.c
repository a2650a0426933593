/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/enforce.h"

#include <string.h>

#include "base/log.h"
#include "base/span.h"
#include "base/text.h"

/* Landlock's ABIs: what came when. */
#define ABI_TCP    4
#define ABI_SCOPES 6
#define ABI_MAX    1000

static bool parse_one(struct requirements *r, struct span name)
{
    char text[64];
    uint64_t abi;
    static const char landlock[] = "landlock>=";
    if (!span_copy(text, sizeof text, name))
        return false;
    if (strncmp(text, landlock, sizeof landlock - 1) == 0) {
        if (!text_number(text + sizeof landlock - 1, ABI_MAX, &abi) || abi == 0)
            return false;
        r->landlock = (unsigned)abi;
    } else if (strcmp(text, "seccomp") == 0) {
        r->seccomp = true;
    } else if (strcmp(text, "split-uid") == 0) {
        r->split_uid = true;
    } else if (strcmp(text, "secret-memory") == 0) {
        r->secret_memory = true;
    } else if (strcmp(text, "token-unreachable") == 0) {
        r->token_unreachable = true;
    } else if (strcmp(text, "member-isolation") == 0) {
        r->member_isolation = true;
    } else {
        return false;
    }
    return true;
}

bool requirements_parse(struct requirements *r, const char *text)
{
    *r = (struct requirements){0};
    for (;;) {
        text += strspn(text, ", \n");
        size_t n = strcspn(text, ", \n");
        if (n == 0)
            return true;
        if (!parse_one(r, (struct span){text, n}))
            return false;
        text += n;
    }
}

static bool demand(bool demanded, bool met, const char *name, const char *what)
{
    if (!demanded || met)
        return true;
    log_error("--require %s cannot be met: %s", name, what);
    return false;
}

bool requirements_met(const struct requirements *r, const struct facts *f)
{
    bool ok = true;
    if (f->landlock_abi < r->landlock) {
        log_error("--require landlock>=%u cannot be met: this kernel has Landlock ABI %u",
                  r->landlock, f->landlock_abi);
        ok = false;
    }
    ok &= demand(r->seccomp, f->seccomp, "seccomp", "this kernel has no seccomp filters");
    ok &= demand(r->split_uid, f->split_uid, "split-uid",
                 "as a plain user everything has one UID: start the agent as root");
    ok &= demand(r->secret_memory, f->secret_memory, "secret-memory",
                 "this kernel has no memfd_secret");
    ok &= demand(r->token_unreachable, !f->token_reachable, "token-unreachable",
                 "the commands' user can read the token where it comes from: give it by a "
                 "file that this user cannot read, or by a pipe");
    ok &= demand(r->member_isolation, f->landlock_abi >= 1, "member-isolation",
                 "this kernel has no Landlock");
    return ok;
}

void facts_warn(const struct facts *f)
{
    if (!f->split_uid)
        log_warn("not enforced: all processes have one UID (started as a plain user), so commands "
                 "can change the agent's own files; started as root it would use several users");
    if (f->token_given_openly)
        log_warn("not enforced: the access token was readable by others at start, since it came by "
                 "environment or command line; it is wiped there now. Use --token-file");
    else if (f->token_reachable)
        log_warn("not enforced: user '%s', as whom commands run, can read the file of the access "
                 "token",
                 f->user);
    if (f->landlock_abi == 0)
        log_warn("not enforced: this kernel has no Landlock, so one member's command can read "
                 "another's environment and memory");
    else if (f->landlock_abi < ABI_SCOPES && f->isolate_full)
        log_warn("not enforced: Landlock ABI %u has no scopes (%u has), so commands can use "
                 "each other's abstract sockets",
                 f->landlock_abi, ABI_SCOPES);
    if (f->landlock_abi > 0 && f->landlock_abi < ABI_TCP)
        log_warn("not enforced: Landlock ABI %u does not restrict TCP ports (%u does)",
                 f->landlock_abi, ABI_TCP);
    if (!f->secret_memory)
        log_warn("not enforced: this kernel has no memfd_secret; the access token is in memory "
                 "that %s",
                 f->locked_memory ? "is locked" : "can be swapped out: raise RLIMIT_MEMLOCK");
}
