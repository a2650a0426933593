/* SPDX-License-Identifier: Apache-2.0 */
/* tw-agentctl credentials: what a workspace knows of agents, managed from the agent's side. */
#ifndef TW_CTL_CREDENTIALS_H
#define TW_CTL_CREDENTIALS_H

#include "ctl/tower.h"
#include "ctl/workspace.h"

/* Of the name of a credential (Tower's own rule). */
#define CREDENTIALS_NAME_MIN 2
#define CREDENTIALS_NAME_MAX 99
#define CREDENTIALS_PROVIDER "tw-agent"

struct credentials {
    struct tower tower;
    struct workspace workspace;
    uint64_t wait_ms; /* --wait; 0: not */
};

/* One of the actions, such as "add". */
struct action {
    const struct page *page;
    /* Arguments and settings are read, nothing was asked yet. Gives the exit code. */
    int (*run)(struct credentials *c);
};

/* Ends with a page of NULL. */
extern const struct action credentials_actions[];

int credentials_run(const struct ctl *ctl, int argc, char **argv);

int credentials_add(struct credentials *c);
int credentials_list(struct credentials *c);
int credentials_show(struct credentials *c);
int credentials_validate(struct credentials *c);
int credentials_update(struct credentials *c);
int credentials_delete(struct credentials *c);

/* The pieces that the actions share. */

/* True for a name that Tower takes; else an error is logged. */
bool credentials_check_name(const char *name);

/* Token, way to Tower, workspace. An exit code, after an error is logged. */
int credentials_connect(struct credentials *c);

/* The path of the credential with this ID (NULL: of all), with the workspace. False, after an error
 * is logged: too long. */
bool credentials_path(const struct credentials *c, char *out, size_t size, const char *id);

/* True when exactly one of --name and --id is given, and well formed; else an error is logged. */
bool credentials_check_which(const struct credentials *c);

/* Gets the credential that --name or --id names, and refuses one of another provider. An exit code,
 * after an error is logged; the caller releases *found. */
int credentials_find(struct credentials *c, json_t **found);

/* Whether Tower would take a new credential of this name: CTL_WELL, CTL_CONFLICT, or another exit
 * code; each but the first after an error is logged. */
int credentials_check_free(struct credentials *c, const char *name);

/* NULL is fine; else an error is logged unless it can be a work directory, or a variable for one.
 */
bool credentials_check_work_dir(const char *text);

/* Reads --wait into wait_ms. False after an error is logged. */
bool credentials_take_wait(struct credentials *c);

/*
 * A change, asked for again while wait_ms lasts and Tower says that the agent is not online, or
 * cannot be reached. As tower_request; CTL_OFFLINE after the command that starts the agent is
 * logged.
 */
int credentials_submit(struct credentials *c, const char *method, const char *path,
                       const json_t *body, json_t **json);

/*
 * Before any request: whether sharing can be agreed to, by --yes or on a terminal; else a usage
 * error is logged. credentials_agree then says who will be able to do what, and asks. CTL_WELL:
 * yes.
 */
bool credentials_can_agree(const struct credentials *c, const char *what);
int credentials_agree_to_share(struct credentials *c, const char *connection_id);

/*
 * Prints what was done as a sentence, or with --json an object of ok, done, workspace and members,
 * whose reference it takes (NULL: nothing further).
 */
void credentials_report(const struct credentials *c, const char *done, json_t *members,
                        const char *sentence);

#endif
