/* SPDX-License-Identifier: Apache-2.0 */
/* compromised_bare ORDER: the same deeds in a process without any defence, as a baseline. */
#include <stdio.h>

#include "tests/attack/compromised/puppet.h"

int main(int argc, char **argv)
{
    struct puppet puppet = {.role = "bare", .handover = -1};
    if (argc == 2 && puppet_obey(&puppet, span_of(argv[1])))
        return 0;
    fprintf(stderr, "usage: compromised_bare '!bare WORD …[; WORD …]'\n");
    return 2;
}
