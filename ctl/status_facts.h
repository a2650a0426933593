/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.json, as core writes it (core/status_json.c). In user mode commands can write what they
 * like into the file: nothing of it is believed to be of its kind or size before it is checked.
 */
#ifndef TW_CTL_STATUS_FACTS_H
#define TW_CTL_STATUS_FACTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATUS_FILE     "status.json"
#define STATUS_FILE_MAX 262144
#define STATUS_RUNNING  64

struct status_command {
    const char *id;
    int64_t seconds;
};

/* Texts are within root, of at most 8192 bytes. Times: seconds of the wall clock, 0: never. */
struct status_facts {
    json_t *root; /* owned; NULL: not usable */
    const char *version, *state, *reason, *error, *connection_id, *url, *server_version,
        *api_version, *level, *work_dir, *mode, *attestation;
    int64_t pid, started, written, next_write, state_seconds, since, error_time, interval_ms,
        last_reply, reconnects;
    int64_t received, begun, finished, repeated, refused, withheld, delivered, queued, queued_bytes,
        running, undelivered, memory_bytes, disk_bytes;
    int64_t exit_code;                              /* -1: it has not said that it ends */
    const json_t *reduced;                          /* array of texts */
    struct status_command commands[STATUS_RUNNING]; /* the oldest first */
    size_t n_commands;
};

/* Takes the text. NULL, or why it is not usable, in why. status_facts_finish undoes it in either
 * case. */
const char *status_facts_take(struct status_facts *f, const char *text, char *why, size_t size);

void status_facts_finish(struct status_facts *f);

#endif
