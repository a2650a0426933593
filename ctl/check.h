/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tw-agentctl check: what this host and configuration can enforce, judged without starting,
 * making or changing anything, and without reading a byte of the token.
 *
 *   check_config.c     options, file, users, URL, proxy, CA certificates
 *   check_token.c      the token's source
 *   check_programs.c   the agent's programs
 *   check_places.c     state and work directory, the place of the metrics
 *   check_host.c       locked memory; scheduler clients and what they need
 *   check_report.c     both printers
 */
#ifndef TW_CTL_CHECK_H
#define TW_CTL_CHECK_H

#include "config/facts.h"
#include "ctl/child.h"
#include "ctl/ctl.h"
#include "ctl/findings.h"

/* How long a look at a file system may take. */
#define CHECK_DEADLINE_MS 5000

struct check {
    struct options options;
    struct settings settings;
    struct users users;
    struct token_source source;
    struct facts facts;
    char reader[128]; /* of facts.token_reader */
    struct findings findings;
    const char *capturing; /* the check that messages of shared code belong to */
    bool has_settings;     /* the rest can be judged only with these */
    bool has_users;
    bool has_id;       /* a connection ID was given */
    bool before_setup; /* as root without a configuration and token: judged as what setup will make
                        */
};

/* The subcommand. */
int check_run(const struct ctl *ctl, int argc, char **argv);

/* The same for another subcommand: judges what this configuration file alone makes. check_finish
 * releases it. */
void check_file(struct check *c, const char *path);
void check_finish(struct check *c);

/* Groups of checks; each adds its findings. */
void check_configuration(struct check *c);
void check_network(struct check *c);
void check_token(struct check *c);
void check_programs(struct check *c);
void check_state(struct check *c);
void check_work_dir(struct check *c);
void check_metrics(struct check *c);
void check_memory(struct check *c);
void check_schedulers(struct check *c);

/* The work directory as the commands' user finds it. */
struct work_answer {
    int error; /* why it cannot be entered; 0: it can */
    bool writable;
};

/* Looks there; path (LIMIT_PATH + 1 bytes) becomes its name. *a holds only after CHILD_ANSWERED. */
enum child_outcome work_dir_look(const struct users *u, const struct options *o, char *path,
                                 struct work_answer *a);

/* Prints everything. True: all is well. */
bool check_print(const struct check *c, bool json);

/* Prints what is not well, and nothing else. */
void check_print_problems(const struct check *c);

bool check_is_well(const struct check *c);

#endif
