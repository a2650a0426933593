/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/status_list.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/instances.h"
#include "config/state_place.h"

/* A long connection ID is cut into directories (text_state_name): so many at most. */
#define DEPTH_MOST 20

static struct view *add(struct status_list *l, const char *name, const char *path)
{
    struct view *v = l->n < LIST_MOST ? calloc(1, sizeof *v) : NULL;
    if (!v) {
        log_error("more than %d instances, or no memory: not all are shown", LIST_MOST);
        l->incomplete = true;
        return NULL;
    }
    v->instance = (struct instance){-1, -1, -1, 0};
    snprintf(v->name, sizeof v->name, "%s", name);
    snprintf(v->path, sizeof v->path, "%s", path);
    view_look(v);
    return l->views[l->n++] = v;
}

/* What is asked for by a connection ID is called by it. */
static void name_by_id(struct view *v)
{
    if (v && !v->name[0] && v->facts.root)
        span_copy(v->name, sizeof v->name, span_of(v->facts.connection_id)); /* whole, or not */
}

/* A plain user may ask for an instance of the system's, whose directory only root can look into. */
static bool may_be_systems(const struct options *o)
{
    char path[LIMIT_PATH + 1];
    return geteuid() != 0 && o->connection_id &&
           instance_file(o->connection_id, ".conf", true, path, sizeof path) &&
           (access(path, F_OK) == 0 || errno == EACCES);
}

bool status_list_find(struct status_place *p, struct options *o)
{
    const char *file = o->values[OPT_CONFIG].text, *base = file ? strrchr(file, '/') : NULL;
    *p = (struct status_place){.name = ""};
    if (!instance_place(o, p->path, sizeof p->path))
        return false;
    if (!o->connection_id && file) {
        snprintf(p->name, sizeof p->name, "%s", base ? base + 1 : file);
        char *end = strrchr(p->name, '.');
        if (end)
            *end = '\0';
    }
    if (!o->connection_id || access(p->path, F_OK) == 0 || errno != ENOENT)
        return true;
    if (may_be_systems(o))
        log_error("you have no instance '%s': if it is one of the system's, ask as root",
                  o->connection_id);
    else
        log_error("there is no instance of this name or connection ID: neither its configuration "
                  "file, nor its state directory %s",
                  p->path);
    return false;
}

void status_list_one(struct status_list *l, const struct status_place *p)
{
    name_by_id(add(l, p->name, p->path));
}

/* ---- all ---- */

static bool known(const struct status_list *l, const char *path)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->views[i]->path, path) == 0)
            return true;
    return false;
}

static void add_configured(struct status_list *l, const char *file, size_t len)
{
    struct options o = {0};
    char name[INSTANCE_NAME_MAX + 1], path[LIMIT_PATH + STATE_NAME_MAX + 2];
    if (!span_copy(name, sizeof name, (struct span){file, len}) || !instance_name_valid(name) ||
        !instance_file(name, ".conf", geteuid() == 0, path, sizeof path))
        return;
    if (options_set(&o, OPT_CONFIG, LEVEL_OPTION, 0, path) && instance_place(&o, path, sizeof path))
        add(l, name, path);
    else
        l->incomplete = true;
    options_finish(&o);
}

static void add_all_configured(struct status_list *l)
{
    char path[LIMIT_PATH + 1];
    const struct dirent *e;
    DIR *d = instance_directory(geteuid() == 0, path, sizeof path) ? opendir(path) : NULL;
    while (d && (e = readdir(d))) {
        size_t len = strlen(e->d_name);
        if (len > 5 && strcmp(e->d_name + len - 5, ".conf") == 0)
            add_configured(l, e->d_name, len - 5);
    }
    if (d)
        closedir(d);
}

/* host: "@" and this host's name, as it ends the name of an instance's directory. */
static void add_below(struct status_list *l, const char *path, const char *host, int depth)
{
    const struct dirent *e;
    DIR *d = depth < DEPTH_MOST ? opendir(path) : NULL;
    while (d && (e = readdir(d))) {
        char below[LIMIT_PATH + STATE_NAME_MAX + 2];
        const char *at = strrchr(e->d_name, '@');
        size_t len = strlen(e->d_name);
        if ((size_t)snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= sizeof below)
            continue;
        if (at && strcmp(at, host) == 0 && !known(l, below))
            name_by_id(add(l, "", below));
        else if (len > 0 && e->d_name[len - 1] == '~')
            add_below(l, below, host, depth + 1);
    }
    if (d)
        closedir(d);
}

static int by_name(const void *a, const void *b)
{
    const struct view *const *x = a, *const *y = b;
    int order = strcmp((*x)->name, (*y)->name);
    return order ? order : strcmp((*x)->path, (*y)->path);
}

bool status_list_all(struct status_list *l, const struct options *o)
{
    char top[LIMIT_PATH + 1], any[STATE_NAME_MAX];
    if (!instance_top(o, top, sizeof top) || !state_instance("x", any, sizeof any))
        return false;
    add_all_configured(l);
    add_below(l, top, any + 1, 0);
    if (l->n > 0)
        qsort(l->views, l->n, sizeof *l->views, by_name);
    return true;
}

void status_list_finish(struct status_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        view_finish(l->views[i]);
        free(l->views[i]);
    }
    *l = (struct status_list){0};
}
