/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tw-agentctl doctor: walks an instance's road to Tower step by step, and says at which step and
 * why it ends.
 *
 *   doctor.c        the order of the steps, and what is on this host
 *   doctor_net.c    names, TCP, proxy, TLS, Tower's versions, the token
 *   doctor_agent.c  the upgrade and the first message: of the agent that runs, or of one that is
 *                   started for it
 */
#ifndef TW_CTL_DOCTOR_H
#define TW_CTL_DOCTOR_H

#include "base/secret.h"
#include "ctl/ctl.h"
#include "ctl/page.h"
#include "ctl/steps.h"
#include "ctl/subject.h"

struct doctor {
    struct subject subject;
    struct steps steps;
    struct secret token;
    char token_file[LIMIT_PATH + 1]; /* beside the configuration; empty: there is none */
    enum ctl_exit code;              /* of the first step that failed */
    bool no_start;
};

extern const struct page doctor_page;

int doctor_run(const struct ctl *ctl, int argc, char **argv);

/* Parts of the road. False: it ends there, and d->code says how. */
bool doctor_network(struct doctor *d);
bool doctor_agent(struct doctor *d);

#endif
