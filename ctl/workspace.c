/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/workspace.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

/* Of those that are listed when none fits. */
#define SHOWN_MAX 40

static int not_understood(void)
{
    log_error("Tower's list of workspaces is not as expected: is --url its API endpoint?");
    return CTL_PROBLEM;
}

static int user_id(struct tower *t, json_int_t *id)
{
    json_t *answer;
    int code = tower_request(t, "GET", "/user-info", NULL, &answer);
    const json_t *found = json_object_get(json_object_get(answer, "user"), "id");
    *id = json_integer_value(found);
    bool plain = json_is_integer(found) && *id > 0;
    json_decref(answer);
    return code != CTL_WELL || plain ? code : not_understood();
}

/* A row of an organization itself has no workspace. */
static bool is_workspace(const json_t *row)
{
    return json_is_integer(json_object_get(row, "workspaceId")) &&
           json_is_string(json_object_get(row, "workspaceName"));
}

static int64_t id_of(const json_t *row)
{
    return json_integer_value(json_object_get(row, "workspaceId"));
}

static bool is_named(const json_t *row, const char *text)
{
    const char *organization = tower_text(row, "orgName");
    size_t n = strlen(organization);
    return n > 0 && strncmp(text, organization, n) == 0 && text[n] == '/' &&
           strcmp(text + n + 1, tower_text(row, "workspaceName")) == 0;
}

static void list_known(const json_t *rows, const char *text)
{
    const json_t *row;
    size_t i, known = 0;
    log_error("this token's user has no workspace '%s'", text);
    json_array_foreach(rows, i, row)
    {
        if (!is_workspace(row) || known++ >= SHOWN_MAX)
            continue;
        log_error("known: %.200s/%.200s, number %" PRId64, tower_text(row, "orgName"),
                  tower_text(row, "workspaceName"), id_of(row));
    }
    if (known > SHOWN_MAX)
        log_error("and %zu more", known - SHOWN_MAX);
    else if (known == 0)
        log_error("none is known; without --workspace it is the personal one");
}

static void take(struct workspace *w, const json_t *row)
{
    w->id = id_of(row);
    snprintf(w->name, sizeof w->name, "%.120s/%.120s", tower_text(row, "orgName"),
             tower_text(row, "workspaceName"));
    snprintf(w->words, sizeof w->words, "workspace %s", w->name);
    snprintf(w->query, sizeof w->query, "workspaceId=%" PRId64, w->id);
}

static int choose(struct workspace *w, const json_t *rows, const char *text)
{
    const json_t *row;
    uint64_t number;
    size_t i;
    bool by_number = text_number(text, INT64_MAX, &number);
    if (!json_is_array(rows))
        return not_understood();
    json_array_foreach(rows, i, row)
    {
        if (!is_workspace(row) ||
            !(by_number ? id_of(row) == (int64_t)number : is_named(row, text)))
            continue;
        take(w, row);
        return CTL_WELL;
    }
    list_known(rows, text);
    return CTL_NOT_FOUND;
}

int workspace_find(struct workspace *w, struct tower *t, const char *text)
{
    char path[64];
    json_int_t user = 0;
    json_t *answer;
    *w = (struct workspace){.personal = !text, .words = "the personal workspace"};
    if (!text)
        return CTL_WELL;
    int code = user_id(t, &user);
    if (code != CTL_WELL)
        return code;
    snprintf(path, sizeof path, "/user/%" JSON_INTEGER_FORMAT "/workspaces", user);
    code = tower_request(t, "GET", path, NULL, &answer);
    if (code == CTL_WELL)
        code = choose(w, json_object_get(answer, "orgsAndWorkspaces"), text);
    json_decref(answer);
    return code;
}
