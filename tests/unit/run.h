/* SPDX-License-Identifier: Apache-2.0 */
/* A run of core, as far as it keeps things, in a directory that several runs share. */
#ifndef TW_TESTS_UNIT_RUN_H
#define TW_TESTS_UNIT_RUN_H

#include "core/store.h"

#define LARGE (CONTENT_SMALL + 1000)

struct run {
    struct event_base *base;
    struct ledger ledger;
    struct store store;
};

/* The directory of the current test, made and removed around it. */
extern char run_directory[64];
extern int run_dirfd;
extern const char *run_boot; /* which start of the host it is */
int run_make_directory(void **state);
int run_remove_directory(void **state);

void begin_as(struct run *r, uint64_t disk_max, const char *owner);
void begin(struct run *r);

/* Ends it as SIGKILL does: what was not flushed is gone. */
void crash(struct run *r);

/* A command's way. Its output is len bytes that tell of the entry, like its status. */
struct entry *accept_command(struct run *r, const char *id);
void start_command(struct run *r, struct entry *e);
void end_command(struct run *r, struct entry *e, size_t len);
void deliver(struct run *r, struct entry *e);

/* The entry must be there in this state; the output must be what end_command made. */
struct entry *known(struct run *r, const char *id, enum entry_state state);
void assert_output(struct run *r, struct entry *e, size_t len);

/* One turn of the loop. */
void one_turn(struct run *r);

/* Names in results/ with this end; a file there. */
size_t files_ending(const char *suffix);
int results_file(const char *name, int flags);

#endif
