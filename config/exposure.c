/* SPDX-License-Identifier: Apache-2.0 */
/* Who can read the token's file. Errs towards "can": an entry that a mask cancels may count. */
#include <endian.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config/token_source.h"

/* A list as the kernel keeps it (linux/posix_acl_xattr.h): a version, then entries of 8 bytes. */
#define ACL_HEADER 4
#define ACL_USER   0x02
#define ACL_GROUP  0x08
#define ACL_READ   0x04

struct acl_entry {
    uint16_t tag;
    uint16_t permissions;
    uint32_t id;
};

static bool has_group(const struct identity *id, gid_t group)
{
    for (size_t i = 0; i < id->n_groups; i++)
        if (id->groups[i] == group)
            return true;
    return id->gid == group;
}

static bool trusted_group(const struct users *u, gid_t group)
{
    return group == 0 || group == u->agent.gid;
}

static enum token_exposure by_entry(const struct acl_entry *e, const struct users *u)
{
    uint32_t id = le32toh(e->id);
    if (!(le16toh(e->permissions) & ACL_READ))
        return EXPOSED_TO_NOBODY;
    switch (le16toh(e->tag)) {
    case ACL_USER:
        if (id == u->commands.uid)
            return EXPOSED_TO_COMMANDS;
        return id == 0 || id == u->agent.uid ? EXPOSED_TO_NOBODY : EXPOSED_TO_GROUP;
    case ACL_GROUP:
        if (has_group(&u->commands, id))
            return EXPOSED_TO_COMMANDS;
        return trusted_group(u, id) ? EXPOSED_TO_NOBODY : EXPOSED_TO_GROUP;
    default:
        return EXPOSED_TO_NOBODY; /* owner, group, others, mask: the mode says it */
    }
}

static enum token_exposure by_list(const struct token_source *s, const struct users *u)
{
    enum token_exposure worst = EXPOSED_TO_NOBODY;
    struct acl_entry e;
    if (s->acl_len < 0)
        return EXPOSED_TO_GROUP;
    for (size_t at = ACL_HEADER; at + sizeof e <= (size_t)s->acl_len; at += sizeof e) {
        memcpy(&e, s->acl + at, sizeof e);
        enum token_exposure this = by_entry(&e, u);
        if (this > worst)
            worst = this;
    }
    return worst;
}

enum token_exposure token_source_exposure(const struct token_source *s, const struct users *u)
{
    _Static_assert(EXPOSED_TO_NOBODY < EXPOSED_TO_GROUP && EXPOSED_TO_GROUP < EXPOSED_TO_COMMANDS,
                   "by_list takes the worst");
    if (token_source_open_to_all(s))
        return EXPOSED_AT_START;
    if (s->mode == 0)
        return EXPOSED_TO_NOBODY;
    enum token_exposure list = by_list(s, u);
    if (s->owner == u->commands.uid || list == EXPOSED_TO_COMMANDS ||
        ((s->mode & S_IRGRP) && has_group(&u->commands, s->group)))
        return EXPOSED_TO_COMMANDS;
    if (s->mode & S_IROTH)
        return EXPOSED_TO_ALL;
    if ((s->mode & S_IRGRP) && !trusted_group(u, s->group))
        return EXPOSED_TO_GROUP;
    return list;
}

const char *token_source_reader(const struct token_source *s, char *out, size_t size)
{
    const struct group *g = getgrgid(s->group);
    if (s->acl_len != 0)
        snprintf(out, size, "an entry of its access control list");
    else if (g)
        snprintf(out, size, "group '%s'", g->gr_name);
    else
        snprintf(out, size, "group %u", (unsigned)s->group);
    return out;
}
