/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/credentials.h"

#include <string.h>

#include "base/log.h"
#include "ctl/output.h"

/* Rows that several actions have. */
#define CONNECTION "connection-id", "ID", "the agent's connection ID"
#define FOR                                                                                        \
    "for", "NAME",                                                                                 \
        "the instance whose configuration gives connection ID, URL, CA, proxy, token file"
#define WORKSPACE "workspace", "ORG/NAME|ID", "the workspace; without it, the personal one"
#define NAME      "name", "NAME", "the credential by its name"
#define ID        "id", "ID", "the credential by its ID"
#define SHARED    "shared", NULL, "every member of the workspace may use the agent"
#define WAIT      "wait", "[DUR]", "wait until the agent is online (5m)"
#define YES       "yes", NULL, "do it without asking"
#define TIMEOUT   "timeout", "DUR", "how long a request may take (30s)"
#define END       NULL, NULL, NULL

static const enum option_id shared_options[] = {
    OPT_URL,   OPT_TOKEN_FILE, OPT_TOKEN_FD, OPT_ACCESS_TOKEN, OPT_CA_FILE,
    OPT_PROXY, OPT_PROXY_FILE, OPT_PIN_SPKI, OPT_CONFIG,       OPTIONS};

static const struct parameter add_own[] = {
    {"name", "NAME", "its name: letters, digits, - and _, 2 to 99"},
    {CONNECTION},
    {FOR},
    {WORKSPACE},
    {SHARED},
    {"work-dir", "DIR", "the work directory ($TW_AGENT_WORK, which the agent's commands have)"},
    {WAIT},
    {YES},
    {TIMEOUT},
    {END}};
static const struct parameter list_own[] = {{FOR}, {WORKSPACE}, {TIMEOUT}, {END}};
static const struct parameter show_own[] = {{NAME}, {ID}, {FOR}, {WORKSPACE}, {TIMEOUT}, {END}};
static const struct parameter validate_own[] = {
    {"name", "NAME", "a name for a new credential: is it well formed and free?"},
    {"id", "ID", "a credential: is it an agent's, with this connection ID?"},
    {CONNECTION},
    {FOR},
    {WORKSPACE},
    {TIMEOUT},
    {END}};
static const struct parameter update_own[] = {
    {NAME},
    {ID},
    {SHARED},
    {"no-shared", NULL, "the token's owner alone may use it"},
    {"work-dir", "DIR", "the work directory"},
    {FOR},
    {WORKSPACE},
    {WAIT},
    {YES},
    {TIMEOUT},
    {END}};
static const struct parameter delete_own[] = {{NAME}, {ID},      {FOR}, {WORKSPACE},
                                              {YES},  {TIMEOUT}, {END}};

static const struct page pages[] = {
    {"credentials add", "--name NAME --connection-id ID|--for NAME [OPTIONS]",
     "Adds a Tower Agent credential, which lets a workspace use the agent", add_own, shared_options,
     0, NULL},
    {"credentials list", "[OPTIONS]", "Lists the Tower Agent credentials of a workspace", list_own,
     shared_options, 0, NULL},
    {"credentials show", "--name NAME|--id ID [OPTIONS]", "Shows one credential", show_own,
     shared_options, 0, NULL},
    {"credentials validate", "--name NAME|--id ID [OPTIONS]",
     "Asks Tower whether a name is free, or looks whether a credential is that of the agent",
     validate_own, shared_options, 0, NULL},
    {"credentials update", "--name NAME|--id ID --shared|--no-shared|--work-dir DIR [OPTIONS]",
     "Changes a credential", update_own, shared_options, 0, NULL},
    {"credentials delete", "--name NAME|--id ID [OPTIONS]", "Deletes a credential", delete_own,
     shared_options, 0, NULL},
};

const struct action credentials_actions[] = {
    {&pages[0], credentials_add},
    {&pages[1], credentials_list},
    {&pages[2], credentials_show},
    {&pages[3], credentials_validate},
    {&pages[4], credentials_update},
    {&pages[5], credentials_delete},
    {NULL, NULL},
};

/* "add" of "credentials add". */
static const char *action_name(const struct action *a)
{
    return strchr(a->page->name, ' ') + 1;
}

static bool is_in(const struct parameter *rows, const char *name)
{
    for (; rows->name; rows++)
        if (strcmp(rows->name, name) == 0)
            return true;
    return false;
}

/* What the actions take, each once: an action before this one may have had it. */
static void print_options(FILE *out)
{
    for (const struct action *a = credentials_actions; a->page; a++)
        for (const struct parameter *p = a->page->own; p->name; p++) {
            const struct action *before = credentials_actions;
            while (before < a && !is_in(before->page->own, p->name))
                before++;
            if (before == a)
                page_print_parameter(p, out);
        }
    page_print_shared(&pages[0], out);
}

static void print_usage(FILE *out)
{
    fprintf(out, "Usage: tw-agentctl credentials ACTION …    (tw-agentctl credentials ACTION "
                 "--help)\n\n");
    for (const struct action *a = credentials_actions; a->page; a++)
        fprintf(out, "  %s %s\n      %s\n", action_name(a), a->page->arguments, a->page->help);
}

static void print_help(void)
{
    print_usage(stdout);
    printf("\nOptions, of which each action has some:\n\n");
    print_options(stdout);
}

static void print_error(int code, const char *message)
{
    printf("{\"ok\":false,\"code\":%d", code);
    output_json_text(stdout, false, "message", message);
    puts("}");
}

/* With --json an error is an object too: the first that was logged, which later ones explain. */
static int act(const struct action *a, const struct ctl *ctl, int argc, char **argv)
{
    static struct credentials c;
    char first[OUTPUT_FIRST_MAX] = "";
    int code;
    log_to(output_message, first);
    if (tower_arguments(&c.tower, ctl, a->page, argc, argv, &code))
        code = a->run(&c);
    log_to(output_message, NULL);
    if (code != CTL_WELL && ctl->json)
        print_error(code, first);
    tower_finish(&c.tower);
    return code;
}

int credentials_run(const struct ctl *ctl, int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return print_help(), CTL_WELL;
    for (const struct action *a = credentials_actions; a->page; a++)
        if (strcmp(name, action_name(a)) == 0)
            return act(a, ctl, argc - 1, argv + 1);
    /* Not repeated: it may be a token. */
    log_error("credentials needs one of its actions behind it");
    print_usage(stderr);
    return CTL_USAGE;
}
