#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The connection's state machine: refusals, drops, dead links, tokens refused, waiting."""

import signal
import time

import harness
from harness import TIMEOUT, TOKEN, TowerCase, modes
from support import alarms, commands_file, gate, wait_status
from tower import Reply, Stall, error

OTHER_TOKEN = "tw-test-token-other-93c1f2aa71"


class Closes(TowerCase):
    def test_4000_is_standby(self):
        agent = self.online_agent()
        first = self.tower.agent
        mark, start = self.tower.mark(), time.monotonic()
        first.close(4000, "Another agent is connected")
        agent.wait_log("standby: another agent with this connection ID")
        wait_status(agent, lambda status: status["state"] == "standby")
        second = self.tower.wait_online(TIMEOUT, newer_than=first)
        waited = time.monotonic() - start
        self.assertGreater(waited, 5)
        self.assertLess(waited, 15 + 30)  # and what a busy machine adds
        self.assertEqual([request.step for request in self.tower.requests(after=mark)],
                         ["connect"])
        self.assertEqual(second.run("echo on").output, b"on\n")
        self.assertIsNone(agent.popen.poll())

    def test_4001_after_a_short_session(self):
        agent = self.online_agent()
        first = self.tower.agent
        start = time.monotonic()
        first.close(4001, "authenticate again")
        agent.wait_log("close code 4001")
        self.tower.wait_online(TIMEOUT, newer_than=first)
        self.assertGreater(time.monotonic() - start, 0.5, "a short session must not loop")

    def test_other_closes(self):
        agent = self.online_agent()
        first = self.tower.agent
        first.close(1011, "oops \x1b[31m \u202e")
        agent.wait_log(r"Tower closed the connection \(code 1011, oops")
        self.assertNotIn("\x1b", agent.log)
        self.assertNotIn("\u202e", agent.log)
        second = self.tower.wait_online(TIMEOUT, newer_than=first)
        second.close(None)
        self.tower.wait_online(TIMEOUT, newer_than=second)


class Drops(TowerCase):
    def drop_while_running(self, how):
        agent = self.online_agent(args=("--heartbeat", "2s"))
        hold = gate(self, agent)
        first = self.tower.agent
        id = first.send_command(f"echo x >> count; {hold.text}; echo done")
        hold.reached()
        first.drop(how)
        second = self.tower.wait_online(TIMEOUT, newer_than=first)
        hold.open()
        result = self.tower.wait_result(id, TIMEOUT)
        self.assertEqual((result.output, result.conn), (b"done\n", second.number))
        wait_status(agent, lambda status: status["commands"]["delivered"] == 1)
        self.assertEqual(len(self.tower.results(id)), 1)
        self.assertEqual(commands_file(agent, "count"), "x\n")

    def test_reset(self):
        self.drop_while_running("rst")

    def test_end_of_file(self):
        self.drop_while_running("fin")

    def test_tls_close(self):
        self.drop_while_running("tls")

    def test_finished_while_away(self):
        agent = self.online_agent()
        hold = gate(self, agent)
        first = self.tower.agent
        ids = [first.send_command(f"echo {i} x; {hold.text}; head -c 40000 /dev/zero; exit {i}")
               for i in range(3)]
        for _ in ids:
            hold.reached()
        self.tower.stop_listening()
        first.drop()
        agent.wait_log("cannot connect")
        for _ in ids:
            hold.open()
        wait_status(agent, lambda status: status["commands"]["undelivered"] == 3)
        self.tower.start_listening()
        for i, id in enumerate(ids):
            result = self.tower.wait_result(id, TIMEOUT)
            self.assertEqual((result.exit_status, len(result.output)), (i, 40004))

    def test_unproven_result_goes_again(self):
        agent = self.online_agent()
        first = self.tower.agent
        first.heartbeat_replies = False
        result = first.run("echo once; echo x >> count", id="r")
        first.drop("rst")
        again = self.tower.wait_result("r", TIMEOUT, count=2)
        self.assertEqual((again.output, again.exit_status), (result.output, 0))
        self.assertNotEqual(again.conn, first.number)
        self.assertEqual(commands_file(agent, "count"), "x\n")

    def test_result_that_ends_connections_is_shortened(self):
        """Only a big result is ever taken for the reason; small ones go again without end."""
        agent = self.online_agent()
        newest = self.tower.agent
        self.tower.heartbeat_replies = newest.heartbeat_replies = False
        newest.run("head -c 50000 /dev/zero; exit 6", id="deadly")
        for count in (2, 3):
            newest.drop()
            newest = self.tower.wait_online(TIMEOUT, newer_than=newest)
            self.assertEqual(len(self.tower.wait_result("deadly", count=count).output), 50000)
        newest.drop()
        short = self.tower.wait_result("deadly", TIMEOUT, count=4)
        self.assertIn(b"it is left out", short.output)
        self.assertEqual(short.exit_status, 6)
        self.assertEqual(len([line for line in alarms(agent.log, "core") if "short one" in line]), 1)

    def test_silence_is_noticed(self):
        agent = self.online_agent(args=("--heartbeat", "300ms"))
        first = self.tower.agent
        self.tower.wait_event("ws-message", type="heartbeat")
        first.go_silent()
        start = time.monotonic()
        agent.wait_log("the connection is dead")
        self.assertLess(time.monotonic() - start, 30, "by default it is more than 45 s")
        first.drop()  # Tower would hold the place of a session that it takes for alive
        second = self.tower.wait_online(TIMEOUT, newer_than=first)
        self.assertEqual(second.run("echo on").output, b"on\n")

    def test_unanswered_heartbeats_are_noticed(self):
        """The server's kernel takes our heartbeats; that alone is no sign of Tower."""
        agent = self.online_agent(args=("--heartbeat", "1500ms"))
        first = self.tower.agent
        first.heartbeat_replies = False
        agent.wait_log("the connection is dead", timeout=40)  # by default it is more than 45 s
        self.tower.wait_online(TIMEOUT, newer_than=first)

    def test_slow_upload_is_no_silence(self):
        """A result that takes many heartbeats to go out is progress, though no reply comes."""
        self.tower.receive_buffer = 131_072
        agent = self.online_agent(args=("--heartbeat", "2s"))
        conversation = self.tower.agent
        conversation.throttle(500_000, receive_buffer=131_072)
        id = conversation.send_command("head -c 3000000 /dev/zero")
        result = self.tower.wait_result(id, 60)
        self.assertEqual((len(result.output), result.conn), (3_000_000, conversation.number))
        self.assertNotIn("dead", agent.log)


