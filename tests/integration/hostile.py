# SPDX-License-Identifier: Apache-2.0
"""What the tests of hostile servers share: agents attacked side by side, each watched for its
memory, and the proof that each goes on."""

import contextlib
import threading

from harness import TOKEN, TowerCase, shared_pki
from support import alarms, build_has, peak_memory
from tower import Tower

PATIENCE = 90  # seconds; several agents at once, perhaps under sanitizers
MIB = 1024 * 1024
# A message may have 10 MiB; JSON at most doubles it, base64 adds a third.
MOST_MEMORY = {"tw-agent-net-se": 96 * MIB, "tw-agent-core": 64 * MIB, "tw-agent-exec": 32 * MIB,
               "tw-agent-net": 32 * MIB, "tw-agent": 32 * MIB, "tw-agent-net-co": 64 * MIB,
               "tw-agent-probe": 16 * MIB}
SANITIZED_MEMORY = 1024 * MIB  # freed memory is held back there
MOST_ALARMS = 20
_SAMPLE_SECONDS = 0.05


def descendants(pid):
    found = [pid]
    for one in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{one}/task/{one}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    return found


class Watch:
    """Samples the peak memory of an agent's programs, so that those that end are known too."""

    def __init__(self, agent):
        self.peaks = {}
        self._agent = agent
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(_SAMPLE_SECONDS):
            self._sample()

    def _sample(self):
        for pid in descendants(self._agent.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                    name = file.read().strip()
                peak = peak_memory(_Pid(pid))
                self.peaks[name] = max(self.peaks.get(name, 0), peak)

    def end(self):
        self._sample()
        self._stop.set()
        self._thread.join()
        return self.peaks


class _Pid:
    def __init__(self, pid):
        self.pid = pid


class HostileCase(TowerCase):
    """Attacks are dicts from a name to what is done; each is done to an agent of its own."""

    def check_agent(self, agent, watch):
        self.assertIsNone(agent.popen.poll(), agent.log)
        lines = alarms(agent.log)
        self.assertLessEqual(len(lines), MOST_ALARMS, "\n".join(lines))
        self.assertNotRegex(agent.log, "SIGSYS|ended by signal|broke the rules of its channel")
        self.assertNotIn("\x1b", agent.log)
        for name, peak in watch.end().items():
            if name.startswith("tw-agent"):
                most = SANITIZED_MEMORY if build_has("TW_SANITIZE") else MOST_MEMORY[name]
                self.assertLessEqual(peak, most, name)

    def attack_conversations(self, attacks, ends=None, heartbeat="3s"):
        """`attacks` are functions of a conversation. `ends` says whether the agent has to end the
        connection (True), has to keep it (False), or may choose (None)."""
        victims = []
        for number, name in enumerate(attacks):
            agent = self.start_agent(connection_id=f"victim-{number}",
                                     args=("--heartbeat", heartbeat))
            victims.append((name, agent, Watch(agent)))
        for number, (name, agent, watch) in enumerate(victims):
            with self.subTest(name):
                conversation = self.tower.wait_online(PATIENCE, connection_id=f"victim-{number}")
                with contextlib.suppress(OSError):
                    attacks[name](conversation)
                self.goes_on(agent, conversation, ends)
                self.check_agent(agent, watch)

    def goes_on(self, agent, conversation, ends=None):
        """The next command is answered, on this connection or on the next."""
        id = None
        with contextlib.suppress(OSError):
            id = conversation.send_command("echo on")
        self.tower.events.wait_until(
            lambda: conversation.ended or (id and self.tower.results(id)), PATIENCE,
            f"answer or end\nThe agent's log:\n{agent.log}")
        ended = not (id and self.tower.results(id))
        if ends is not None:
            self.assertEqual(ended, ends, "whether the connection ended")
        if ended:
            conversation = self.tower.wait_online(
                PATIENCE, connection_id=conversation.connection_id, newer_than=conversation)
            id = conversation.send_command("echo on")
        self.assertEqual(self.tower.wait_result(id, PATIENCE).output, b"on\n")

    def attack_requests(self, step, answers, times=1):
        """Each answer is given by a Tower of its own at this step, `times` times."""
        victims = []
        for name, answer in answers.items():
            tower = Tower(shared_pki(), token=TOKEN).start()
            self.addCleanup(tower.stop)
            tower.on(step, answer, times=times)
            agent = self.start_agent(url=tower.url)
            victims.append((name, tower, agent, Watch(agent)))
        for name, tower, agent, watch in victims:
            with self.subTest(name):
                try:
                    tower.wait_online(PATIENCE)
                except TimeoutError as reason:
                    raise AssertionError(f"{reason}\nThe agent's log:\n{agent.log}") from None
                self.assertEqual(tower.run("echo on", timeout=PATIENCE).output, b"on\n")
                self.check_agent(agent, watch)


