/* SPDX-License-Identifier: Apache-2.0 */
/* The instances that `status` shows: the one that is asked for, or all of this host. */
#ifndef TW_CTL_STATUS_LIST_H
#define TW_CTL_STATUS_LIST_H

#include "config/options.h"
#include "ctl/status_view.h"

#define LIST_MOST 256

struct status_list {
    struct view *views[LIST_MOST]; /* owned; looked at */
    size_t n;
    bool incomplete; /* something could not be read, which was logged; or there are more */
};

/* Where the state of one instance is, and what it is called. */
struct status_place {
    char name[LIMIT_CONNECTION_ID + 1]; /* empty: as its status says */
    char path[LIMIT_PATH + STATE_NAME_MAX + 2];
};

/* The instance of the options. False, after an error is logged, when there is none. */
bool status_list_find(struct status_place *p, struct options *o);

/* Looks at it. */
void status_list_one(struct status_list *l, const struct status_place *p);

/* Each configuration file of an instance, and each state directory of this host that none of them
 * names. False, after an error is logged, when these cannot be looked for. */
bool status_list_all(struct status_list *l, const struct options *o);

void status_list_finish(struct status_list *l);

#endif
