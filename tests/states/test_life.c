/* SPDX-License-Identifier: Apache-2.0 */
/* When a link is dead and when it is not (docs/connection.md), in virtual time. */
#include "tests/states/world.h"

#include "tests/unit/test.h"

#include <string.h>

#include "core/life.h"
#include "core/link.h"

#define SERIES 300

/* ---- life ---- */

static void silence(void **state)
{
    static const unsigned beats[] = {300, 1000, BEAT, 10 * MINUTE};
    (void)state;
    for (size_t i = 0; i < sizeof beats / sizeof *beats; i++) {
        world_start_online(beats[i]);
        world_pass(10 * beats[i] + STEP);
        assert_in_range(world.proofs, 9, 10);
        world.reply = false;
        world_assert_about(world_until(LINK_WAITING, 3 * beats[i]), 2 * beats[i] - STEP);
        assert_non_null(strstr(world.core.link.reason, "dead"));
        assert_int_equal(world.dropped, 1);
        world_end();
    }
    /* Heartbeats that the kernel takes are no sign, nor is a server that never answered one. */
    world_start(BEAT);
    world.reply = false;
    world_until(LINK_ONLINE, STEP);
    world_assert_about(world_until(LINK_WAITING, 3 * BEAT), 2 * BEAT);
    world_end();
}

static void slow_upload(void **state)
{
    (void)state;
    world_start_online(BEAT);
    world.reply = false;
    world_send_result(10485660, false);
    world.step = SECOND;
    for (unsigned i = 1; i <= SERIES; i++) { /* 10 hours */
        world_pass(BEAT - BEAT / 5);
        world_progress(i, 0);
    }
    world.step = STEP;
    assert_int_equal(world.core.link.state, LINK_ONLINE);
    assert_in_range(world.beats, 2, 17); /* they would wait behind the result */
    world_assert_about(world_until(LINK_WAITING, 3 * BEAT), 2 * BEAT);
    world_end();
}

static void slow_download(void **state)
{
    (void)state;
    world_start_online(BEAT);
    world.reply = false;
    world.step = SECOND;
    for (unsigned i = 1; i <= 100; i++) { /* the session says so while a message comes */
        world_pass(BEAT - BEAT / 5);
        world_progress(100, 0);
    }
    world.step = STEP;
    assert_int_equal(world.core.link.state, LINK_ONLINE);
    world_assert_about(world_until(LINK_WAITING, 3 * BEAT), 2 * BEAT);
    world_end();
}

/* Written whole, so no more progress; on its way behind some buffer. */
static void swallowed(void **state)
{
    static const struct {
        size_t size;
        unsigned count, seconds; /* more than two intervals */
    } cases[] = {{0, 1, 0}, {4800, 1, 0}, {10485660, 1, 213}, {10485660, 8, 256}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world_start_online(BEAT);
        world.reply = false;
        for (unsigned n = 0; n < cases[i].count; n++)
            world_send_result(cases[i].size, true);
        uint64_t quiet = world_until(LINK_WAITING, 10 * MINUTE);
        assert_in_range(quiet, 2 * BEAT + cases[i].seconds * SECOND,
                        2 * BEAT + (cases[i].seconds + 1) * SECOND);
        world_end();
    }
    /* What the session has not written yet is not on its way. */
    world_start_online(BEAT);
    world.reply = false;
    world_send_result(10485660, true);
    world_send_result(10485660, false);
    assert_in_range(world_until(LINK_WAITING, 10 * MINUTE), 2 * BEAT + 213 * SECOND,
                    2 * BEAT + 214 * SECOND);
    world_end();
}

