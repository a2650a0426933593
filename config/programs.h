/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's other programs: where they are, and whether nobody else can change them. */
#ifndef TW_CONFIG_PROGRAMS_H
#define TW_CONFIG_PROGRAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/limits.h"

struct programs {
    char directory[LIMIT_PATH + 32];
};

/* PROGRAM_MISSING and PROGRAM_UNSAFE come with a text that names the path. */
enum program_state { PROGRAM_GOOD, PROGRAM_MISSING, PROGRAM_UNSAFE };

/* The helper programs' names. */
#define PROGRAMS 6
extern const char *const program_names[PROGRAMS];

/* The path of name, relative to the directory of the running program. False: /proc is not mounted,
 * or it does not fit. */
bool program_beside(char *out, size_t size, const char *name);

/* Finds their directory, relative to the running program. False: /proc is not mounted. */
bool programs_locate(struct programs *p);

/* Path of one. False: it does not fit. */
bool program_path(char *out, size_t size, const struct programs *p, const char *name);

/*
 * Judges one: it can be run, and it and every directory above it belong to root (or to user, when
 * that is not root) and can be written by nobody else; a sticky directory of root's is fine. what
 * and remedy are filled unless it is good.
 */
enum program_state program_judge(const struct programs *p, const char *name, uid_t user, char *what,
                                 size_t what_size, const char **remedy);

/* Who else than user could change what this describes: NULL (nobody), or a static text such as "can
 * be written by everyone". Root always may; so may a plain user's group that nobody else is in. */
const char *stat_unsafe(const struct stat *st, uid_t user);

/*
 * Judges any existing path as program_judge does, through its links: true, or a text in what that
 * names the first component that somebody else could change.
 */
bool path_is_safe(const char *path, uid_t user, char *what, size_t size);

/* Locates them and judges all. 0, or an exit code after an error is logged: EXIT_CONFIG for unsafe
 * ones. */
int programs_find(struct programs *p);

#endif
