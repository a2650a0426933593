#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Much at once: requests in one burst, and large results for a reader that stops."""

import contextlib
import hashlib
import json
import os
import time

from faults import (MIB, SANITIZED, FaultCase, keep_digest, lines_of, main, memory_of,
                    results_directory, say)
from harness import AS_ROOT, TIMEOUT, modes
from hostile import Watch
from support import wait_status
from tower import frames

PATIENCE = 180 if SANITIZED else 90
BURST = 5000
RESULTS, RESULT_BYTES, STOPPED_SECONDS = 60, 9 * MIB, 30
RESULTS_MEMORY, RUNNING = 256 * MIB, 16  # defaults of max_results_memory and --max-commands
# Each is some KiB of bookkeeping per request at most; sanitizers hold freed memory back.
BURST_MEMORY = (256 if SANITIZED else 32) * MIB
# One result on its way in each process, mapped, and as base64 in the session's buffers.
LARGE_MEMORY = {"tw-agent-core": 48 * MIB, "tw-agent-net-se": 64 * MIB, "tw-agent-exec": 32 * MIB,
                "tw-agent": 32 * MIB, "tw-agent-net": 16 * MIB}


def requests(commands):
    return b"".join(frames.text(json.dumps({"@type": "command-request", "id": id,
                                            "command": command}))
                    for id, command in commands.items())


def memfd_bytes(pid):
    """The memory behind each memfd that a process has open."""
    for name in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{name}"
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(path).startswith("/memfd:"):
                yield os.stat(path).st_blocks * 512


class Burst(FaultCase):
    tower_options = {"keep_events": 1000}

    @modes()
    def test_5000_requests(self):
        agent = self.online_agent(args=("--heartbeat", "5s"))
        core = agent.process("tw-agent-core")
        before = memory_of(core.pid)
        commands = {f"b{i}": f"echo b{i} >> ran; echo {i}" for i in range(BURST)}
        conversation = self.tower.agent
        conversation.send_raw(requests(commands))
        most = wait_status(agent, lambda status: status["commands"]["queued"] > BURST // 4,
                           PATIENCE)["commands"]["queued"]
        for i, id in enumerate(commands):
            result = self.tower.wait_result(id, PATIENCE)
            self.assertEqual((result.output, result.exit_status), (b"%d\n" % i, 0))
        wait_status(agent, lambda status: status["commands"]["undelivered"] == 0)
        self.assertEqual(lines_of(agent, "ran"), dict.fromkeys(commands, 1))
        self.assertEqual({len(self.tower.results(id)) for id in commands}, {1})
        self.assertTrue(core.alive and not conversation.ended)
        peak = memory_of(core.pid)
        say(f"{BURST} requests, {most} seen waiting: core {before // 1024} KiB before, "
            f"{peak // 1024} KiB at its peak")
        self.assertLessEqual(peak, BURST_MEMORY)


class Large(FaultCase):
    tower_options = {"keep_events": 200}

    def test_60_results_of_9_mb_and_a_reader_that_stops(self):
        """Twice max_results_memory: what waits is on disk, or its commands wait; nothing is lost."""
        self.tower.take_result = keep_digest
        agent = self.online_agent(args=("--heartbeat", "20s"))
        watch = Watch(agent)
        conversation = self.tower.agent
        ids = [f"l{i}" for i in range(RESULTS)]
        texts = {id: f"echo {id} >> ran; head -c {RESULT_BYTES} /dev/zero | tr '\\0' "
                     f"{chr(ord('A') + i % 26)}; printf %s {id}"
                 for i, id in enumerate(ids)}
        conversation.send_raw(requests(dict(list(texts.items())[:5])))
        self.tower.wait_result(ids[0], PATIENCE)
        conversation.pause_reading()
        stopped = time.monotonic()
        conversation.send_raw(requests(dict(list(texts.items())[5:])))
        wait_status(agent, lambda status: status["commands"]["running"] == 0
                    and status["commands"]["received"] == RESULTS, PATIENCE)
        conversation.transport.sleep(max(0, stopped + STOPPED_SECONDS - time.monotonic()))
        self.check_held(agent)
        arrived = sum(bool(self.tower.results(id)) for id in ids)
        self.assertLess(arrived, RESULTS // 2, "the stop stopped nothing")
        mark = self.tower.mark()
        conversation.resume()
        for i, id in enumerate(ids):
            result = self.tower.wait_result(id, PATIENCE)
            self.assertEqual(result.exit_status, 0, result.output)
            self.assertEqual(result.size, RESULT_BYTES + len(id))
            self.assertEqual(result.digest, self.digest_of(i, id), id)
        self.tower.wait_event("ws-message", TIMEOUT, after=mark, type="heartbeat")
        wait_status(agent, lambda status: status["commands"]["undelivered"] == 0, PATIENCE)
        self.assertEqual(lines_of(agent, "ran"), dict.fromkeys(ids, 1))
        self.assertEqual({len(self.tower.results(id)) for id in ids}, {1})
        self.assertFalse(conversation.ended, "a reader that stops for a while is not dead")
        self.check_memory(watch.end())
        self.assertEqual(self.tower.run("echo on").output, b"on\n")

    def check_held(self, agent):
        """Results wait on disk or in memfds, which no process's own figures show unless they are
        mapped. Those on their way between two processes, eight at most, cannot be seen."""
        if not AS_ROOT:
            say("SKIPPED: memory in descriptors: only root can look at another's")
            return
        held = {}
        for process in agent.processes():
            if process.comm.startswith("tw-agent"):
                held[process.comm] = sum(memfd_bytes(process.pid))
        say("in memfds while the reader stands still: " + ", ".join(
            f"{name} {size // 1024} KiB" for name, size in sorted(held.items())))
        waiting = sum(os.path.getsize(os.path.join(results_directory(agent), name))
                      for name in os.listdir(results_directory(agent)))
        say(f"on disk meanwhile: {waiting // MIB} MiB")
        self.assertGreater(held["tw-agent"], 0, "its CA bundle is in one: this looks at nothing")
        self.assertGreater(waiting + held["tw-agent-core"], RESULTS_MEMORY // 2, "nothing waited")
        # The limit is looked at before a command is started: those that run may still exceed it.
        self.assertLessEqual(held["tw-agent-core"], RESULTS_MEMORY + RUNNING * RESULT_BYTES)

    def digest_of(self, i, id):
        digest = hashlib.sha256(chr(ord("A") + i % 26).encode() * RESULT_BYTES)
        digest.update(id.encode())
        return digest.hexdigest()

    def check_memory(self, peaks):
        peaks = {name: peak for name, peak in peaks.items() if name.startswith("tw-agent")}
        say("peaks: " + ", ".join(f"{name} {peak // 1024} KiB"
                                  for name, peak in sorted(peaks.items())))
        for name, most in LARGE_MEMORY.items():
            if not SANITIZED:
                self.assertLessEqual(peaks[name], most, name)
        if SANITIZED:
            say("SKIPPED: bounds of memory: sanitizers hold freed memory back")


if __name__ == "__main__":
    main()