static void early_heartbeats(void **state)
{
    (void)state;
    world_start_online(BEAT);
    world_send_result(2000000, false);
    world_pass(STEP);
    assert_int_equal(world.beats, 1);
    for (int i = 0; i < 10; i++) { /* one behind the newest result is enough */
        life_extra_beat(&world.core);
        world_pass(2 * SECOND);
    }
    assert_int_equal(world.beats, 1);
    world_send_result(2000000, false);
    world_send_result(2000000, false);
    world_pass(STEP);
    assert_int_equal(world.beats, 2);
    world_send_result(2000000, false);
    world_pass(SECOND / 2);
    assert_int_equal(world.beats, 2); /* one a second at most */
    world_pass(SECOND / 2 + STEP);
    assert_int_equal(world.beats, 3);
    world_end();
}

/* ---- sleep, and clocks that jump ---- */

static void pass_time_away(bool suspend, uint64_t ms)
{
    if (suspend)
        world_suspend(ms);
    else
        world_stop(ms);
}

static void sleeps(void **state)
{
    (void)state;
    for (int suspend = 0; suspend < 2; suspend++) {
        /* A link that lived through it is kept; one that died is noticed soon. */
        for (int lives = 0; lives < 2; lives++) {
            world_start_online(BEAT);
            world_pass(2 * BEAT + SECOND);
            pass_time_away(suspend, 8 * 60 * MINUTE);
            world.reply = lives;
            if (lives) {
                world_pass(10 * BEAT);
                assert_int_equal(world.dropped, 0);
                assert_int_equal(world.core.link.state, LINK_ONLINE);
            } else {
                /* Timers stand still in a suspend: the next heartbeat is when we learn of it. */
                uint64_t most = (suspend ? BEAT : 0) + 10 * SECOND + 2 * STEP;
                assert_in_range(world_until(LINK_WAITING, 3 * BEAT), 10 * SECOND - STEP, most);
            }
            world_end();
        }
    }
    /* A short one changes nothing. */
    world_start_online(BEAT);
    world_pass(BEAT + SECOND);
    world_suspend(20 * SECOND);
    world.reply = false;
    world_assert_about(world_until(LINK_WAITING, 3 * BEAT), 2 * BEAT - SECOND);
    world_end();
    /* Just before the link would be found dead: the reply may lie in a buffer. */
    world_start_online(BEAT);
    world.reply = false;
    world_pass(2 * BEAT - SECOND);
    world_stop(MINUTE);
    world.reply = true;
    world_pass(5 * BEAT);
    assert_int_equal(world.dropped, 0);
    world_end();
}

static void waits_outlast_sleep(void **state)
{
    (void)state;
    world_start(BEAT);
    world.answers[PURPOSE_LOGIN].status = 503;
    world.answers[PURPOSE_LOGIN].retry_after = 600;
    world_until(LINK_WAITING, STEP);
    world_stop(60 * MINUTE);
    world_assert_about(world_until_attempt(SECOND), 0);
    world_end();
}

static void wall_clock_jumps(void **state)
{
    static const int64_t jumps[] = {315360000, -315360000, 3600, -1};
    (void)state;
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        world_start_online(BEAT);
        world_pass(BEAT + SECOND);
        world_set_clock(jumps[i]);
        world_pass(10 * BEAT);
        assert_int_equal(world.dropped, 0);
        assert_int_equal(world.beats, 11);
        world.reply = false;
        world_set_clock(-jumps[i]);
        world_assert_about(world_until(LINK_WAITING, 3 * BEAT), 2 * BEAT - SECOND);
        world_set_clock(jumps[i]);
        world_assert_about(world_until_attempt(2 * SECOND), SECOND);
        world_until(LINK_ONLINE, STEP);
        world_session_ends(STAGE_CLOSED, 4000, "");
        world_set_clock(-jumps[i]);
        world_assert_about(world_until_attempt(16 * SECOND), 5 * SECOND);
        world_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence),
        cmocka_unit_test(slow_upload),
        cmocka_unit_test(slow_download),
        cmocka_unit_test(swallowed),
        cmocka_unit_test(early_heartbeats),
        cmocka_unit_test(sleeps),
        cmocka_unit_test(waits_outlast_sleep),
        cmocka_unit_test(wall_clock_jumps),
    };
    return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
