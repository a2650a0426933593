#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Results and ids over the agent's end: what was recorded is answered, nothing runs twice."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile

import harness
from harness import AS_ROOT, TIMEOUT, TowerCase, modes, own_user
from support import commands_file, gate, wait_status, write_file
from tower import Tower

LARGE = 300_000  # a file of its own; small ones are in the journal


def results_directory(state_dir):
    """The one results/ below a state directory."""
    found = [os.path.join(folder, "results") for folder, names, _ in os.walk(state_dir)
             if "results" in names]
    if len(found) != 1:
        raise AssertionError(f"directories: {found}")
    return found[0]


class Kept(TowerCase):
    """Agents that share a state directory and a work directory, one after the other."""

    def setUp(self):
        super().setUp()
        self.place = tempfile.mkdtemp(prefix="tw-kept-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.place, True)
        os.chmod(self.place, 0o755)

    def folder(self, name, user, mode):
        path = os.path.join(self.place, name)
        if not os.path.isdir(path):
            os.mkdir(path)
        harness.give(path, user, mode)
        return path

    def agent(self, **options):
        state = self.folder("state", "tw-agent" if self.mode == "system" else own_user(), 0o700)
        work = self.folder("work", own_user(), 0o700)
        return self.online_agent(state_dir=state, work_dir=work, **options)

    def ended(self, agent):
        """Waits until all of it is gone, so that the next one may start."""
        agent.wait()
        self.assertEqual(agent.children_left(), [])
        if conversation := self.tower.agent:
            conversation.drop()  # a Tower that does not read does not notice


class Restart(Kept):
    def kill_core(self, agent):
        os.kill(agent.process("tw-agent-core").pid, signal.SIGKILL)
        self.ended(agent)

    @modes()
    def test_crash(self):
        agent = self.agent(args=("--max-commands", "1", "--heartbeat", "120s"))
        conversation = self.tower.agent
        small = f"echo small >> ran; head -c 500 /dev/zero; exit 3"
        large = f"echo large >> ran; head -c {LARGE} /dev/zero; exit 4"
        hold = gate(self, agent)
        running = f"echo running >> ran; {hold.text}"
        conversation.go_silent()
        texts = {"small": small, "large": large, "running": running, "queued": "echo queued >> ran"}
        for id, text in texts.items():
            conversation.send_command(text, id=id)
        hold.reached()
        wait_status(agent, lambda status: status["commands"]["queued"] == 1)
        self.kill_core(agent)
        self.assertEqual(self.tower.results("small"), [])
        agent = self.agent(args=("--heartbeat", "1s"))
        agent.wait_log("1 commands whose outcome is unknown and 1 that were not run")

        def check(count):
            answers = {id: self.tower.wait_result(id, TIMEOUT, count=count) for id in texts}
            self.assertEqual([(len(answers[id].output), answers[id].exit_status)
                              for id in ("small", "large")], [(500, 3), (LARGE, 4)])
            self.assertEqual([answers[id].exit_status for id in ("running", "queued")], [75, 75])
            self.assertRegex(answers["running"].output, b"outcome unknown: the agent was stopped "
                                                        b"while it ran")
            self.assertRegex(answers["queued"].output, b"was not run: the agent was stopped")

        check(1)  # unasked
        wait_status(agent, lambda status: status["commands"]["delivered"] == 4)
        for id, text in texts.items():
            self.tower.send_command(text, id=id)
        check(2)
        wait_status(agent, lambda status: status["commands"]["delivered"] == 8)
        # And once more, from what was already delivered before a crash.
        self.kill_core(agent)
        agent = self.agent(args=("--heartbeat", "1s"))
        for id, text in texts.items():
            self.tower.send_command(text, id=id)
        check(3)
        self.tower.send_command("echo other >> ran", id="small")
        agent.wait_log("repeats an id with another text: refused")
        self.tower.run("true")
        self.assertEqual(commands_file(agent, "ran"), "small\nlarge\nrunning\n")

    @modes()
    def test_stop_without_a_connection(self):
        """Nobody can take the results: the agent does not wait, the next start delivers them."""
        agent = self.agent(args=("--heartbeat", "120s"))
        hold = gate(self, agent)
        self.tower.send_command(f"echo x >> ran; {hold.text}; head -c {LARGE} /dev/zero", id="a")
        hold.reached()
        self.tower.stop_listening()
        self.tower.agent.drop("rst")
        agent.wait_log("trying again")
        agent.terminate()
        agent.wait_log("stopping: no more commands")
        hold.open()
        agent.wait_log("1 results are not proven to have arrived; they are kept for the next start")
        self.assertEqual(agent.wait(), 0)
        self.ended(agent)
        self.tower.start_listening()
        agent = self.agent(args=("--heartbeat", "1s"))
        self.assertEqual(len(self.tower.wait_result("a", TIMEOUT).output), LARGE)
        wait_status(agent, lambda status: status["commands"]["delivered"] == 1)
        self.assertEqual(commands_file(agent, "ran"), "x\n")

    def test_large_delivered_result_from_disk(self):
        agent = self.agent(args=("--heartbeat", "1s"))
        first = self.tower.run(f"head -c {20 * LARGE} /dev/urandom", id="a")
        status = wait_status(agent, lambda status: status["commands"]["delivered"] == 1)
        self.assertEqual((status["results"]["diskBytes"], status["results"]["memoryBytes"]),
                         (20 * LARGE, 0))
        self.assertEqual(self.tower.run(f"head -c {20 * LARGE} /dev/urandom", id="a").output,
                         first.output)

    def test_core_that_outlives_its_parent(self):
        """It still has the results: a second agent beside it is refused."""
        agent = self.agent()
        core = agent.process("tw-agent-core")
        os.kill(core.pid, signal.SIGSTOP)
        agent.popen.kill()
        agent.popen.wait()
        second = self.start_agent(state_dir=agent.state_dir, work_dir=agent.work_dir)
        self.assertEqual(second.wait(), 8)
        os.kill(core.pid, signal.SIGCONT)
        self.ended(agent)
        self.agent()

    def test_other_server(self):
        """Results for one server never go to another."""
        agent = self.agent(args=("--heartbeat", "120s"))
        self.tower.agent.go_silent()
        self.tower.send_command("echo secret", id="a")
        wait_status(agent, lambda status: status["commands"]["undelivered"] == 1)
        self.kill_core(agent)
        other = Tower(harness.shared_pki(), token=harness.TOKEN).start()
        self.addCleanup(other.stop)
        self.tower, first = other, self.tower
        agent = self.agent(args=("--heartbeat", "1s"))
        agent.wait_log("not a journal of this agent and server: kept as results/journal.aside")
        mark = self.tower.mark()
        self.tower.wait_event("ws-message", TIMEOUT, after=mark, type="heartbeat")
        self.assertEqual((self.tower.results("a"), first.results("a")), ([], []))


class Files(Kept):
    @modes()
    def test_files_that_are_no_results(self):
        agent = self.agent()
        folder = results_directory(agent.state_dir)
        agent.terminate()
        self.assertEqual(agent.wait(), 0)
        self.ended(agent)
        write_file(folder, "journal", b"\0" * 100)
        write_file(folder, "0000000000000001.out", b"torn")
        write_file(folder, "notes", b"mine")
        agent = self.agent()
        for name in ("journal", "0000000000000001.out", "notes"):
            agent.wait_log(f"results/{name} .*kept as results/{name}.aside")
        self.assertEqual(self.tower.run("echo on").output, b"on\n")
        self.assertEqual(sorted(os.listdir(folder)),
                         sorted(["journal", "journal.aside", "notes.aside",
                                 "0000000000000001.out.aside"]))

    def test_only_the_agent_reads_them(self):
        agent = self.agent()
        self.tower.run(f"head -c {LARGE} /dev/zero")
        folder = results_directory(agent.state_dir)
        paths = [folder, *(os.path.join(folder, name) for name in os.listdir(folder))]
        self.assertEqual(len(paths), 3)
        self.assertEqual({os.stat(path).st_mode & 0o077 for path in paths}, {0})

    def test_no_texts_on_disk(self):
        agent = self.agent()
        self.tower.run("true sec''ret-text")
        agent.terminate()
        agent.wait()
        for folder, _, names in os.walk(agent.state_dir):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertNotIn(b"ret-text", file.read(), name)


class FullDisk(Kept):
    def small_disk(self, size):
        """The state directory on a file system of its own; None without root."""
        if not AS_ROOT:
            self.skipTest("mounting a small file system needs root")
        state = os.path.join(self.place, "state")
        os.mkdir(state)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tw-test", state],
                       check=True)
        self.addCleanup(subprocess.run, ["umount", state], check=True)
        return state

    @modes()
    def test_full_and_free_again(self):
        state = self.small_disk("600k")
        agent = self.agent(args=("--heartbeat", "120s"))
        conversation = self.tower.agent
        conversation.go_silent()
        mark = agent.log_mark()
        ids = [conversation.send_command(f"echo {i} >> ran; head -c {LARGE} /dev/zero")
               for i in range(5)]
        agent.wait_log("a result cannot be written to disk: No space left on device; results are "
                       "kept in memory", after=mark)
        status = wait_status(agent, lambda status: status["commands"]["undelivered"] == 5)
        self.assertGreater(status["results"]["memoryBytes"], 2 * LARGE)
        self.assertEqual(agent.log.count("cannot be written to disk"), 1, "one warning")
        subprocess.run(["mount", "-o", "remount,size=20m", state], check=True)
        agent.wait_log("results are kept on disk again")
        os.kill(agent.process("tw-agent-core").pid, signal.SIGKILL)
        self.ended(agent)
        agent = self.agent(args=("--heartbeat", "1s"))
        for id in ids:
            self.assertEqual(len(self.tower.wait_result(id, TIMEOUT).output), LARGE)
        self.assertEqual(sorted(commands_file(agent, "ran").split()), list("01234"))
        agent.terminate()
        self.assertEqual(agent.wait(), 0)
        self.ended(agent)

    @modes()
    def test_full_from_the_start(self):
        state = self.small_disk("64k")
        agent = self.agent(args=("--heartbeat", "1s"))
        with contextlib.suppress(OSError), \
                open(os.path.join(state, "filler"), "wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        for i in range(200):
            self.assertEqual(self.tower.run(f"echo {i}").output, b"%d\n" % i)
        agent.wait_log("the journal of results cannot be written")
        agent.terminate()
        self.assertEqual(agent.wait(), 0)
        self.ended(agent)


if __name__ == "__main__":
    harness.main()
