/* SPDX-License-Identifier: Apache-2.0 */
/* What a server's answer or a session's end means for the state machine, and the words for it. */
#ifndef TW_CORE_ATTEMPT_H
#define TW_CORE_ATTEMPT_H

#include "core/core.h"

enum retry_kind {
    RETRY_FAILED,  /* back-off */
    RETRY_AT_ONCE, /* after a session that lasted: no wait */
    RETRY_STANDBY, /* another agent holds the connection */
    RETRY_REFUSED  /* the token, accepted once, is refused */
};

enum attempt_verdict { ATTEMPT_OK, ATTEMPT_RETRY, ATTEMPT_FATAL };

struct attempt {
    enum attempt_verdict verdict;
    enum retry_kind kind;
    int exit_code; /* ATTEMPT_FATAL */
    uint64_t retry_after_ms;
    char reason[512]; /* redacted; says what to do */
};

/* The least API version that we speak with (PROTOCOL: 1.8). */
#define API_MAJOR 1
#define API_MINOR 8

/* Judges an HTTP answer. */
void attempt_judge(struct attempt *a, const struct core *core, enum purpose purpose,
                   const struct msg_response *m);

/* Words for a session's end, and how to go on. */
void attempt_explain(struct attempt *a, const struct core *core, const struct msg_ended *m);

/* -1: text is not a version; else 1 when it is at least API_MAJOR.API_MINOR, and 0 when older. */
int attempt_version_ok(struct span text);

#endif
