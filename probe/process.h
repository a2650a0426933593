/* SPDX-License-Identifier: Apache-2.0 */
/* Ways from one process into another, each tried for its permission alone: none changes anything.
 */
#ifndef TW_PROBE_PROCESS_H
#define TW_PROBE_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* True: it succeeded against that process. One that has ended counts as denied. */
typedef bool process_way(pid_t pid);

process_way process_environ, process_memory, process_descriptors, process_trace, process_copy,
    process_steal, process_signal, process_limits, process_priority, process_scheduling;

#endif
