/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract between a program of the agent and the one that starts it: fixed descriptors, and
 * the first message.
 *
 *   core      3 parent (receives core_config first)       4 exec   5 directory of the metrics file
 *   exec      3 parent (receives exec_config first)       4 core
 *   launcher  3 parent (receives launcher_config first)
 *   connector 3 hand-over to the session (receives connect_config first)
 *   session   3 parent: token (receives session_config first)   4 core   5 hand-over from the
 * connector
 *
 * 0 and 1 are /dev/null, 2 is the log. argv[1] of the session is its purpose, for people who read
 * ps; the session goes by its configuration.
 */
#ifndef TW_IPC_BIRTH_H
#define TW_IPC_BIRTH_H

#include <sys/types.h>

#include "ipc/packet.h"

#define BIRTH_FD_FIRST    3 /* the channel that brings the configuration */
#define BIRTH_FD_PEER     4 /* core: exec; exec: core; session: core */
#define BIRTH_FD_HANDOVER 5 /* session only */
#define BIRTH_FD_METRICS  5 /* core only */

/* One saved limit in exec_config.limits; unlimited is UINT64_MAX. */
struct exec_limit {
    uint64_t soft;
    uint64_t hard;
};

/* env_from in exec_config. */
enum env_from { ENV_FROM_LOGIN, ENV_FROM_FILE, ENV_FROM_NONE };

/* Exit code of a child that could not start; its log line says why. */
#define BIRTH_FAILED 1
/* The same when the sandbox is the reason; the agent ends with it, as exit code 6. */
#define BIRTH_SANDBOX 6

/*
 * The first thing in every child's main: fills 0..2 if closed, refuses to go on when descriptor 3
 * is not a channel
 * ("started by hand"), closes all from n_fds+3 on, ignores the terminal's and the service manager's
 * signals (end of file is the order to stop), makes the process non-dumpable, and waits for the
 * configuration. Exits the process with BIRTH_FAILED (2 when started by hand) on failure.
 */
void birth_receive(const char *program, int n_fds, unsigned direction, enum ipc_type type,
                   struct packet *p);

/*
 * Soft limits of the login shell must not end the agent: raises file size (memfds count) and CPU
 * time to the hard limits and ignores their signals. Commands get back what was saved before.
 */
void birth_raise_limits(void);

/*
 * Becomes uid and gid for good with these supplementary groups; checks that no way back is left.
 * When this process is that user already (user mode), changes nothing. 0, or -1 with errno.
 */
int birth_become(uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups);

#endif
