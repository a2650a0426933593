/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox of each role: no_new_privs, Landlock, seccomp, soft limits, non-dumpable.
 * Only this folder includes seccomp.h and linux/landlock.h.
 */
#ifndef TW_SANDBOX_H
#define TW_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum sandbox_role {
    SANDBOX_PARENT,
    SANDBOX_CORE,
    SANDBOX_EXEC,
    SANDBOX_LAUNCHER,
    SANDBOX_CONNECT,
    SANDBOX_SESSION,
    SANDBOX_ROLES
};

/* The role's name as it appears in logs: "parent", "core", … Static string. */
const char *sandbox_role_name(enum sandbox_role role);

/* What the running kernel offers, read once. */
struct sandbox_host {
    int landlock_abi;  /* 0: none (not built in, or not enabled) */
    bool seccomp;      /* filters can be loaded */
    bool memfd_secret; /* memfd_secret(2) answers */
};

/* Fills *host. Has no side effect beyond descriptors opened and closed. */
void sandbox_probe(struct sandbox_host *host);

/* How a command's domain treats its siblings. */
enum sandbox_isolation {
    SANDBOX_ISOLATE_FULL,     /* no signal to siblings, no look into them */
    SANDBOX_ISOLATE_READ_ONLY /* no look into siblings; signals pass */
};

/*
 * What of the file system and network a role may still reach; everything else is denied by
 * Landlock. Exec is the exception: commands keep all their files, and its domain has scopes alone.
 * Port 53 is added to connect_ports, since resolvers fall back to TCP.
 */
struct sandbox_access {
    int write_dirfd; /* a directory below which files may be made, renamed, written; -1: none */
    /* Directories in which files may be made and replaced, not read; NULL: none. */
    const int *replace_dirfds;
    size_t n_replace_dirfds;
    int read_dirfd; /* a directory below which files may be read; -1: none */
    /* NULL-terminated; absent paths are skipped; NULL: none. The launcher may also run programs
     * below these and below read_dirfd: list the directory of the net programs and the libraries'
     * (its children inherit all this). */
    const char *const *read_paths;
    const uint16_t *connect_ports; /* TCP ports that may be connected to (ABI 4); NULL: none */
    size_t n_connect_ports;
    /* exec alone: these processes (beside exec itself, its parent and its process group) take no
     * signal and no scheduling change from a command. */
    const pid_t *guard_pids;
    size_t n_guard_pids;
    /* exec alone: what commands' domains will be (sandbox_command_init). Where they do not scope
     * signals, exec is in their reach, and the guard denies more. */
    enum sandbox_isolation isolation;
    bool allow_namespaces; /* exec alone: user namespaces and mounts inside them (bubblewrap,
                              apptainer) */
    /*
     * exec alone: programs that commands start may gain privileges (pbs_iff, sudo), so no_new_privs
     * is NOT set. Without it only CAP_SYS_ADMIN can load what follows: call sandbox_enter as root,
     * before root is given up. All commands share exec's domain, none can have one of its own
     * (sandbox_command_init must not be used), and they are not kept apart; the guard is what keeps
     * them from signalling exec. A plain user has no way to confine such commands: sandbox_enter
     * fails for him, and his exec runs without a sandbox.
     */
    bool setuid_helpers;
    /* Not exec: what the filter would refuse is logged by the kernel and let pass. For developers.
     */
    bool log_violations;
};

/* What was enforced, for the log and the status file. */
struct sandbox_report {
    int landlock_abi;     /* the ABI whose rights are enforced; 0: none */
    bool landlock_scoped; /* signals and abstract sockets (ABI 6) */
    bool seccomp;         /* a filter that refuses; false where it only logs */
    unsigned syscalls; /* number of system calls the filter allows (or, for a deny-list, denies) */
    unsigned instructions; /* length of the filter */
    bool
        sanitizer_rows; /* a sanitizer build: the rows that its runtime needs are allowed as well */
};

/*
 * Makes this process non-dumpable, sets the soft limits core=0, and reads both back.
 * Called first thing and again after the last change of uid. 0, or -1 with errno.
 */
int sandbox_undumpable(void);

/* Ends every capability of this process and checks it. 0 or -1 with errno. */
int sandbox_drop_capabilities(void);

/*
 * Enters the role's sandbox for good: no_new_privs (but see setuid_helpers), Landlock (scoped where
 * the kernel can), the role's seccomp filter. access may be NULL (nothing). Returns 0 and fills
 * *report; -1 with a line in err (bounded by err_size) that names what is missing. Landlock absent
 * (ABI 0) is no error here: it is reported, and the caller decides. A filter violation ends the
 * process with SIGSYS after one line on descriptor 2 that names role and system call; in connect,
 * launcher and exec the call fails with EPERM instead. Call it with one thread running, after
 * event_base_new and all evsignals: sigaction is not allowed afterwards, so evsignals can then be
 * neither added nor freed.
 */
int sandbox_enter(enum sandbox_role role, const struct sandbox_access *access,
                  struct sandbox_report *report, char *err, size_t err_size);

/* A prebuilt Landlock ruleset for commands (building one costs 0.1 to 0.3 ms, so it is built once).
 */
struct sandbox_command {
    int ruleset_fd; /* -1: the kernel has no Landlock */
};

/* Prebuilds; the kind of ruleset depends on the ABI (scopes alone from 6, REFER on / for 2 to 5). 0
 * or -1/errno. */
int sandbox_command_init(struct sandbox_command *command, enum sandbox_isolation isolation);

/*
 * Puts the calling process into a fresh domain of the prebuilt ruleset. Async-signal-safe: made for
 * a CLONE_VM|CLONE_VFORK child; touches no memory but its own stack. 0 or -1 with errno.
 * no_new_privs is set already (it is inherited from exec's own sandbox); without it, this is EPERM.
 */
int sandbox_command_apply(const struct sandbox_command *command);

void sandbox_command_finish(struct sandbox_command *command);

#endif
