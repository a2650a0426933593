/* SPDX-License-Identifier: Apache-2.0 */
/* What the actions of `credentials` share. */
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "ctl/credentials.h"
#include "ctl/output.h"
#include "ctl/prompt.h"

/* An ID is 22 characters; its form is Tower's affair. */
#define ID_MAX 64

static const char name_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789-_";

bool credentials_check_name(const char *name)
{
    size_t len = strlen(name);
    if (len >= CREDENTIALS_NAME_MIN && len <= CREDENTIALS_NAME_MAX &&
        strspn(name, name_characters) == len)
        return true;
    log_error("--name: a name is %d to %d letters, digits, dashes and underscores",
              CREDENTIALS_NAME_MIN, CREDENTIALS_NAME_MAX);
    return false;
}

static bool check_id(const char *id)
{
    size_t len = strlen(id);
    if (len > 0 && len <= ID_MAX && strspn(id, name_characters) == len)
        return true;
    log_error("--id: not the ID of a credential (credentials list shows them)");
    return false;
}

bool credentials_check_which(const struct credentials *c)
{
    const char *name = tower_value(&c->tower, "name"), *id = tower_value(&c->tower, "id");
    if (!name == !id) {
        log_error("give one of --name and --id");
        return false;
    }
    return name ? credentials_check_name(name) : check_id(id);
}

int credentials_connect(struct credentials *c)
{
    struct tower *t = &c->tower;
    int code = tower_connect(t);
    return code == CTL_WELL ? workspace_find(&c->workspace, t, tower_value(t, "workspace")) : code;
}

bool credentials_path(const struct credentials *c, char *out, size_t size, const char *id)
{
    const char *query = c->workspace.query;
    int n = snprintf(out, size, "/credentials%s%s%s%s", id ? "/" : "", id ? id : "",
                     *query ? "?" : "", query);
    return n > 0 && (size_t)n < size;
}

/* ---- finding one ---- */

static bool is_agent(const json_t *credential)
{
    return strcmp(tower_text(credential, "provider"), CREDENTIALS_PROVIDER) == 0;
}

static int not_understood(void)
{
    log_error("Tower's answer is not as expected: is --url its API endpoint?");
    return CTL_PROBLEM;
}

/* The ID of the credential of this name, into id. */
static int find_by_name(struct credentials *c, const char *name, char id[ID_MAX + 1])
{
    char path[TOWER_PATH_MAX];
    json_t *answer;
    const json_t *row;
    size_t i;
    credentials_path(c, path, sizeof path, NULL);
    int code = tower_request(&c->tower, "GET", path, NULL, &answer);
    if (code != CTL_WELL)
        return code;
    const json_t *rows = json_object_get(answer, "credentials");
    code = json_is_array(rows) ? CTL_NOT_FOUND : not_understood();
    json_array_foreach(rows, i, row)
    {
        if (strcmp(tower_text(row, "name"), name) != 0)
            continue;
        bool plain = span_copy(id, ID_MAX + 1, span_of(tower_text(row, "id")));
        code =
            plain && strspn(id, name_characters) == strlen(id) && *id ? CTL_WELL : not_understood();
        break;
    }
    if (code == CTL_NOT_FOUND)
        log_error("%s has no credential '%s' (credentials list shows them)", c->workspace.words,
                  name);
    json_decref(answer);
    return code;
}

int credentials_find(struct credentials *c, json_t **found)
{
    char path[TOWER_PATH_MAX], id[ID_MAX + 1] = "";
    const char *name = tower_value(&c->tower, "name");
    json_t *answer;
    *found = NULL;
    int code = CTL_WELL;
    if (name)
        code = find_by_name(c, name, id);
    else
        span_copy(id, sizeof id, span_of(tower_value(&c->tower, "id")));
    if (code != CTL_WELL)
        return code;
    credentials_path(c, path, sizeof path, id);
    code = tower_request(&c->tower, "GET", path, NULL, &answer);
    if (code != CTL_WELL)
        return code;
    json_t *credential = json_object_get(answer, "credentials");
    if (!json_is_object(credential) || strcmp(tower_text(credential, "id"), id) != 0) {
        code = not_understood();
    } else if (!is_agent(credential)) {
        log_error("this is no credential of a Tower Agent, but of provider '%.40s': left alone",
                  tower_text(credential, "provider"));
        code = CTL_PROBLEM;
    } else {
        *found = json_incref(credential);
    }
    json_decref(answer);
    return code;
}

int credentials_check_free(struct credentials *c, const char *name)
{
    char path[TOWER_PATH_MAX];
    const char *query = c->workspace.query;
    snprintf(path, sizeof path, "/credentials/validate?name=%s%s%s", name, *query ? "&" : "",
             query);
    return tower_request(&c->tower, "GET", path, NULL, NULL);
}

/* ---- agreeing ---- */

bool credentials_can_agree(const struct credentials *c, const char *what)
{
    if (tower_value(&c->tower, "yes") || prompt_possible())
        return true;
    log_error("%s has to be agreed to: there is no terminal to ask on, so give --yes", what);
    return false;
}

/* Whom the commands run as, as far as the instance's configuration tells. */
static void say_user(const struct credentials *c, char *out, size_t size)
{
    const struct options *o = &c->tower.options;
    const struct passwd *self = *c->tower.instance && geteuid() != 0 ? getpwuid(geteuid()) : NULL;
    const char *user = o->values[OPT_RUN_AS].text;
    if (self)
        user = self->pw_name;
    if (user)
        snprintf(out, size, "the Unix user '%.200s'", user);
    else if (o->values[OPT_CONFIG].text)
        snprintf(out, size, "the Unix user that the agent is started as");
    else
        snprintf(out, size, "the Unix user that the agent runs commands as");
}

int credentials_agree_to_share(struct credentials *c, const char *connection_id)
{
    char who[480], as[300], agent[LIMIT_CONNECTION_ID + 100];
    const char *lines[] = {
        who, agent, "They can read and change all that this user can, and so can the jobs.", NULL};
    if (tower_value(&c->tower, "yes"))
        return CTL_WELL;
    say_user(c, as, sizeof as);
    if (c->workspace.personal)
        snprintf(who, sizeof who, "Sharing: whoever may use %s will be able to run commands as",
                 c->workspace.words);
    else
        snprintf(who, sizeof who,
                 "Sharing: every member of %s who may launch there, now and later, will be able "
                 "to run commands as",
                 c->workspace.words);
    snprintf(agent, sizeof agent, "%s, through the agent '%s'.", as, connection_id);
    switch (prompt_yes(lines, "Share it?")) {
    case PROMPT_YES:
        return CTL_WELL;
    case PROMPT_NO:
        log_error("not shared: nothing was changed");
        return CTL_PROBLEM;
    default:
        return CTL_USAGE;
    }
}

/* ---- reporting ---- */

void credentials_report(const struct credentials *c, const char *done, json_t *members,
                        const char *sentence)
{
    if (!c->tower.ctl->json) {
        output_escaped(stdout, sentence, false);
        putchar('\n');
        json_decref(members);
        return;
    }
    json_t *report = json_pack("{s:b, s:s}", "ok", 1, "done", done);
    if (!c->workspace.personal)
        json_object_set_new(report, "workspaceId", json_integer(c->workspace.id));
    json_object_update(report, members);
    json_decref(members);
    output_json_line(report);
}
