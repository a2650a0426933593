/* SPDX-License-Identifier: Apache-2.0 */
/* tw-agent: hide the token, read the options, start the others, give up root, supervise. */
#include <stdio.h>
#include <unistd.h>

#include "parent/parent.h"

static bool asked(const struct parent *p, enum option_id id)
{
    return p->options.values[id].level == LEVEL_OPTION;
}

int main(int argc, char **argv)
{
    static struct parent parent;
    int code = parent_take_arguments(&parent, argc, argv, environ);
    if (code == 0 && asked(&parent, OPT_HELP)) {
        options_print_help();
        return 0;
    }
    if (code == 0 && asked(&parent, OPT_VERSION)) {
        printf("tw-agent " TW_VERSION "\n");
        return 0;
    }
    if (code == 0 && asked(&parent, OPT_CHECK_CONFIG))
        return parent_check_config(&parent);
    if (code == 0)
        code = parent_prepare(&parent);
    if (code == 0)
        code = parent_start(&parent);
    if (code == 0)
        code = supervise_run(&parent);
    if (code == EXIT_USAGE)
        options_print_usage();
    parent_finish(&parent);
    return code;
}
