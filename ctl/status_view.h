/* SPDX-License-Identifier: Apache-2.0 */
/* One instance as it is seen now: is there a process, what does its status say, is that believable;
 * and how that is shown. */
#ifndef TW_CTL_STATUS_VIEW_H
#define TW_CTL_STATUS_VIEW_H

#include "config/state_place.h"
#include "ctl/instance.h"
#include "ctl/status_facts.h"

enum view_condition {
    VIEW_NONE,        /* no state on this host: never started */
    VIEW_NOT_RUNNING, /* nobody holds the lock */
    VIEW_UNKNOWN,     /* it runs, and what its status says cannot be used */
    VIEW_SILENT,      /* it runs, and does not update its status */
    VIEW_RUNNING      /* its status is of now */
};

struct view {
    char name[LIMIT_CONNECTION_ID + 1];         /* of the configuration, else the connection ID */
    char path[LIMIT_PATH + STATE_NAME_MAX + 2]; /* of the state directory; empty: not known */
    struct instance instance;
    enum view_condition condition;
    struct status_facts facts; /* root NULL: none */
    char why[512];             /* what is wrong; may be empty */
    int64_t now;               /* when it was looked at */
};

/* Looks at the directory of v->path; watches it first, so that no change is lost. */
void view_look(struct view *v);

bool view_online(const struct view *v);

/* One line, without its end; the whole, of several lines; an object. */
void view_print_line(const struct view *v);
void view_print(const struct view *v);
json_t *view_json(const struct view *v);

/* How long what view_print shows stays true, in ms, if nothing happens. */
int view_good_for_ms(const struct view *v, bool whole);

void view_finish(struct view *v);

#endif