class Waiting(TowerCase):
    def test_a_passing_502_at_login(self):
        self.tower.on("user", error(502, "Bad Gateway"), times=2)
        agent = self.start_agent()
        agent.wait_log(r"login: Tower answers with status 502")
        self.tower.wait_online(TIMEOUT)
        self.assertEqual(len(self.tower.requests("user")), 3)
        self.assertEqual(len(alarms(agent.log, "core")), 1, "once per change of reason")

    def test_service_info_fails_at_first(self):
        self.tower.on("service-info", Reply(500, b"<html>"), times=1)
        agent = self.start_agent()
        agent.wait_log(r"Tower API endpoint '\S+' it is not available: status 500")
        self.tower.wait_online(TIMEOUT)
        self.assertEqual([request.step for request in self.tower.requests()],
                         ["service-info", "service-info", "user", "connect"])

    def test_retry_after(self):
        self.tower.on("user", error(503, "busy", headers={"Retry-After": "3"}), times=1)
        self.tower.on("user", error(429, "slow down", headers={"Retry-After": "2"}), times=1)
        self.start_agent()
        self.tower.wait_online(TIMEOUT)
        times = [request.t for request in self.tower.requests("user")]
        self.assertEqual(len(times), 3)
        self.assertGreater(times[1] - times[0], 2.9)
        self.assertGreater(times[2] - times[1], 1.9)
        self.assertLess(times[2] - times[0], TIMEOUT)

    def test_odd_retry_after(self):
        for value in ("-5", "soon", "", "0x10", "1" * 400):
            self.tower.on("user", error(503, "busy", headers={"Retry-After": value}), times=1)
        agent = self.start_agent(args=("--log-level", "debug"))
        agent.wait_log("status 503")
        self.tower.events.wait_until(lambda: len(self.tower.requests("user")) >= 4, TIMEOUT)
        self.assertIsNone(agent.popen.poll())

    def test_server_comes_later(self):
        self.tower.stop_listening()
        agent = self.start_agent()
        agent.wait_log("cannot connect")
        wait_status(agent, lambda status: status["state"] == "waiting")
        self.tower.start_listening()
        self.tower.wait_online(TIMEOUT)
        wait_status(agent, lambda status: status["state"] == "online")

    def test_server_that_never_answers(self):
        self.tower.on("service-info", Stall(), times=1)
        agent = self.start_agent()
        agent.wait_log("does not answer in time", timeout=TIMEOUT)
        self.tower.wait_online(TIMEOUT)

    def test_log_says_a_long_outage_once(self):
        self.tower.on("connect", error(502, "Bad Gateway"), times=2)
        self.tower.on("connect", error(500, "other"), times=1)
        agent = self.start_agent()
        self.tower.wait_online(TIMEOUT)
        self.assertEqual(len(alarms(agent.log, "core")), 2, agent.log)


