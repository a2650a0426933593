#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A server that turns hostile after the upgrade: messages, frames, floods."""

import itertools
import json
import threading

import harness
from harness import TIMEOUT
from hostile import PATIENCE, HostileCase, Watch
from support import gate, wait_status
from tower import frames


def request(**fields):
    return json.dumps({"@type": "command-request", "id": "x", "command": "echo wrong >> wrong",
                       **fields})


def texts(named):
    return {name: (lambda conversation, text=text: conversation.send_text(text))
            for name, text in named.items()}


def raws(named):
    return {name: (lambda conversation, data=data: conversation.send_raw(data))
            for name, data in named.items()}


def in_open_message(data):
    """Frames sent while a message is open: no heartbeat reply may fall into it."""
    def send(conversation):
        conversation.heartbeat_replies = False
        conversation.send_raw(data)
    return send


class Messages(HostileCase):
    def tearDown(self):
        for conversation in self.tower.events.list("ws-message", type="command-response"):
            self.assertNotEqual(conversation.message["id"], "x", "a bad request was answered")
        super().tearDown()

    def test_no_json(self):
        self.attack_conversations(texts({
            "brace": "{", "empty": "", "word": "nul", "trailing": request(id="x") + "x",
            "two": "{}{}", "nan": '{"@type":NaN}', "comment": '{/**/"@type":"heartbeat"}',
            "control": '{"@type":"command-request","id":"x","command":"a\nb"}'}))

    def test_other_json(self):
        self.attack_conversations(texts({
            "array": "[]", "number": "5", "string": '"x"', "null": "null", "object": "{}",
            "type is a number": '{"@type":5}', "type is null": '{"@type":null}',
            "unknown type": '{"@type":"shutdown","id":"x","command":"echo"}',
            "info": '{"@type":"info","userName":"u","workDir":"/","agentVersion":"1"}'}))

    def test_unknown_types_do_not_end_it(self):
        self.attack_conversations(texts({"unknown": '{"@type":"news","id":"x"}'}), ends=False)

    def test_wrong_fields(self):
        self.attack_conversations(texts({
            "no id": '{"@type":"command-request","command":"echo"}',
            "no command": '{"@type":"command-request","id":"x"}',
            "id is a number": request(id=5), "id is null": request(id=None),
            "id is empty": request(id=""), "id too long": request(id="x" * 1025),
            "nul in id": request(id="x\0"), "command is a list": request(command=["echo"])}))

    def test_wrong_values(self):
        self.attack_conversations(texts({
            "command is null": request(command=None), "command is true": request(command=True),
            "nul in command": request(command="echo a\0b"),
            "lone surrogate": request(command="S").replace("S", "\\ud800"),
            "duplicate id": request(id="x")[:-1] + ', "id": "y"}',
            "duplicate type": request()[:-1] + ', "@type": "heartbeat"}',
            "huge number": request(id="n1")[:-1] + ', "n": 1e999999}',
            "long number": request(id="n2")[:-1] + ', "n": ' + "9" * 100_000 + "}"}))

    def test_large_structures(self):
        self.attack_conversations(texts({
            "arrays in arrays": "[" * 1_000_000, "closed": "[" * 5000 + "]" * 5000,
            "objects": '{"a":' * 200_000, "in a field": request()[:-1] + ',"a":' + "[" * 5000
            + "]" * 5000 + "}", "zeros": "[" + "0," * 4_000_000 + "0]",
            "keys": "{" + ",".join(f'"k{i}":0' for i in range(300_000)) + "}"}))

    def test_many_bad_messages(self):
        for text in ("{", '{"@type":"news"}', request(id=5)):
            agent = self.online_agent(connection_id=f"flooded-by-{len(text)}")
            watch = Watch(agent)
            conversation = self.tower.agent
            with self.subTest(text):
                try:
                    conversation.send_raw(frames.text(text) * 5000)
                except OSError:  # the agent may have ended the connection
                    pass
                self.goes_on(agent, conversation)
                self.check_agent(agent, watch)


