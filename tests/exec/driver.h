/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the real tw-agent-exec and plays its parent and core. */
#ifndef TW_TESTS_EXEC_DRIVER_H
#define TW_TESTS_EXEC_DRIVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/birth.h"
#include "ipc/message.h"
#include "ipc/packet.h"
#include "tests/exec/inject.h"
#include "tests/unit/test.h"

/* A test's user beside the one that runs the tests. */
#define DRIVER_USER "twlab"
/* Before a command that changes users: other tests do so as well, and the programs do not wait. */
#define ALONE "flock /run/lock/tw-agent-tests "
/* For what has to come: a slow or busy machine is no failure. */
#define PATIENCE_MS 60000

struct options {
    struct msg_exec_config config; /* spans point to what outlives driver_start */
    struct exec_limit limits[16];
    uint64_t ignored, blocked;
    uint32_t groups[32];
    const char *environment; /* NUL-separated, an empty entry ends it; NULL: PATH and HOME */
    char work_dir[64];
    int send_buffer;             /* of exec's end of the channel to core; 0: as usual */
    struct injection *injection; /* faults; NULL: none */
    bool log;                    /* to a file beside the work directory, for log_has */
};

struct driver {
    pid_t pid;
    int parent, core; /* our ends */
    int error;        /* of exec_unready; 0: exec_ready came */
    char work_dir[LIMIT_PATH + 1];
    struct msg_started started;
    uint64_t ticket;
};

struct result {
    uint64_t ticket;
    int status;
    uint64_t dropped;
    bool timed_out;
    char *output; /* NUL added; never NULL */
    size_t len;
};

/* User mode, as the user that runs the test, in a new work directory, limits as they are now. */
void options_init(struct options *o);
/* System mode as this user. */
void options_run_as(struct options *o, const char *user);
void options_finish(struct options *o);

/* Starts it and waits for started and for exec_ready or exec_unready. */
void driver_start(struct driver *d, const struct options *o);
/* Without waiting for the latter. */
void driver_launch(struct driver *d, const struct options *o);
void driver_await_ready(struct driver *d);

/* True when a line of exec's log has this in it. */
bool log_has(const struct options *o, const char *text);

/* Sends a run; the text travels as core would send it. Its ticket. */
uint64_t driver_send(struct driver *d, const void *text, size_t len);
uint64_t driver_send_text(struct driver *d, const char *text);

/* The next finished. False: none within the time. */
bool driver_receive(struct driver *d, struct result *r, int timeout_ms);
void result_finish(struct result *r);

/* Runs one text and gives its result. */
struct result driver_run(struct driver *d, const char *text);
/* Runs one text and checks status and output. */
void driver_expect(struct driver *d, const char *text, int status, const char *output);

/* Waits for exec's end: its wait status, or -1 when it does not come. */
int driver_wait(struct driver *d, int timeout_ms);
/* Closes the channels and expects a good end. */
void driver_stop(struct driver *d);

/* Waits until the condition holds; false after the time. */
bool eventually(bool (*condition)(const void *), const void *argument, int timeout_ms);
bool is_file(const void *path);
/* True when the file's first line is whole. */
bool has_line(const void *path);
/* True when no process of this pid runs; when it waits for something. */
bool is_gone(const void *pid);
bool is_asleep(const void *pid);

/* Names a file in the work directory. Static: for one use at a time. */
const char *in_work(const struct options *o, const char *name);
/* The number that a command writes to the file, once it is there. */
pid_t await_pid(const struct options *o, const char *name);
/* An empty file there: what a command waits for. */
void make_file(const struct options *o, const char *name);

uint64_t now_ms(void);

/*
 * For main: with TW_TEST_AS=USER in the environment and root, the rest runs as that user. Creates
 * DRIVER_USER when root and missing. False: cannot; the reason is printed, and the tests are
 * skipped.
 */
bool tests_become(void);

/* Exit code that ctest takes for "skipped". */
#define TESTS_SKIPPED 77

#endif
