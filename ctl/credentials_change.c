/* SPDX-License-Identifier: Apache-2.0 */
/* update, delete. */
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "ctl/credentials.h"
#include "ctl/prompt.h"

static bool check_update(struct credentials *c)
{
    const struct tower *t = &c->tower;
    bool on = tower_value(t, "shared"), off = tower_value(t, "no-shared");
    if (!credentials_check_which(c) || !credentials_check_work_dir(tower_value(t, "work-dir")))
        return false;
    if (on && off) {
        log_error("give one of --shared and --no-shared");
        return false;
    }
    if (!on && !off && !tower_value(t, "work-dir")) {
        log_error("say what is to change: --shared, --no-shared or --work-dir DIR");
        return false;
    }
    return credentials_take_wait(c) && (!on || credentials_can_agree(c, "--shared"));
}

/* The whole object as Tower has it, but for what changes: what is left out might be lost there.
 * NULL, after an error is logged: it has no place for that, so nobody knows how it is. */
static json_t *changed(const struct credentials *c, const json_t *found)
{
    const struct tower *t = &c->tower;
    const char *work_dir = tower_value(t, "work-dir");
    json_t *copy = json_deep_copy(found), *keys = json_object_get(copy, "keys");
    bool ok = json_is_object(keys);
    if (ok && (tower_value(t, "shared") || tower_value(t, "no-shared")))
        ok = json_object_set_new(keys, "shared", json_boolean(tower_value(t, "shared") != NULL)) ==
             0;
    if (ok && work_dir)
        ok = json_object_set_new(keys, "workDir", json_string(work_dir)) == 0;
    if (ok)
        return copy;
    log_error("Tower does not say how the credential is (\"keys\"): nothing was changed");
    json_decref(copy);
    return NULL;
}

static int put(struct credentials *c, json_t *credential)
{
    char path[TOWER_PATH_MAX], sentence[400];
    credentials_path(c, path, sizeof path, tower_text(credential, "id"));
    json_t *body = json_pack("{s:O}", "credentials", credential);
    int code = credentials_submit(c, "PUT", path, body, NULL);
    json_decref(body);
    if (code == CTL_WELL) {
        snprintf(sentence, sizeof sentence, "changed credential '%.*s'", CREDENTIALS_NAME_MAX,
                 tower_text(credential, "name"));
        credentials_report(c, "update", json_pack("{s:O}", "credentials", credential), sentence);
    }
    return code;
}

int credentials_update(struct credentials *c)
{
    json_t *found = NULL, *wanted = NULL;
    if (!check_update(c))
        return CTL_USAGE;
    int code = credentials_connect(c);
    if (code == CTL_WELL)
        code = credentials_find(c, &found);
    if (code == CTL_WELL && !(wanted = changed(c, found)))
        code = CTL_PROBLEM;
    if (wanted && json_equal(found, wanted)) {
        credentials_report(c, "nothing", json_pack("{s:O}", "credentials", found),
                           "nothing to change: it is like that already");
    } else if (wanted) {
        if (tower_value(&c->tower, "shared"))
            code = credentials_agree_to_share(
                c, tower_text(json_object_get(found, "keys"), "connectionId"));
        if (code == CTL_WELL)
            code = put(c, wanted);
    }
    json_decref(found);
    json_decref(wanted);
    return code;
}

static int agree_to_delete(const struct credentials *c, const json_t *found)
{
    char line[700];
    const char *const lines[] = {line, NULL};
    if (tower_value(&c->tower, "yes"))
        return CTL_WELL;
    snprintf(line, sizeof line,
             "Credential '%.*s' (%s) of %s. Compute environments that use it will stop working.",
             CREDENTIALS_NAME_MAX, tower_text(found, "name"), tower_text(found, "id"),
             c->workspace.words);
    switch (prompt_yes(lines, "Delete it?")) {
    case PROMPT_YES:
        return CTL_WELL;
    case PROMPT_NO:
        log_error("not deleted");
        return CTL_PROBLEM;
    default:
        return CTL_USAGE;
    }
}

int credentials_delete(struct credentials *c)
{
    char path[TOWER_PATH_MAX], sentence[400];
    json_t *found = NULL;
    if (!credentials_check_which(c) || !credentials_can_agree(c, "deleting"))
        return CTL_USAGE;
    int code = credentials_connect(c);
    if (code == CTL_WELL)
        code = credentials_find(c, &found);
    if (code == CTL_WELL)
        code = agree_to_delete(c, found);
    if (code == CTL_WELL) {
        credentials_path(c, path, sizeof path, tower_text(found, "id"));
        code = credentials_submit(c, "DELETE", path, NULL, NULL);
        if (code == CTL_CONFLICT)
            log_error("jobs still use it: let them end, or cancel them, then delete it");
    }
    if (code == CTL_WELL) {
        snprintf(sentence, sizeof sentence, "deleted credential '%.*s'", CREDENTIALS_NAME_MAX,
                 tower_text(found, "name"));
        credentials_report(c, "delete",
                           json_pack("{s:s, s:s}", "credentialsId", tower_text(found, "id"), "name",
                                     tower_text(found, "name")),
                           sentence);
    }
    json_decref(found);
    return code;
}
