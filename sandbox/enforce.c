/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/enforce.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/span.h"
#include "base/text.h"

#define ABI_MAX  1000
#define LANDLOCK "landlock>="

const char requirement_words[] = "landlock>=N, seccomp, split-uid, secret-memory, "
                                 "token-unreachable, member-isolation";

static bool parse_one(struct requirements *r, struct span name)
{
    char text[64];
    uint64_t abi;
    if (!span_copy(text, sizeof text, name))
        return false;
    if (strncmp(text, LANDLOCK, sizeof LANDLOCK - 1) == 0) {
        if (!text_number(text + sizeof LANDLOCK - 1, ABI_MAX, &abi) || abi == 0)
            return false;
        r->landlock = (unsigned)abi;
        return true;
    }
    for (size_t i = 0; i < GUARANTEES_MAX; i++)
        if (guarantees[i].word && strcmp(text, guarantees[i].word) == 0)
            return r->demanded[i] = true;
    return false;
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

bool requirements_judge(const struct requirements *r, const struct facts *f,
                        requirement_unmet *unmet, void *context)
{
    bool ok = true;
    struct judgement j = {.holds = HOLDS_NOT};
    if (f->landlock_abi < r->landlock) {
        char word[32];
        snprintf(word, sizeof word, LANDLOCK "%u", r->landlock);
        snprintf(j.lost, sizeof j.lost, "this kernel has Landlock ABI %u", f->landlock_abi);
        unmet(context, word, &j);
        ok = false;
    } else if (r->landlock > 0 && facts_commands(f) == COMMANDS_OPEN) {
        guarantee_judge(GUARANTEE_MEMBERS, f, &j);
        unmet(context, "landlock", &j);
        ok = false;
    }
    for (unsigned i = 0; i < GUARANTEES_MAX; i++) {
        if (!r->demanded[i])
            continue;
        guarantee_judge((enum guarantee_id)i, f, &j);
        if (j.holds == HOLDS_FULL)
            continue;
        unmet(context, guarantees[i].word, &j);
        ok = false;
    }
    return ok;
}

static void log_unmet(void *context, const char *word, const struct judgement *j)
{
    (void)context;
    log_error("--require %s cannot be met: %s%s%s", word, j->lost, *j->remedy ? ": " : "",
              j->remedy);
}

bool requirements_met(const struct requirements *r, const struct facts *f)
{
    return requirements_judge(r, f, log_unmet, NULL);
}

/* Rows that lack the same share one line, which counts as the worst of them. */
static bool said_before(const struct judgement *all, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (strcmp(all[k].lost, all[i].lost) == 0)
            return true;
    return false;
}

static enum holds worst_of(const struct judgement *all, unsigned i)
{
    enum holds worst = all[i].holds;
    for (unsigned k = i + 1; k < GUARANTEES_MAX; k++)
        if (strcmp(all[k].lost, all[i].lost) == 0 && all[k].holds > worst)
            worst = all[k].holds;
    return worst;
}

_Static_assert(GUARANTEES_MAX <= 32, "a bit for each");

unsigned facts_reduced(const struct facts *f)
{
    struct judgement j;
    unsigned bits = 0;
    for (unsigned i = 0; i < GUARANTEES_MAX; i++) {
        guarantee_judge((enum guarantee_id)i, f, &j);
        bits |= (unsigned)(j.holds != HOLDS_FULL) << i;
    }
    return bits;
}

void facts_warn(const struct facts *f)
{
    struct judgement all[GUARANTEES_MAX];
    for (unsigned i = 0; i < GUARANTEES_MAX; i++)
        guarantee_judge((enum guarantee_id)i, f, &all[i]);
    for (unsigned i = 0; i < GUARANTEES_MAX; i++)
        if (all[i].holds != HOLDS_FULL && !said_before(all, i))
            log_warn("%s: %s%s%s",
                     worst_of(all, i) == HOLDS_NOT ? "not enforced" : "enforced in part",
                     all[i].lost, *all[i].remedy ? ": " : "", all[i].remedy);
}
