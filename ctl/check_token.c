/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/check.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/child.h"

#define NAME "token"

static const char *repair(const struct check *c)
{
    return c->settings.system_mode
               ? "give a regular file of root:tw-agent, mode 0640, by --token-file"
               : "give a regular file of yours, mode 0600, by --token-file";
}

/* "root:tw-agent, mode 0640". */
static void describe(const struct token_source *s, char *out, size_t size)
{
    const struct passwd *pw = getpwuid(s->owner);
    char owner[LIMIT_USER];
    snprintf(owner, sizeof owner, "%.200s", pw ? pw->pw_name : "?");
    const struct group *g = getgrgid(s->group);
    snprintf(out, size, "%s:%.200s, mode %04o%s", owner, g ? g->gr_name : "?",
             (unsigned)s->mode & 07777, s->acl_len != 0 ? " and an access control list" : "");
}

static void judge_exposure(struct check *c)
{
    struct judgement j;
    char where[2 * LIMIT_USER];
    facts_take_source(&c->facts, &c->source, &c->users, c->reader, sizeof c->reader);
    guarantee_judge(GUARANTEE_TOKEN, &c->facts, &j);
    describe(&c->source, where, sizeof where);
    if (j.holds != HOLDS_FULL)
        findings_add(&c->findings, NAME, j.holds == HOLDS_NOT ? FINDING_ERROR : FINDING_WARNING,
                     j.remedy, "%s", j.lost);
    else if (c->source.mode == 0)
        findings_add(&c->findings, NAME, FINDING_OK, NULL, "comes from a pipe");
    else
        findings_add(&c->findings, NAME, FINDING_OK, NULL, "%s: %s", token_source_text(&c->source),
                     where);
}

static void look_again(const void *context, void *answer)
{
    const struct token_source *s = context;
    *(bool *)answer = faccessat(s->dirfd, s->name, R_OK, 0) == 0;
}

/* Whether tw-agent itself, after root was given up, can read a new token there. */
static void check_rotation(struct check *c)
{
    bool readable = false;
    if (c->source.kind != TOKEN_FILE)
        return;
    enum child_outcome outcome = child_look(&c->users.agent, look_again, &c->source, &readable,
                                            sizeof readable, CHECK_DEADLINE_MS);
    if (outcome == CHILD_ANSWERED && readable)
        findings_add(&c->findings, "token-rotation", FINDING_OK, NULL,
                     "SIGHUP reads the file again");
    else if (outcome == CHILD_ANSWERED)
        findings_add(&c->findings, "token-rotation", FINDING_NOTE,
                     "give the file to root:tw-agent with mode 0640",
                     "tw-agent cannot read the file again, so SIGHUP will not replace the token");
    else
        findings_add(&c->findings, "token-rotation", FINDING_WARNING, NULL,
                     "no answer from the token file within %d s", CHECK_DEADLINE_MS / 1000);
}

static bool is_before_setup(const struct check *c)
{
    static const enum option_id ids[] = {OPT_CONFIG, OPT_ACCESS_TOKEN, OPT_TOKEN_FILE,
                                         OPT_TOKEN_FD};
    bool given = getenv("CREDENTIALS_DIRECTORY") != NULL;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        given = given || c->options.values[ids[i]].text;
    return c->settings.system_mode && !given;
}

void check_token(struct check *c)
{
    struct stat st;
    const char *why;
    c->capturing = NAME;
    c->before_setup = c->has_users && is_before_setup(c);
    if (c->before_setup) {
        c->facts.token = EXPOSED_TO_NOBODY;
        findings_add(&c->findings, NAME, FINDING_NOTE,
                     "tw-agentctl setup asks for it and writes it as root:tw-agent, mode 0640",
                     "none is named yet");
        return;
    }
    if (!c->has_users ||
        token_source_find(&c->source, &c->options, (int)c->settings.numbers[OPT_TOKEN_FD]) != 0)
        return;
    if (token_source_open_to_all(&c->source)) {
        judge_exposure(c);
        return;
    }
    int fd = token_source_open(&c->source, &why);
    if (fd < 0) {
        findings_add(&c->findings, NAME, FINDING_ERROR, repair(c), "%s: %s",
                     token_source_text(&c->source), why);
        return;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0)
        findings_add(&c->findings, NAME, FINDING_ERROR, "write the token into it", "%s is empty",
                     token_source_text(&c->source));
    close(fd);
    judge_exposure(c);
    check_rotation(c);
}
