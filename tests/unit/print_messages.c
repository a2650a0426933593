/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the message table as docs/messages.md. */
#include <inttypes.h>
#include <stdio.h>

#include "ipc/message.h"

struct bit {
    unsigned bit;
    const char *name;
};

static const struct bit directions[] = {
    {PARENT_TO_CORE, "parent → core"},
    {CORE_TO_PARENT, "core → parent"},
    {PARENT_TO_EXEC, "parent → exec"},
    {EXEC_TO_PARENT, "exec → parent"},
    {PARENT_TO_LAUNCHER, "parent → launcher"},
    {LAUNCHER_TO_PARENT, "launcher → parent"},
    {PARENT_TO_SESSION, "parent → session"},
    {SESSION_TO_PARENT, "session → parent"},
    {CORE_TO_EXEC, "core → exec"},
    {EXEC_TO_CORE, "exec → core"},
    {CORE_TO_SESSION, "core → session"},
    {SESSION_TO_CORE, "session → core"},
    {LAUNCHER_TO_CONNECT, "launcher → connector"},
    {CONNECT_TO_SESSION, "connector → session"},
};

static const struct bit phases[] = {
    {PHASE_CONFIG, "configuring"}, {PHASE_RUN, "running"},   {PHASE_BEFORE_GO, "before go"},
    {PHASE_ASKED, "asked"},        {PHASE_ONLINE, "online"},
};

static void print_bits(const struct bit *bits, size_t n, unsigned value)
{
    const char *separator = "";
    for (size_t i = 0; i < n; i++)
        if (value & bits[i].bit) {
            printf("%s%s", separator, bits[i].name);
            separator = ", ";
        }
}

static void print_fields(const struct ipc_row *row)
{
    static const char *const kinds[] = {"unsigned", "signed", "text", "bytes"};
    for (size_t i = 0; i < row->n_fields; i++) {
        const struct ipc_field *f = &row->fields[i];
        printf("%s`%s` %s %" PRId64 "–%" PRIu64, i ? "; " : "", f->name, kinds[f->kind], f->min,
               f->max);
    }
}

int main(void)
{
    static const char *const fds[] = {"none",   "sealed memfd", "sealed memfd or none",
                                      "socket", "directory",    "regular file"};
    puts("# Messages\n\nMade from `ipc/messages.def` by `tests/unit/print_messages.c`. A packet is "
         "one msgpack array\n"
         "`[type, fields…]`; numbers are value bounds, for text and bytes length bounds.\n\n"
         "| # | message | way | permitted while | often | descriptor | fields | meaning |\n"
         "| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (unsigned t = 0; t < MSG_COUNT; t++) {
        const struct ipc_row *row = ipc_row(t);
        printf("| %u | `%s` | ", t, row->name);
        print_bits(directions, sizeof directions / sizeof *directions, row->directions);
        printf(" | ");
        if (row->phases == PHASE_ANY)
            printf("any");
        else
            print_bits(phases, sizeof phases / sizeof *phases, row->phases);
        printf(" | %s | %s", row->frequency == ONCE ? "once" : "yes", fds[row->descriptor]);
        if (row->fd_max)
            printf(" ≤ %" PRIu64, row->fd_max);
        printf(" | ");
        print_fields(row);
        printf(" | %s |\n", row->meaning);
    }
    return 0;
}