class Frames(HostileCase):
    def test_broken_rules(self):
        self.attack_conversations(raws({
            "masked": frames.text("{}", mask=b"abcd"), "rsv1": frames.text("{}", rsv=4),
            "rsv3": frames.ping(b"x", rsv=1), "opcode 3": frames.frame(3, b"x"),
            "opcode 15": frames.frame(15, b"x"), "fragmented ping": frames.ping(b"x", fin=False),
            "long ping": frames.ping(b"x" * 126),
            "continuation of nothing": frames.frame(frames.CONTINUATION, b"x")}), ends=True)

    def test_broken_rules_in_a_message(self):
        start = frames.text("{", fin=False)
        attacks = {name: in_open_message(start + data) for name, data in {
            "text": frames.text("{}"), "binary": frames.binary(b""),
            "masked": frames.frame(frames.CONTINUATION, b"}", mask=b"1234"),
            "opcode": frames.frame(5, b"")}.items()}
        self.attack_conversations(attacks, ends=True)

    def test_bad_closes(self):
        self.attack_conversations(raws({
            "one byte": frames.frame(frames.CLOSE, b"\x03"), "code 999": frames.close(999),
            "code 1005": frames.close(1005), "code 1006": frames.close(1006),
            "no text": frames.close(1000, b"\xff\xfe"),
            "half a character": frames.close(1000, "ü".encode()[:1])}), ends=True)

    def test_no_text(self):
        self.attack_conversations(raws({
            "invalid": frames.text(b'{"@type":"\xff\xfe"}'),
            "surrogate": frames.text(b'{"@type":"\xed\xa0\x80"}'),
            "overlong": frames.text(b'{"@type":"\xc0\xaf"}')}))

    def test_sizes(self):
        self.attack_conversations(raws({
            "binary": frames.binary(b"\0\1" * 100), "long form": frames.text("{}", form=64),
            "claim of 2^63": frames.text(b"x", claim=2**63, form=64),
            "claim of 2^64-1": frames.text(b"x", claim=2**64 - 1, form=64),
            "claim of 1 TB": frames.text(b"x" * 1000, claim=2**40, form=64)}), heartbeat="500ms")

    def test_thirty_megabytes(self):
        big = request(command=": " + "y" * 30_000_000)
        self.attack_conversations(raws({
            "one frame": frames.text(big), "fragments": frames.fragments(big, 65536),
            "binary": frames.binary(big.encode())}), ends=True)

    def test_just_too_long(self):
        size = 10_485_760 - len(request(command=""))
        self.attack_conversations(raws({
            "too long by one": frames.text(request(command=":" * (size + 1)))}))

    def test_broken_tls(self):
        self.attack_conversations({
            name: lambda conversation, data=data: conversation.send_tcp(data) for name, data in {
                "garbage": b"\x17\x03\x03\0\x20" + b"x" * 32,
                "huge record": b"\x17\x03\x03\xff\xff",
                "plain": b"HTTP/1.1 400 Bad\r\n\r\n"}.items()}, ends=True)


