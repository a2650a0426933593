/* SPDX-License-Identifier: Apache-2.0 */
/* Every row of the connection's state machine (docs/connection.md), in virtual time. */
#include "tests/states/world.h"

#include "tests/unit/test.h"

#include <string.h>
#include <unistd.h>

#include "core/link.h"

#define LATEST UINT32_MAX /* random numbers: the longest wait is 0, the shortest is this */
#define SERIES 1000

static const char *const step_names[] = {"probe", "login", "agent"};
static const enum link_state step_states[] = {LINK_PROBING, LINK_LOGGING_IN, LINK_CONNECTING};

/* ---- attempts ---- */

static void start_side_by_side(void **state)
{
    (void)state;
    world_start(BEAT);
    world.answers[PURPOSE_PROBE].silent = true;
    world_pass(STEP);
    assert_int_equal(world.core.link.state, LINK_PROBING);
    assert_int_equal(world.opened, 3);
    assert_true(world.core.link.sessions[PURPOSE_PROBE].went);
    assert_false(world.core.link.sessions[PURPOSE_LOGIN].went); /* no token before its turn */
    assert_false(world.core.link.sessions[PURPOSE_AGENT].went);
    world_end();
    world_start_online(BEAT);
    assert_int_equal(world.opened, 3);
    assert_int_equal(world.online, 1);
    assert_null(world.core.link.sessions[PURPOSE_PROBE].channel);
    assert_null(world.core.link.sessions[PURPOSE_LOGIN].channel);
    world_end();
}

static const struct {
    const char *words;
    struct answer answer;
} failures[] = {
    {"cannot be resolved", {.fails = true, .stage = STAGE_RESOLVE}},
    {"cannot connect", {.fails = true, .stage = STAGE_CONNECT}},
    {"proxy gives no connection", {.fails = true, .stage = STAGE_PROXY, .code = 407}},
    {"TLS is not accepted", {.fails = true, .stage = STAGE_TLS, .code = 10}},
    {"none of the pinned keys", {.fails = true, .stage = STAGE_PIN}},
    {"got no token", {.fails = true, .stage = STAGE_TOKEN}},
    {"not acceptable HTTP", {.fails = true, .stage = STAGE_HTTP}},
    {"upgrade is not acceptable", {.fails = true, .stage = STAGE_UPGRADE}},
    {"dropped", {.fails = true, .stage = STAGE_DROPPED}},
    {"broke the protocol", {.fails = true, .stage = STAGE_PROTOCOL}},
    {"does not answer in time", {.fails = true, .stage = STAGE_TIMEOUT}},
    {"network session failed", {.fails = true, .stage = STAGE_INTERNAL}},
    {"status 500", {.status = 500}},
    {"status 502", {.status = 502}},
    {"status 503", {.status = 503}},
    {"status 429", {.status = 429}},
    {"status 404", {.status = 404}},
    {"status 302", {.status = 302}},
    {"status 418", {.status = 418}},
};

/* Each failure at each step: waits 0.5 to 1 s, says why, tries that step again and goes on. */
static void failures_at_each_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        for (int step = 0; step < PURPOSES; step++)
            for (int late = 0; late < 2; late++) {
                world_start(BEAT);
                world.random = late ? LATEST : 0;
                struct answer right = world.answers[step];
                world.answers[step] = failures[i].answer;
                world_until(LINK_WAITING, STEP);
                if (!strstr(world.core.link.reason, failures[i].words))
                    fail_msg("%s at %s: %s", failures[i].words, step_names[step],
                             world.core.link.reason);
                world.answers[step] = right;
                world_assert_about(world_until_attempt(MINUTE), late ? 500 : 1000);
                world_until(LINK_ONLINE, STEP);
                world_end();
            }
}

static void answers_of_no_one(void **state)
{
    (void)state;
    for (int step = 0; step < PURPOSES; step++) {
        world_start(BEAT);
        world.answers[step].silent = true;
        world_until(step_states[step], STEP);
        world_assert_about(world_until(LINK_WAITING, 2 * MINUTE), MINUTE);
        world.answers[step].silent = false;
        world_until(LINK_ONLINE, MINUTE);
        world_end();
    }
    world_start(BEAT);
    world.deaf_parent = true;
    world_assert_about(world_until(LINK_WAITING, 2 * MINUTE), MINUTE);
    world_end();
    world_start(BEAT);
    world.refuse_sessions = true;
    world_until(LINK_WAITING, STEP);
    assert_non_null(strstr(world.core.link.reason, "could not start a network session"));
    world.refuse_sessions = false;
    world_until(LINK_ONLINE, 2 * SECOND);
    world_end();
}

static void session_that_dies(void **state)
{
    (void)state;
    world_start(BEAT);
    world.answers[PURPOSE_AGENT].silent = true;
    world_until(LINK_CONNECTING, STEP);
    close(world.session[PURPOSE_AGENT]);
    world.session[PURPOSE_AGENT] = -1;
    world_until(LINK_WAITING, STEP);
    assert_non_null(strstr(world.core.link.reason, "without a word"));
    world_end();
}

