/* SPDX-License-Identifier: Apache-2.0 */
/* list, show, validate: what changes nothing. */
#include <string.h>

#include "base/log.h"
#include "ctl/credentials.h"
#include "ctl/output.h"
#include "ctl/table.h"

/* What Tower does not say is not "no". */
static const char *shared_word(const json_t *keys)
{
    const json_t *shared = json_object_get(keys, "shared");
    if (json_is_true(shared))
        return "yes";
    return json_is_object(keys) && (!shared || json_is_null(shared) || json_is_false(shared))
               ? "no"
               : "unknown";
}

static void print_table(const json_t *rows)
{
    static const char *const titles[] = {"NAME", "ID", "CONNECTION ID", "SHARED", "WORK DIRECTORY"};
    struct table table;
    const json_t *row;
    size_t i;
    table_init(&table, titles, sizeof titles / sizeof *titles);
    json_array_foreach(rows, i, row)
    {
        const json_t *keys = json_object_get(row, "keys");
        table_add(&table, tower_text(row, "name"));
        table_add(&table, tower_text(row, "id"));
        table_add(&table, tower_text(keys, "connectionId"));
        table_add(&table, shared_word(keys));
        table_add(&table, tower_text(keys, "workDir"));
    }
    table_print(&table, stdout);
    table_finish(&table);
}

/* Those of agents alone; the caller releases the array. */
static json_t *only_agents(const json_t *all)
{
    json_t *kept = json_array();
    json_t *row;
    size_t i;
    json_array_foreach(all, i, row)
    {
        if (strcmp(tower_text(row, "provider"), CREDENTIALS_PROVIDER) == 0)
            json_array_append(kept, row);
    }
    return kept;
}

int credentials_list(struct credentials *c)
{
    char path[TOWER_PATH_MAX];
    json_t *answer;
    int code = credentials_connect(c);
    if (code != CTL_WELL)
        return code;
    credentials_path(c, path, sizeof path, NULL);
    code = tower_request(&c->tower, "GET", path, NULL, &answer);
    if (code != CTL_WELL)
        return code;
    const json_t *all = json_object_get(answer, "credentials");
    if (!json_is_array(all)) {
        log_error("Tower's list of credentials is not as expected: is --url its API endpoint?");
        code = CTL_PROBLEM;
    } else {
        json_t *agents = only_agents(all);
        if (c->tower.ctl->json)
            credentials_report(c, "list", json_pack("{s:O}", "credentials", agents), "");
        else if (json_array_size(agents) > 0)
            print_table(agents);
        else
            credentials_report(c, "list", NULL, "no credential of a Tower Agent is there");
        json_decref(agents);
    }
    json_decref(answer);
    return code;
}

static void print_line(const char *name, const char *text)
{
    if (!*text)
        return;
    printf("%-16s ", name);
    output_escaped(stdout, text, false);
    putchar('\n');
}

static void print_one(const struct credentials *c, const json_t *credential)
{
    const json_t *keys = json_object_get(credential, "keys");
    print_line("name", tower_text(credential, "name"));
    print_line("ID", tower_text(credential, "id"));
    print_line("in", c->workspace.words);
    print_line("connection ID", tower_text(keys, "connectionId"));
    print_line("shared", shared_word(keys));
    print_line("work directory", tower_text(keys, "workDir"));
    print_line("description", tower_text(credential, "description"));
    print_line("created", tower_text(credential, "dateCreated"));
    print_line("changed", tower_text(credential, "lastUpdated"));
    print_line("last used", tower_text(credential, "lastUsed"));
}

int credentials_show(struct credentials *c)
{
    json_t *found = NULL;
    if (!credentials_check_which(c))
        return CTL_USAGE;
    int code = credentials_connect(c);
    if (code == CTL_WELL)
        code = credentials_find(c, &found);
    if (code == CTL_WELL && c->tower.ctl->json)
        credentials_report(c, "show", json_pack("{s:O}", "credentials", found), "");
    else if (code == CTL_WELL)
        print_one(c, found);
    json_decref(found);
    return code;
}

/* Whether it is a credential of the agent that --connection-id or --for names. */
static int validate_one(struct credentials *c)
{
    json_t *found;
    char sentence[2 * LIMIT_CONNECTION_ID + 200];
    const char *wanted = c->tower.has_id ? c->tower.settings.connection_id : NULL;
    int code = credentials_find(c, &found);
    if (code != CTL_WELL)
        return code;
    const char *id = tower_text(json_object_get(found, "keys"), "connectionId");
    if (wanted && strcmp(wanted, id) != 0) {
        log_error("the credential is for the connection ID '%.*s', not for '%s'",
                  LIMIT_CONNECTION_ID, id, wanted);
        code = CTL_PROBLEM;
    } else {
        snprintf(sentence, sizeof sentence, "a credential of the agent '%.*s'", LIMIT_CONNECTION_ID,
                 id);
        credentials_report(c, "validate", json_pack("{s:O}", "credentials", found), sentence);
    }
    json_decref(found);
    return code;
}

int credentials_validate(struct credentials *c)
{
    char sentence[CREDENTIALS_NAME_MAX + 400];
    const char *name = tower_value(&c->tower, "name");
    if (!credentials_check_which(c))
        return CTL_USAGE;
    int code = credentials_connect(c);
    if (code != CTL_WELL || !name)
        return code == CTL_WELL ? validate_one(c) : code;
    code = credentials_check_free(c, name);
    if (code == CTL_WELL) {
        snprintf(sentence, sizeof sentence, "the name '%s' is free in %s", name,
                 c->workspace.words);
        credentials_report(c, "validate", json_pack("{s:s}", "name", name), sentence);
    }
    return code;
}
