/* SPDX-License-Identifier: Apache-2.0 */
/* Where credentials are: a workspace of an organization, or the personal one of the token's owner.
 */
#ifndef TW_CTL_WORKSPACE_H
#define TW_CTL_WORKSPACE_H

#include "ctl/tower.h"

struct workspace {
    bool personal;
    int64_t id;
    char name[256];  /* "ORG/NAME", cut; to be escaped */
    char words[300]; /* "workspace ORG/NAME" or "the personal workspace" */
    char query[40];  /* "workspaceId=N"; empty for the personal one */
};

/*
 * The one that text names: ORG/NAME or its number; NULL: the personal one, without any request. An
 * exit code, after an error is logged, which lists the known ones when it is not among them.
 */
int workspace_find(struct workspace *w, struct tower *t, const char *text);

#endif