static void ends_the_agent(void **state)
{
    (void)state;
    for (unsigned status = 401; status <= 403; status += 2) {
        for (int step = PURPOSE_LOGIN; step <= PURPOSE_AGENT; step++) {
            world_start(BEAT);
            world.answers[step].status = status;
            world_pass(STEP);
            if (step == PURPOSE_LOGIN)
                assert_int_equal(world.finished, 4);
            else
                assert_int_equal(world.core.link.state,
                                 LINK_TOKEN_REFUSED); /* login had succeeded */
            world_end();
        }
    }
    world_start(BEAT);
    world.answers[PURPOSE_PROBE].text = "1.7.9";
    world_pass(STEP);
    assert_int_equal(world.finished, 5);
    world_end();
}

/* ---- waits ---- */

static void failing_attempts(void **state)
{
    static const unsigned seconds[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    (void)state;
    for (int late = 0; late < 2; late++) {
        world_start(BEAT);
        world.answers[PURPOSE_AGENT].status = 502;
        world.random = late ? LATEST : 0;
        world_until(LINK_WAITING, STEP);
        for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
            world_assert_about(world_until_attempt(2 * MINUTE),
                               seconds[i] * SECOND / (late ? 2 : 1));
        world.step = SECOND;
        for (int i = 0; i < SERIES; i++)
            world_until_attempt(61 * SECOND);
        assert_int_equal(world.finished, -1);
        world_end();
    }
}

static void retry_after(void **state)
{
    static const struct {
        unsigned asked, waits; /* seconds */
    } cases[] = {{0, 1}, {1, 1}, {30, 30}, {900, 900}, {901, 900}, {7 * 86400, 900}};
    (void)state;
    for (int step = 0; step < PURPOSES; step++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            if (step != PURPOSE_LOGIN && cases[i].asked > 30)
                continue;
            world_start(BEAT);
            world.answers[step].status = i % 2 ? 429 : 503;
            world.answers[step].retry_after = cases[i].asked;
            world_until(LINK_WAITING, STEP);
            world_assert_about(world_until_attempt(1000 * SECOND), cases[i].waits * SECOND);
            world_end();
        }
}

static void short_sessions(void **state)
{
    static const unsigned seconds[] = {1, 2, 4, 8, 10, 10};
    (void)state;
    world_start_online(BEAT);
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        world_session_ends(STAGE_DROPPED, 104, "reset");
        assert_int_equal(world.core.link.state, LINK_WAITING);
        world_assert_about(world_until_attempt(MINUTE), seconds[i] * SECOND);
        world_until(LINK_ONLINE, STEP);
    }
    assert_int_equal(world.dropped, 6);
    assert_int_equal(world.dropped_uncounted, 0);
    assert_int_equal(world.core.link.reconnects, 6);
    /* One that lasted makes good. */
    world_pass(MINUTE);
    world_session_ends(STAGE_CLOSED, 1001, "going away");
    world_assert_about(world_until_attempt(MINUTE), SECOND);
    world_end();
}

static void standby_never_ends(void **state)
{
    (void)state;
    world_start_online(BEAT);
    world.reply = false;
    for (unsigned i = 0; i < SERIES; i++) {
        world.random = (uint32_t)((uint64_t)UINT32_MAX * i / SERIES);
        if (i > 0) { /* what the kernel takes is no sign that Tower keeps the session */
            world_send_result(100, false);
            world_progress(200, 1);
            assert_non_null(strstr(world.core.link.reason, "standby"));
        }
        world_session_ends(STAGE_CLOSED, 4000, "another agent");
        assert_int_equal(world.core.link.state, LINK_STANDBY);
        world_assert_about(world_until_attempt(16 * SECOND), 5000 + 10000ull * i / SERIES);
        world_until(LINK_ONLINE, STEP);
    }
    assert_int_equal(world.finished, -1);
    assert_int_equal(world.dropped, SERIES);
    assert_int_equal(world.dropped_uncounted, SERIES); /* they say nothing about the results */
    assert_int_equal(world.opened_reread, 0);
    assert_int_equal(world.core.link.reconnects, 0);
    world.reply = true;
    world_pass(BEAT + STEP);
    assert_string_equal(world.core.link.reason, "");
    world_end();
}

static void authenticate_again(void **state)
{
    (void)state;
    world_start_online(BEAT);
    for (unsigned i = 2; i < 5; i++) {
        world_pass(MINUTE);
        world_session_ends(STAGE_CLOSED, 4001, "");
        assert_true(world_until(LINK_ONLINE, 0) == 0);
        assert_int_equal(world.online, i);
    }
    world_pass(MINUTE - SECOND);
    world_session_ends(STAGE_CLOSED, 4001, "");
    world_assert_about(world_until_attempt(2 * SECOND), SECOND);
    world_until(LINK_ONLINE, STEP);
    world_session_ends(STAGE_CLOSED, 4001, "");
    world_assert_about(world_until_attempt(3 * SECOND), 2 * SECOND);
    world_end();
}

