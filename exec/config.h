/* SPDX-License-Identifier: Apache-2.0 */
/* What exec_config says, in this process's memory. */
#ifndef TW_EXEC_CONFIG_H
#define TW_EXEC_CONFIG_H

#include <signal.h>
#include <sys/resource.h>

#include "exec/limits.h"
#include "ipc/birth.h"
#include "ipc/memfd.h"

/* The kernel's signals are 1 to 64; RLIMIT_NLIMITS is 16. */
#define CONFIG_SIGNALS 64
#define CONFIG_LIMITS  32
#define CONFIG_GUARDED 16

struct limit_change {
    int resource;
    struct rlimit value;
};

struct signal_change {
    int number;
    void (*disposition)(int);
};

/* How a command's process differs from this one: only what differs costs a system call. */
struct start_state {
    struct limit_change limits[CONFIG_LIMITS];
    size_t n_limits;
    struct signal_change signals[CONFIG_SIGNALS];
    size_t n_signals;
    sigset_t mask;
    mode_t umask;
};

struct exec_config {
    bool system_mode;
    unsigned max_commands;
    unsigned isolation;
    bool setuid_helpers;
    bool allow_namespaces;
    pid_t guarded[CONFIG_GUARDED]; /* the agent's other processes */
    size_t n_guarded;
    unsigned umask;
    bool umask_fixed; /* the site set it; no profile changes it */
    size_t max_output;
    uint64_t command_timeout_ms; /* 0: none */
    enum env_from env_from;
    char work_dir[LIMIT_PATH + 1];
    char env_file[LIMIT_PATH + 1];
    char env_init[LIMIT_PATH + 1];
    char user[LIMIT_USER + 1];
    char home[LIMIT_PATH + 1];
    char shell[LIMIT_PATH + 1];
    struct span set_env;        /* NUL-separated, on the heap */
    struct span pass_env;       /* likewise */
    struct memfd_map agent_env; /* the agent's own environment, NUL-separated */
    struct exec_limit saved_limits[CONFIG_LIMITS];
    size_t n_saved_limits;
    uint64_t ignored_signals;
    uint64_t blocked_signals;
};

/*
 * Takes the configuration out of the packet (and closes its descriptor). False, with *why, when it
 * cannot be used.
 */
bool config_take(struct exec_config *config, struct packet *p, const char **why);

/* Becomes the user that the packet names. 0, or -1 with errno. */
int config_become(const struct packet *p);

/* Raises the soft limits that would hit exec itself in its work; hard limits are never touched. */
void config_raise_limits(void);

/*
 * Compares the saved state with this process's, once all that changes it has been done. shell: what
 * a login shell made of its limits, which go before the saved ones; or NULL.
 */
void config_start_state(const struct exec_config *config, const struct shell_limits *shell,
                        struct start_state *state);

void config_finish(struct exec_config *config);

#endif