class Token(TowerCase):
    @modes()
    def test_refused_at_first_login(self):
        for status, reply in ((401, error(401, "Unauthorized \x1b[1m")), (403, Reply(403, b"\xff")),
                              (401, Reply(401, length=False, then="tls"))):
            self.tower.on("user", reply, times=1)
            agent = self.start_agent()
            agent.wait_log(rf"the access token was refused by \S+ \(status {status}")
            self.assertEqual(agent.wait(), 4)
            self.assertEqual(agent.children_left(), [])
            self.assertNotIn(TOKEN, agent.log)
            self.assertNotIn("\x1b", agent.log)

    @modes()
    def test_refused_later_and_replaced(self):
        agent = self.online_agent()
        first = self.tower.agent
        self.tower.token = OTHER_TOKEN
        first.drop()
        agent.wait_log(r"ALARM: the access token, accepted before, is now refused \(status 401\)")
        wait_status(agent, lambda status: status["state"] == "token-refused")
        agent.write_token(OTHER_TOKEN)
        agent.signal(signal.SIGHUP)
        agent.wait_log("the token was read again: replaced")
        second = self.tower.wait_online(TIMEOUT, newer_than=first)
        self.assertEqual(second.token, OTHER_TOKEN)
        self.assertEqual(second.run("echo on").output, b"on\n")
        wait_status(agent, lambda status: status["state"] == "online")
        for secret in (TOKEN, OTHER_TOKEN):
            self.assertNotIn(secret, agent.log)

    def test_403_at_connect_after_login(self):
        self.tower.on("connect", error(403, "Forbidden"))
        agent = self.start_agent()
        agent.wait_log(r"ALARM: the access token, accepted before, is now refused \(status 403\)")
        wait_status(agent, lambda status: status["state"] == "token-refused")
        agent.terminate()
        self.assertEqual(agent.wait(), 0)

    def test_bad_new_token_keeps_the_old(self):
        agent = self.online_agent()
        first = self.tower.agent
        agent.write_token("bad\x01token" * 4)
        agent.signal(signal.SIGHUP)
        agent.wait_log("ALARM: the token was read again and is not acceptable")
        self.assertIs(self.tower.agent, first, "the connection stays")
        first.drop()
        second = self.tower.wait_online(TIMEOUT, newer_than=first)
        self.assertEqual(second.token, TOKEN)
        self.assertNotIn("bad\\x01token", agent.log)

    def test_unchanged_token(self):
        agent = self.online_agent()
        first = self.tower.agent
        agent.signal(signal.SIGHUP)
        agent.wait_log("the token was read again: unchanged")
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.assertIs(self.tower.agent, first)

    def test_rotated_while_online(self):
        agent = self.online_agent()
        first = self.tower.agent
        agent.write_token(OTHER_TOKEN)
        agent.signal(signal.SIGHUP)
        agent.wait_log("the token was read again: replaced")
        self.tower.token = OTHER_TOKEN
        first.drop()
        second = self.tower.wait_online(TIMEOUT, newer_than=first)
        self.assertEqual(second.token, OTHER_TOKEN)

    def test_too_old_server(self):
        self.tower.api_version = "1.7.9"
        agent = self.start_agent()
        agent.wait_log(r"too old: its API version is 1\.7\.9, and this agent needs 1\.8 or later")
        self.assertEqual(agent.wait(), 5)
        self.assertEqual(agent.children_left(), [])
        self.assertEqual([request.token for request in self.tower.requests()], [None])

    def test_oldest_server(self):
        self.tower.api_version = "1.8"
        self.online_agent()


if __name__ == "__main__":
    harness.main()
