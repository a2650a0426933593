/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tw-agentctl: one subcommand is one row in main.c and one function. The token is held only by
 * those that speak to Tower (credentials, setup, doctor), in a secret page, while they do.
 */
#ifndef TW_CTL_CTL_H
#define TW_CTL_CTL_H

#include <stdbool.h>

/* Exit codes, each with the words that --help prints. */
#define CTL_EXIT_CODES(X)                                                                          \
    X(CTL_WELL, 0, "all is well")                                                                  \
    X(CTL_PROBLEM, 1, "it is not, or Tower refused for a reason without a code of its own")        \
    X(CTL_USAGE, 2, "usage")                                                                       \
    X(CTL_CONFIGURATION, 3, "configuration, or no usable token")                                   \
    X(CTL_TOKEN, 4, "Tower refused the token (401 or 403)")                                        \
    X(CTL_UNREACHABLE, 5, "Tower cannot be reached")                                               \
    X(CTL_NOT_FOUND, 6, "Tower knows no such credential or workspace")                             \
    X(CTL_CONFLICT, 7, "the name is taken, or jobs still use the credential")                      \
    X(CTL_OFFLINE, 8, "the agent is not online")

enum ctl_exit {
#define X(name, code, text) name = (code),
    CTL_EXIT_CODES(X)
#undef X
};

struct ctl {
    bool json; /* --json, which each subcommand has */
};

struct subcommand {
    const char *name;
    const char *arguments;
    const char *help;
    /* argv[0] is the subcommand's name; --json is not in it any more. Gives the exit code. */
    int (*run)(const struct ctl *ctl, int argc, char **argv);
};

#endif
