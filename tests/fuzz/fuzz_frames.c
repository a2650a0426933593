/* SPDX-License-Identifier: Apache-2.0 */
/* IPC frames: what decodes must encode again to a frame that decodes to the same type. */
#include <stdlib.h>

#include "ipc/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char frame[LIMIT_PACKET];
    union ipc_message message, again;
    const char *why;
    int type = ipc_decode((const char *)data, size, &message, &why);
    if (type < 0)
        return 0;
    size_t len = ipc_encode(frame, sizeof frame, (enum ipc_type)type, &message);
    if (len == 0 || ipc_decode(frame, len, &again, &why) != type)
        abort();
    return 0;
}
