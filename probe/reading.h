/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of a process. */
#ifndef TW_PROBE_READING_H
#define TW_PROBE_READING_H

#include <stdbool.h>
#include <sys/types.h>

enum reading { READING_GOOD, READING_BAD, READING_UNSEEN };

typedef enum reading process_reading(pid_t pid);

/* BAD: its user id is ours; it has a capability; it lacks a seccomp filter or no_new_privs; it is
 * dumpable. UNSEEN: /proc does not show it (hidepid), or it has ended. */
process_reading reading_user, reading_capabilities, reading_filters, reading_dumpable;

#endif
