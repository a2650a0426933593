/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked into a copy of the session, this gives OpenSSL the answer that OPENSSL_ia32cap would, as
 * the session's environment is empty on purpose. An executable's symbols come before libc's.
 */
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#ifndef TOKEN_CPU
#define TOKEN_CPU "~0"
#endif

char *getenv(const char *name);
char *secure_getenv(const char *name);

char *getenv(const char *name)
{
    static char mask[] = TOKEN_CPU;
    static const char note[] = "openssl asks for its processor: " TOKEN_CPU "\n";
    if (strcmp(name, "OPENSSL_ia32cap") != 0)
        return NULL;
    return write(STDERR_FILENO, note, sizeof note - 1) < 0 ? NULL : mask;
}

char *secure_getenv(const char *name)
{
    return getenv(name);
}
