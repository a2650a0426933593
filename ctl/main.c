/* SPDX-License-Identifier: Apache-2.0 */
/* tw-agentctl: judges, shows and controls tw-agent. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "ctl/attest.h"
#include "ctl/check.h"
#include "ctl/credentials.h"
#include "ctl/ctl.h"
#include "ctl/doctor.h"
#include "ctl/memory.h"
#include "ctl/output.h"
#include "ctl/selftest.h"
#include "ctl/setup.h"
#include "ctl/status.h"
#include "ctl/usage.h"
#include "sandbox/sandbox.h"

static const struct subcommand subcommands[] = {
    {"check", "[OPTIONS OF tw-agent] [NAME | AGENT_CONNECTION_ID]",
     "what this host and configuration can enforce; starts nothing", check_run},
    {"setup", "[--run-as=USER] [--url=URL] [--connection-id=ID] [--force] NAME",
     "writes configuration and token of an instance, and judges them", setup_run},
    {"status", "[--watch] [--all] [--state-dir DIR] [NAME]",
     "what the agent does now; --watch: shows it anew when it changes; --all: every instance of "
     "this host",
     status_run},
    {"doctor", "[--no-start] NAME",
     "walks the road to Tower step by step, and says where and why it ends", doctor_run},
    {"selftest", "[--no-scheduler] [--submit-options=TEXT] NAME",
     "submits, polls, reads and cancels a short job, as Tower does", selftest_run},
    {"attest", "[--state-dir DIR] [NAME | AGENT_CONNECTION_ID]",
     "has the running agent attack itself, and shows what came of it", attest_run},
    {"credentials", "add|list|show|validate|update|delete [OPTIONS]",
     "the Tower Agent credentials of a workspace", credentials_run},
    {"usage", "[--url URL] [--run-as USER] NAME | AGENT_CONNECTION_ID",
     "the lines that start an agent, with the token left to fill in", usage_run},
};

#define SUBCOMMANDS (sizeof subcommands / sizeof *subcommands)

static void print_usage(FILE *out)
{
    fprintf(out, "Usage: tw-agentctl [--json] SUBCOMMAND …\n\n");
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        fprintf(out, "  %s %s\n      %s\n", subcommands[i].name, subcommands[i].arguments,
                subcommands[i].help);
    fprintf(out, "\n  --json     one JSON object instead of text\n"
                 "  --help     print this and end\n"
                 "  --version  print the version and end\n\n"
                 "Exit codes:\n");
#define X(name, code, text) fprintf(out, "  %d  %s\n", code, text);
    CTL_EXIT_CODES(X)
#undef X
}

/* Takes --json out of the arguments, wherever it is before "--". */
static int take_json(struct ctl *ctl, int argc, char **argv)
{
    int kept = 1;
    bool options = true;
    for (int i = 1; i < argc; i++) {
        options = options && strcmp(argv[i], "--") != 0;
        if (options && strcmp(argv[i], "--json") == 0)
            ctl->json = true;
        else
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    return kept;
}

/* All is not well when what was to be shown could not be written. */
static int written(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    log_error("standard output cannot be written");
    return code == CTL_WELL ? CTL_PROBLEM : code;
}

int main(int argc, char **argv)
{
    struct ctl ctl = {false};
    log_to(output_message, NULL);
    if (sandbox_undumpable() != 0 || memory_init() != 0)
        return CTL_PROBLEM;
    argc = take_json(&ctl, argc, argv);
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return print_usage(stdout), CTL_WELL;
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        return printf("tw-agentctl " TW_VERSION "\n"), CTL_WELL;
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        if (strcmp(name, subcommands[i].name) == 0)
            return written(subcommands[i].run(&ctl, argc - 1, argv + 1));
    if (*name)
        log_error("there is no subcommand '%s'", name);
    print_usage(stderr);
    return CTL_USAGE;
}
