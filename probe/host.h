/* SPDX-License-Identifier: Apache-2.0 */
/* What a command tries against the host. */
#ifndef TW_PROBE_HOST_H
#define TW_PROBE_HOST_H

#include <stdbool.h>

/* True: the file can be opened for reading. */
bool host_opens(const char *path);

/* True: one of the kernel's interfaces that commands are denied answers anything but EPERM or
 * ENOSYS. */
bool host_kernel(void);

#endif
