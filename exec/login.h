/* SPDX-License-Identifier: Apache-2.0 */
/* How a user's shell is asked for its environment, by the kind of shell. */
#ifndef TW_EXEC_LOGIN_H
#define TW_EXEC_LOGIN_H

#include <stdbool.h>

/* What stands before the NUL in an answer whose limits were said to their end. */
#define LOGIN_LIMITS_END "limits."

struct login_shell {
    const char *path;
    const char *argv[5];
    int answer_fd; /* the descriptor that it writes its environment to, NUL-separated */
    char name[64]; /* argv[0] */
    char *script;
};

/*
 * The command line of a shell that evaluates init and then says its environment; as a login shell
 * or not. path: the user's shell, which must outlive *s. False: no memory.
 */
bool login_shell_init(struct login_shell *s, const char *path, const char *init, bool login);

void login_shell_finish(struct login_shell *s);

#endif
