/* SPDX-License-Identifier: Apache-2.0 */
/* Text from elsewhere: durations, escapes, percent-encoding, state names, redaction. */
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "base/text.h"
#include "policy/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[512], name[4 * LIMIT_CONNECTION_ID];
    uint64_t value;
    char *text = span_dup((struct span){(const char *)data, size});
    if (!text)
        return 0;
    if (duration_parse(text, &value) && value > UINT64_C(3650) * 24 * 3600 * 1000)
        abort();
    if (text_escape(out, sizeof out, text, size, true) >= sizeof out ||
        !text_is_utf8(out, strlen(out)))
        abort();
    text_percent_encode(out, sizeof out, text, size);
    if (text_state_name(name, sizeof name, text, "host") && name[0] == '.')
        abort();
    redact(out, sizeof out, (struct span){text, size});
    free(text);
    return 0;
}