static void token_refused(void **state)
{
    static const unsigned minutes[] = {1, 2, 4, 8, 15, 15, 15};
    (void)state;
    world_start_online(BEAT);
    world.answers[PURPOSE_AGENT].status = 401;
    world_session_ends(STAGE_DROPPED, 0, "");
    world_until(LINK_TOKEN_REFUSED, 2 * SECOND);
    assert_non_null(strstr(world.core.link.reason, "ALARM"));
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++)
        world_assert_about(world_until_attempt(16 * MINUTE), minutes[i] * MINUTE);
    assert_int_equal(world.opened_reread, 7); /* the source is read again each time */
    /* Other failures in between keep the reading up. */
    world.answers[PURPOSE_AGENT].status = 502;
    world_until_attempt(16 * MINUTE);
    assert_int_equal(world.core.link.state, LINK_WAITING);
    world_until_attempt(2 * SECOND);
    assert_int_equal(world.opened_reread, 9);
    /* Accepted: forgotten. */
    world.answers[PURPOSE_AGENT].status = 101;
    world_until(LINK_ONLINE, MINUTE);
    unsigned reread = world.opened_reread;
    world.answers[PURPOSE_AGENT].status = 403;
    world_session_ends(STAGE_DROPPED, 0, "");
    world_until(LINK_TOKEN_REFUSED, 3 * SECOND);
    assert_int_equal(world.opened_reread, reread);
    world_assert_about(world_until_attempt(2 * MINUTE), MINUTE);
    assert_int_equal(world.finished, -1);
    world_end();
}

/* SIGHUP, or a replaced token. */
static void asked_to_try_now(void **state)
{
    static const struct {
        enum link_state state;
        unsigned status; /* 0: a Close with 4000 */
    } cases[] = {{LINK_WAITING, 502}, {LINK_TOKEN_REFUSED, 401}, {LINK_STANDBY, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world_start(BEAT);
        if (cases[i].status) {
            world.answers[PURPOSE_AGENT].status = cases[i].status;
        } else {
            world_until(LINK_ONLINE, STEP);
            world_session_ends(STAGE_CLOSED, 4000, "");
        }
        world_until(cases[i].state, STEP);
        world.answers[PURPOSE_AGENT].status = 101;
        link_try_now(&world.core);
        world_assert_about(world_until(LINK_ONLINE, SECOND), 0);
        unsigned opened = world.opened;
        link_try_now(&world.core);
        world_pass(SECOND);
        assert_int_equal(world.opened, opened); /* nothing to do when online */
        world_end();
    }
}

/* ---- the end ---- */

static void closes(void **state)
{
    (void)state;
    world_start_online(BEAT);
    link_close(&world.core);
    world_pass(STEP);
    assert_true(world.close_asked);
    assert_int_equal(world.finished, -1);
    world_session_ends(STAGE_CLOSING, 1000, "");
    assert_int_equal(world.finished, 0);
    world_end();
    world_start_online(BEAT);
    link_close(&world.core);
    world_pass(3 * SECOND - STEP);
    assert_int_equal(world.finished, -1);
    world_pass(2 * STEP);
    assert_int_equal(world.finished, 0); /* the session does not answer */
    world_end();
    for (int step = 0; step < PURPOSES; step++) {
        world_start(BEAT);
        world.answers[step].silent = true;
        world_until(step_states[step], STEP);
        link_close(&world.core);
        assert_int_equal(world.finished, 0);
        world_end();
    }
}

/* Asked for before a wait began, opened during it: it gets no go, hence no token. */
static void late_session(void **state)
{
    (void)state;
    world_start_online(BEAT);
    world.deaf_parent = true;
    world_session_ends(STAGE_DROPPED, 0, "");
    world_until(LINK_CONNECTING, 2 * SECOND);
    world_until(LINK_WAITING, 2 * MINUTE);
    int pair[2];
    struct msg_session_opened m = {.serial = 99, .purpose = PURPOSE_AGENT};
    assert_int_equal(packet_pair(pair), 0);
    assert_int_equal(link_session_opened(&world.core, &m, &pair[0]), VERDICT_OK);
    assert_int_equal(pair[0], -1);
    char byte;
    assert_int_equal(read(pair[1], &byte, 1), 0); /* closed, and nothing was said */
    close(pair[1]);
    assert_int_equal(link_session_opened(&world.core, &m, &(int){-1}), VERDICT_HOSTILE);
    world.deaf_parent = false;
    world_until(LINK_ONLINE, 2 * MINUTE);
    world_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_side_by_side),
        cmocka_unit_test(failures_at_each_step),
        cmocka_unit_test(answers_of_no_one),
        cmocka_unit_test(session_that_dies),
        cmocka_unit_test(ends_the_agent),
        cmocka_unit_test(failing_attempts),
        cmocka_unit_test(retry_after),
        cmocka_unit_test(short_sessions),
        cmocka_unit_test(standby_never_ends),
        cmocka_unit_test(authenticate_again),
        cmocka_unit_test(token_refused),
        cmocka_unit_test(asked_to_try_now),
        cmocka_unit_test(closes),
        cmocka_unit_test(late_session),
    };
    return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