class Floods(HostileCase):
    def endless(self, piece):
        def send(conversation):
            conversation.heartbeat_replies = False
            blocks = frames.endless_fragments(piece, batch=20_000)
            conversation.send_raw(itertools.islice(blocks, 3000))
        return send

    def test_endless_message(self):
        self.attack_conversations({"empty pieces": self.endless(b""),
                                   "bytes": self.endless(b"a")}, heartbeat="500ms")

    def test_pings(self):
        agent = self.online_agent()
        watch = Watch(agent)
        conversation, mark = self.tower.agent, self.tower.mark()
        conversation.send_raw(frames.ping(b"x" * 100) * 30_000)
        self.goes_on(agent, conversation, ends=False)
        self.assertGreater(self.tower.events.count("ws-pong", after=mark), 0)
        self.check_agent(agent, watch)

    def test_command_behind_pings(self):
        """What is read in one piece is handled in one go, whatever it makes us answer."""
        self.online_agent()
        command = json.dumps({"@type": "command-request", "id": "behind", "command": "echo on"})
        self.tower.agent.send_raw(frames.ping(b"x" * 100) * 150 + frames.text(command))
        self.assertEqual(self.tower.wait_result("behind", 40).output, b"on\n")

    def test_pings_without_reading(self):
        self.tower.receive_buffer = 4096
        agent = self.online_agent(args=("--heartbeat", "1s"))
        watch = Watch(agent)
        conversation = self.tower.agent
        conversation.pause_reading()
        sent = []

        def flood():
            try:
                blocks = frames.flood(frames.ping(b"x" * 100), batch=500)
                sent.append(conversation.send_raw(itertools.islice(blocks, 4000), timeout=30))
            except TimeoutError:
                sent.append("not read")
        sender = threading.Thread(target=flood)
        sender.start()
        agent.wait_log("dead", timeout=PATIENCE)
        sender.join(PATIENCE)
        self.assertTrue(sent)
        conversation.drop()
        again = self.tower.wait_online(PATIENCE, newer_than=conversation)
        self.goes_on(agent, again, ends=False)
        self.check_agent(agent, watch)

    def test_heartbeats(self):
        agent = self.online_agent(args=("--heartbeat", "3s"))
        watch = Watch(agent)
        conversation = self.tower.agent
        conversation.send_raw(frames.text('{"@type":"heartbeat"}') * 50_000)
        self.goes_on(agent, conversation, ends=False)
        self.check_agent(agent, watch)

    def test_commands_by_count(self):
        agent = self.online_agent(args=("--max-commands", "1", "--heartbeat", "3s"))
        watch = Watch(agent)
        hold = gate(self, agent)
        conversation = self.tower.agent
        conversation.send_command(hold.text)
        hold.reached()
        conversation.send_raw(b"".join(frames.text(request(id=f"q{i}", command="true"))
                                       for i in range(10_050)))
        refused = self.tower.wait_result("q10049", PATIENCE)
        self.assertEqual(refused.exit_status, 75)
        self.assertIn(b"full", refused.output)
        self.assertEqual(self.tower.results("q9999"), [])
        self.check_agent(agent, watch)
        hold.open()
        self.assertEqual(self.tower.wait_result("q0", TIMEOUT).exit_status, 0)

    def test_commands_by_bytes(self):
        agent = self.online_agent(args=("--max-commands", "1"))
        watch = Watch(agent)
        hold = gate(self, agent)
        conversation = self.tower.agent
        conversation.send_command(hold.text)
        hold.reached()
        text = ": '" + "y" * 9_000_000 + "'"
        for i in range(9):
            conversation.send_command(text, id=f"big {i}")
        refused = self.tower.wait_result("big 8", PATIENCE)
        self.assertEqual(refused.exit_status, 75)
        self.check_agent(agent, watch)
        hold.open()
        self.assertEqual(self.tower.wait_result("big 0", PATIENCE).exit_status, 0)

    def unread_results(self, config, condition):
        """Twelve results of 1 MB for a server that does not read: the agent's status once the
        condition holds, and that all arrive when it reads again."""
        agent = self.online_agent(config={"max_results_memory": "3000000", **config},
                                  args=("--max-commands", "1"))
        watch = Watch(agent)
        conversation = self.tower.agent
        conversation.go_silent()
        ids = [conversation.send_command(f"head -c 1000000 /dev/zero; exit {i}")
               for i in range(12)]
        status = wait_status(agent, lambda status: status["commands"]["received"] == 12
                             and condition(status))
        conversation.resume()
        for i, id in enumerate(ids):
            result = self.tower.wait_result(id, PATIENCE)
            self.assertEqual((result.exit_status, len(result.output)), (i, 1_000_000))
        self.check_agent(agent, watch)
        return status

    def test_results_that_are_not_read(self):
        """On disk they do not count against the memory: all commands run."""
        status = self.unread_results({}, lambda status: status["commands"]["undelivered"] == 12)
        self.assertGreater(status["results"]["diskBytes"], 11_000_000)
        self.assertLess(status["results"]["memoryBytes"], 3_000_000)

    def test_results_that_are_not_read_without_disk(self):
        status = self.unread_results({"max_results_disk": "0"},
                                     lambda status: status["commands"]["undelivered"] >= 3)
        self.assertLessEqual(status["commands"]["started"], 6)
        self.assertFalse(status["results"]["onDisk"])


if __name__ == "__main__":
    harness.main()
