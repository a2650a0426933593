#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tw-agentctl credentials: each action against a Tower with a real agent, and what it refuses."""

import json
import re
import signal
import threading
import time

from control import ControlCase
from harness import TIMEOUT, TOKEN, main, modes, own_user
from tower import Reply, error

WORKSPACE = 7101  # acme/genomics, one that the simulator knows
STANDARD = "$TW_AGENT_WORK"


class CredentialsCase(ControlCase):
    def setUp(self):
        super().setUp()
        self.tower.rest.online = lambda connection_id: connection_id == "lab"

    def credentials(self, action, *arguments, **options):
        return self.run_ctl("credentials", action, *arguments, **options)

    def refuse(self, code, regex, action, *arguments, **options):
        return self.expect(code, regex, "credentials", action, *arguments, **options)

    def do(self, action, *arguments, **options):
        return self.well("credentials", action, *arguments, **options)

    def stored(self, workspace=None):
        return [(item["name"], item["keys"]["connectionId"], item["keys"].get("workDir"),
                 item["keys"].get("shared")) for item in self.tower.rest.credentials(workspace)]


class Agents(CredentialsCase):
    """With an agent that is really there, or not yet."""

    def setUp(self):
        super().setUp()
        self.tower.rest.online = self.tower.is_online

    @modes("system", "user")
    def test_an_agent_is_added(self):
        self.online_agent(token_by="file")
        done = self.do("add", "--name", "lab-hpc", "--connection-id", "lab")
        self.assertRegex(done.out, r"added credential 'lab-hpc' \(\w+\) to the personal workspace")
        self.assertEqual(self.stored(), [("lab-hpc", "lab", STANDARD, False)])
        self.assertTrue(self.tower.agent.online)  # nobody took its place

    @modes("system", "user")
    def test_an_agent_that_comes_later_is_waited_for(self):
        waiting = self.start_ctl("credentials", "add", "--name", "lab-hpc", "--workspace",
                                 "acme/genomics", "--connection-id", "lab", "--wait", "60s")
        self.tower.wait_for(lambda event: event.kind == "http-reply" and event.status == 400,
                            TIMEOUT)
        self.assertIsNone(waiting.poll())
        self.online_agent(token_by="file")
        out, err = waiting.communicate(timeout=TIMEOUT)
        done = self.judge(waiting.returncode, out, err)
        self.assertEqual(done.code, 0, done)
        self.assertRegex(done.err, "The agent is not online.*\n.*waiting for it, 60 s at most\n$")
        self.assertEqual(self.stored(WORKSPACE), [("lab-hpc", "lab", STANDARD, False)])

    def test_waiting_outlasts_a_loss_of_the_network(self):
        waiting = self.start_ctl("credentials", "add", "--name", "lab-hpc", "--connection-id", "lab",
                                 "--wait", "60s")
        refused = self.tower.wait_for(lambda event: event.kind == "http-reply"
                                      and event.status == 400, TIMEOUT)
        self.tower.stop_listening()
        self.tower.rest.online = lambda connection_id: True
        time.sleep(max(0, refused.t + 1 - time.monotonic()))  # the attempt after half a second
        self.assertIsNone(waiting.poll())
        self.tower.start_listening()
        done = self.judge(waiting.wait(TIMEOUT), *waiting.communicate())
        self.assertEqual((done.code, len(self.stored())), (0, 1))

    def test_waiting_heeds_retry_after(self):
        self.tower.rest.online = lambda connection_id: True
        self.tower.on("other", Reply(204), 1)
        self.tower.on("other", error(429, "slow down", headers=[("Retry-After", "2")]), 1)
        done = self.credentials("add", "--name", "lab-hpc", "--connection-id", "lab", "--wait")
        self.assertEqual(done.code, 0, done)
        posts = [event.t for event in self.tower.requests() if event.method == "POST"]
        self.assertGreaterEqual(posts[1] - posts[0], 1.9)

    def test_waiting_is_not_for_what_stays(self):
        for answer, code in ((error(403, ""), 4), (error(400, "bad"), 1), (error(409, "taken"), 7)):
            self.tower.on("other", Reply(204), 1)
            self.tower.on("other", answer, 1)
            self.refuse(code, "Tower answered", "add", "--name", "lab-hpc", "--connection-id", "lab",
                        "--wait")

    def test_waiting_ends(self):
        done = self.refuse(8, "The agent is not online - You need to run the agent", "add",
                           "--name", "lab-hpc", "--connection-id", "lab", "--wait=7s")
        self.assertNotIn("or let --wait", done.err)
        posts = [event.t for event in self.tower.requests() if event.method == "POST"]
        # After 0, 0.5, 1.5, 3.5 s, or later where answers are slow, and a last time at the end.
        self.assertIn(len(posts), (3, 4, 5), posts)
        for before, after, least in zip(posts, posts[1:-1], (0.5, 1, 2)):
            self.assertGreater(after - before, least - 0.01, posts)
        self.assertGreater(posts[-1] - posts[0], 4)

    @modes("system", "user")
    def test_without_waiting_the_start_is_named(self):
        under = self.instance("site", url=self.tower.url, ca_file=self.tower.ca,
                              connection_id="it's", token_file=self.token_file)
        done = self.refuse(8, "The agent is not online - You need to run the agent before",
                           "add", "--name", "lab-hpc", "--for", "site", under=under, bare=True)
        unit = ("systemctl enable" if self.mode == "system" else "systemctl --user enable")
        self.assertRegex(done.err, f"start it: {unit} --now tw-agent@site .*tw-agent --config /")
        self.assertIn("or let --wait wait for it", done.err)
        done = self.refuse(8, "not online", "add", "--name", "lab-hpc", "--connection-id", "it's")
        self.assertIn(f"tw-agent --token-file FILE --url {self.tower.url} 'it'\\''s'\n", done.err)
        self.assertEqual(self.stored(), [])


class Add(CredentialsCase):
    def test_what_is_sent(self):
        done = self.do("add", "--name", "lab-hpc", "--connection-id", "lab", "--workspace",
                       "acme/genomics", "--work-dir", "/scratch/lab", "--shared", "--yes", "--json")
        post = self.tower.requests()[-1]
        self.assertEqual((post.method, post.path), ("POST", "/api/credentials?workspaceId=7101"))
        self.assertEqual(json.loads(post.body), {"credentials": {
            "name": "lab-hpc", "provider": "tw-agent",
            "keys": {"connectionId": "lab", "workDir": "/scratch/lab", "shared": True}}})
        [kept] = self.tower.rest.credentials(WORKSPACE)
        self.assertEqual(done.json, {
            "ok": True, "done": "add", "workspaceId": WORKSPACE, "credentialsId": kept["id"],
            "name": "lab-hpc", "keys": json.loads(post.body)["credentials"]["keys"]})
        self.assertEqual(self.requests()[:3], [
            ("GET", "/user-info"), ("GET", "/user/1/workspaces"),
            ("GET", "/credentials/validate?name=lab-hpc&workspaceId=7101")])

    def test_names(self):
        for name in ("a", "", "a" * 100, "has space", "dot.ted", "umläut", "a/b", "a&b=c", "é1"):
            self.refuse(2, "--name: a name is 2 to 99 letters, digits, dashes and underscores",
                        "add", "--name=" + name, "--connection-id", "lab")
        self.assertEqual(self.requests(), [])
        for name in ("ab", "a" * 99, "A-b_9", "--"):
            self.do("add", "--name=" + name, "--connection-id", "lab")

    def test_usage(self):
        well = ("--name", "lab-hpc", "--connection-id", "lab")
        for regex, arguments in (
                ("give the credential a name", ("--connection-id", "lab")),
                ("connection ID by --connection-id, or its instance by --for", ("--name", "ab")),
                ("--name needs a value", ("--connection-id", "lab", "--name")),
                ("--name is given twice", (*well, "--name=other")),
                ("--shared takes no value", (*well, "--shared=yes")),
                ("--wait: not a duration", (*well, "--wait=soon")),
                ("--work-dir is not a text", (*well, "--work-dir=")),
                ("--work-dir is not a text", (*well, "--work-dir=a\nb")),
                ("AGENT_CONNECTION_ID is not a text", ("--name=ab", "--connection-id=a\x1bb")),
                ("unknown option --frob", (*well, "--frob")),
                ("has no option --heartbeat", (*well, "--heartbeat=10s")),
                ("takes options alone", (*well, "lab")),
                ("--for: the name of an instance has", ("--name=ab", "--for=../lab")),
                ("--timeout is not a duration", (*well, "--timeout=1ms")),
                ("http is refused, since the token", (*well, "--url=http://localhost"))):
            done = self.refuse(2, regex, "add", *arguments, bare="--url" in arguments[-1])
            self.assertEqual(done.out, "")
        self.refuse(3, "no instance 'nobody': no file .*nobody.conf", "add", "--name=ab",
                    "--for=nobody")
        self.assertEqual(self.requests(), [])

    def test_sharing_needs_agreement(self):
        self.refuse(2, "--shared has to be agreed to: .* --yes", "add", "--name", "lab-hpc",
                    "--connection-id", "lab", "--shared")
        self.assertEqual(self.requests(), [])

    @modes("system", "user")
    def test_an_instance_gives_all(self):
        keys = {"url": self.tower.url, "ca_file": self.tower.ca, "connection_id": "lab",
                "token_file": self.token_file}
        if self.mode == "system":
            keys["run_as"] = own_user()
        under = self.instance("site", **keys)
        self.do("add", "--name", "lab-hpc", "--for", "site", under=under, bare=True)
        self.assertEqual(self.stored(), [("lab-hpc", "lab", STANDARD, False)])
        self.do("delete", "--name", "lab-hpc", "--for", "site", "--yes", under=under, bare=True)

    @modes("system", "user")
    def test_the_tower_of_the_file(self):
        """An instance's token goes to the Tower of its file, whatever this shell's variable says."""
        under = self.instance("site", url=self.tower.url, ca_file=self.tower.ca,
                              token_file=self.token_file)
        variables = {"TOWER_API_ENDPOINT": "https://elsewhere.invalid/api"}
        self.do("list", "--for", "site", under=under, bare=True, env=variables)
        self.refuse(5, "could not resolve other.invalid", "list", "--for", "site", "--url",
                    "https://other.invalid/api", under=under, bare=True, env=variables)

    @modes("system", "user")
    def test_the_token_beside_the_file(self):
        under = self.instance("site", url=self.tower.url, ca_file=self.tower.ca)
        place = "etc" if self.mode == "system" else "config/tw-agent"
        self.refuse(3, "no access token", "list", "--for", "site", under=under, bare=True)
        self.write(f"{place}/site.token", TOKEN, 0o600)
        self.do("list", "--for", "site", under=under, bare=True)


class Errors(CredentialsCase):
    """What Tower refuses: its own words, and a code for each."""

    add = ("add", "--name", "lab-hpc", "--connection-id", "lab")

    def judge_json(self, code, words, *arguments):
        done = self.credentials(*arguments, "--json")
        self.assertEqual((done.code, done.json["ok"], done.json["code"]), (code, False, code), done)
        self.assertRegex(done.json["message"], words)

    def each(self, code, words, *arguments):
        self.refuse(code, words, *arguments)
        self.judge_json(code, words, *arguments)

    def test_duplicate(self):
        self.tower.rest.add("lab-hpc", connectionId="lab")
        self.each(7, "409: A credentials with name 'lab-hpc' already exists", *self.add)
        self.assertNotIn("POST", {method for method, _ in self.requests()})
        self.do("add", "--name", "lab-hpc", "--connection-id", "lab", "--workspace", "7102")

    def test_token_refused(self):
        self.tower.token = "another-token"
        self.each(4, "Tower answered 401: Unauthorized", *self.add)
        self.each(4, "Tower answered 401", "list", "--workspace", "acme/genomics")

    def test_forbidden(self):
        self.tower.rest.forbidden.add(WORKSPACE)
        self.each(4, "Tower answered 403: this token may not do that", "list", "--workspace", "7101")

    def test_unknown_workspace(self):
        for name in ("acme/nothing", "genomics", "7999", "acme/", "/genomics", "ACME/genomics"):
            done = self.refuse(6, f"has no workspace '{name}'", *self.add, "--workspace", name)
            for known in ("acme/genomics, number 7101", "lab/genomics, number 7201"):
                self.assertIn("known: " + known, done.err)
        self.tower.rest.workspaces = []
        self.each(6, "no workspace 'acme/genomics'", *self.add, "--workspace", "acme/genomics")
        self.assertEqual(self.stored(), [])

    def test_unknown_credential(self):
        for action in (("show",), ("update", "--no-shared"), ("delete", "--yes")):
            self.each(6, "the personal workspace has no credential 'other'", *action, "--name=other")
            self.each(6, "404: Unknown credentials with ID 'xyz'", *action, "--id=xyz")

    def test_jobs_run(self):
        id = self.tower.rest.add("lab-hpc", connectionId="lab")
        self.tower.rest.in_use.add(id)
        done = self.refuse(7, "409: .*in use", "delete", "--name", "lab-hpc", "--yes")
        self.assertIn("jobs still use it", done.err)
        self.assertEqual(len(self.stored()), 1)

    def test_other_providers_are_left_alone(self):
        self.tower.rest.add("bucket", provider="aws", accessKey="AKIA")
        for action in (("show",), ("update", "--no-shared"), ("delete", "--yes")):
            self.refuse(1, "of provider 'aws': left alone", *action, "--name", "bucket")
        self.assertEqual({method for method, _ in self.requests()}, {"GET"})
        self.assertNotIn("bucket", self.do("list").out)

    def test_bad_request_and_server_errors(self):
        for status, words in ((400, "no such thing"), (500, "Oops"), (429, "slow down")):
            self.tower.on("other", error(status, words))
            self.each(1, f"Tower answered {status}: {words}", "list")
        self.tower.on("other", Reply(502, b"<html>bad gateway</html>"))
        self.each(1, "502: Tower is not available at the moment", "list")

    def test_no_network(self):
        self.tower.stop_listening()
        self.each(5, "could not connect to localhost port .*: Connection refused", *self.add)
        self.refuse(5, "could not resolve nowhere.invalid", "list", url="https://nowhere.invalid")

    def test_lost_answers_are_not_asked_for_again(self):
        self.tower.on("other", Reply(204), 1)
        self.tower.on("other", Reply(200, body=b"{", headers=[("Content-Length", "99")], then="fin"))
        self.refuse(1, "whether Tower did it is not known: look at it by credentials list",
                    *self.add, "--wait=5s")
        self.assertEqual([method for method, _ in self.requests()], ["GET", "POST"])


class Change(CredentialsCase):
    def setUp(self):
        super().setUp()
        self.id = self.tower.rest.add("lab-hpc", WORKSPACE, connectionId="lab", workDir=STANDARD,
                                      shared=False, futureKey={"kept": [1, 2]})
        self.which = ("--name", "lab-hpc", "--workspace", "acme/genomics")

    def kept(self):
        [item] = self.tower.rest.credentials(WORKSPACE)
        return item["keys"]

    def test_list_and_show(self):
        self.tower.rest.add("other", WORKSPACE, connectionId="lab2", shared=True)
        lines = self.do("list", "--workspace", "7101").out.splitlines()
        self.assertEqual([line.split() for line in lines[1:]], [
            ["lab-hpc", self.id, "lab", "no", STANDARD],
            ["other", self.tower.rest.credentials(WORKSPACE)[1]["id"], "lab2", "yes"]])
        self.assertIn("no credential of a Tower Agent", self.do("list").out)
        for which in (self.which, ("--id", self.id, "--workspace", "7101")):
            shown = self.do("show", *which).out
            self.assertRegex(shown, rf"(?s)lab-hpc\nID +{self.id}\nin +workspace acme/genomics\n"
                             r"connection ID +lab\nshared +no\nwork directory +\$TW_AGENT_WORK\n")
        self.assertEqual(self.do("show", *self.which, "--json").json["credentials"]["id"], self.id)
        self.assertEqual(len(self.do("list", "--workspace", "7101", "--json").json["credentials"]),
                         2)

    def test_sharing_on_and_off(self):
        before = dict(self.tower.rest.credentials(WORKSPACE)[0])
        self.refuse(2, "--shared has to be agreed to", "update", *self.which, "--shared")
        self.do("update", *self.which, "--shared", "--yes")
        self.assertIs(self.kept()["shared"], True)
        put = json.loads(self.tower.requests()[-1].body)["credentials"]
        # The whole object, with what nobody here knows of.
        self.assertEqual(put, {**before, "keys": {**before["keys"], "shared": True}})
        self.do("update", *self.which, "--no-shared", "--work-dir", "/scratch")
        self.assertEqual((self.kept()["shared"], self.kept()["workDir"]), (False, "/scratch"))
        self.assertIn("nothing to change", self.do("update", *self.which, "--no-shared").out)
        self.assertEqual([method for method, _ in self.requests()].count("PUT"), 2)

    def test_what_tower_does_not_say(self):
        """Is no reason to call it unshared, or like that already."""
        [item] = self.tower.rest.credentials(WORKSPACE)
        for keys in (None, [], "x", 5):
            item["keys"] = keys
            for change in (("--shared", "--yes"), ("--no-shared",), ("--work-dir=/x",)):
                self.refuse(1, "nothing was changed", "update", *self.which, *change)
            self.assertRegex(self.do("show", *self.which).out, "(?m)^shared +unknown$")
        self.assertNotIn("PUT", {method for method, _ in self.requests()})
        item["keys"] = {"connectionId": "lab", "shared": "true"}
        self.assertRegex(self.do("show", *self.which).out, "(?m)^shared +unknown$")
        item["keys"] = {"connectionId": "lab"}
        self.assertRegex(self.do("show", *self.which).out, "(?m)^shared +no$")

    def test_update_usage(self):
        self.refuse(2, "say what is to change", "update", *self.which)
        self.refuse(2, "one of --shared and --no-shared", "update", *self.which, "--shared",
                    "--no-shared")
        self.refuse(2, "one of --name and --id", "update", "--shared")
        self.refuse(2, "one of --name and --id", "show", "--name=ab", "--id=x")
        self.refuse(2, "--id: not the ID", "show", "--id=../user")
        self.assertEqual(self.requests(), [])

    def test_the_agent_has_to_be_online(self):
        self.tower.rest.online = lambda connection_id: False
        self.refuse(8, "The agent is not online", "update", *self.which, "--work-dir=/x")

    def test_validate(self):
        self.assertIn("'new' is free", self.do("validate", "--name=new").out)
        self.refuse(7, "already exists", "validate", *self.which)
        which = ("--id", self.id, "--workspace", "7101")
        self.assertIn("of the agent 'lab'", self.do("validate", *which).out)
        self.do("validate", *which, "--connection-id", "lab")
        self.refuse(1, "is for the connection ID 'lab', not for 'lab2'", "validate", *which,
                    "--connection-id", "lab2")

    def test_delete(self):
        self.refuse(2, "deleting has to be agreed to", "delete", *self.which)
        self.assertEqual(self.requests(), [])
        done = self.do("delete", *self.which, "--yes", "--json")
        self.assertEqual(done.json, {"ok": True, "done": "delete", "workspaceId": WORKSPACE,
                                     "credentialsId": self.id, "name": "lab-hpc"})
        self.assertEqual(self.stored(WORKSPACE), [])


class Prompts(CredentialsCase):
    """On a terminal."""

    share = ("credentials", "add", "--name", "lab-hpc", "--workspace", "acme/genomics", "--shared")

    @modes("system", "user")
    def test_sharing_says_what_it_grants(self):
        run_as = own_user()
        keys = {"run_as": run_as} if self.mode == "system" else {}
        under = self.instance("site", connection_id="lab", **keys)
        command = [*under, *self.command(*self.share, "--for", "site")]
        for answer, code, stored in (("n", 1, 0), ("", 1, 0), ("yes", 0, 1)):
            terminal = self.on_terminal_of(command)
            terminal.read_until(r"Share it\? \[y/N\] ")
            # As a plain user, an instance is that user's own.
            words = f"the Unix user '{run_as}'"
            self.assertRegex(terminal.shown, r"every member of workspace acme/genomics who may "
                             rf"launch there, now and later, will be able to run commands as\r\n{words}")
            self.assertIn("through the agent 'lab'", terminal.shown)
            self.assertEqual(len(self.stored(WORKSPACE)), 0)
            terminal.type(answer + "\n")
            self.assertEqual(terminal.wait(), code, terminal.shown)
            self.assertEqual(len(self.stored(WORKSPACE)), stored)

    def test_what_was_typed_before_is_no_answer(self):
        self.tower.rest.add("lab-hpc", connectionId="lab")
        asked = threading.Event()
        self.addCleanup(asked.set)
        # It waits, and then gives the Tower's own answer.
        self.tower.on("other", lambda _: asked.wait(TIMEOUT) and None, 1)
        terminal = self.on_terminal("credentials", "delete", "--name", "lab-hpc")
        self.tower.wait_event("http-request")
        terminal.type("yes\nyes\n")
        terminal.read_until("yes\r\nyes\r\n")  # the terminal has it
        asked.set()
        terminal.read_until(r"Delete it\? \[y/N\] ")
        terminal.type("n\n")
        self.assertEqual(terminal.wait(), 1, terminal.shown)
        self.assertEqual(len(self.stored()), 1)

    def test_deleting_asks(self):
        self.tower.rest.add("lab-hpc", connectionId="lab")
        for answer, left in (("n", 1), ("y", 0)):
            terminal = self.on_terminal("credentials", "delete", "--name", "lab-hpc")
            terminal.read_until(r"Credential 'lab-hpc' \(\w+\) of the personal workspace.*\r\n"
                                r"Delete it\? \[y/N\] ")
            terminal.type(answer + "\n")
            self.assertEqual(terminal.wait(), 0 if left == 0 else 1)
            self.assertEqual(len(self.stored()), left)

    @modes("system", "user")
    def test_the_token_is_asked_for_without_echo(self):
        terminal = self.asking()
        terminal.type(TOKEN + "\n")
        self.assertEqual(terminal.wait(), 0, terminal.shown)
        self.assertIn("no credential of a Tower Agent", terminal.shown)
        self.assertNotIn(TOKEN[:6], terminal.shown)
        self.assertTrue(terminal.echoes)
        self.assertEqual(self.tower.requests()[-1].token, TOKEN)

    def test_no_token_is_typed(self):
        for typed, words in (("", "it is empty"), ("has blank", "it holds a blank"),
                             ("x" * 4095, "a terminal cuts lines"), ("\x04", "gave nothing")):
            terminal = self.asking()
            terminal.type(typed + "\n" * (typed != "\x04"))
            self.assertEqual(terminal.wait(), 3, terminal.shown)
            self.assertIn(words, terminal.shown)
            self.assertNotIn("xxx", terminal.shown)
        self.assertEqual(self.requests(), [])

    def test_signals_restore_the_terminal(self):
        for number, send in ((signal.SIGINT, lambda t: t.type("secr\x03")),
                             (signal.SIGTERM, lambda t: t.popen.terminate()),
                             (signal.SIGHUP, lambda t: t.popen.send_signal(signal.SIGHUP)),
                             (signal.SIGQUIT, lambda t: t.type("secr\x1c"))):
            terminal = self.asking()
            send(terminal)
            self.assertEqual(terminal.wait(), -number, terminal.shown)
            self.assertTrue(terminal.echoes)
            self.assertNotIn("secr", terminal.shown)

    def test_stopped_and_continued(self):
        # A shell with job control: without one, nobody could continue what was stopped.
        script = '"$@"; echo was stopped; read go; fg'
        terminal = self.asking("bash", "-mc", script, "bash")
        terminal.type("\x1a")
        terminal.read_until("was stopped")
        self.assertTrue(terminal.echoes)
        terminal.shown = ""
        terminal.type("go\n")
        terminal.read_until("Access token")
        self.assertFalse(terminal.echoes)
        terminal.type(TOKEN + "\n")
        self.assertEqual(terminal.wait(), 0, terminal.shown)
        self.assertNotIn(TOKEN[:6], terminal.shown)

    def test_without_a_terminal(self):
        self.refuse(3, "no access token: give --token-file FILE", "list", "--url", self.tower.url,
                    "--ca-file", self.tower.ca, bare=True)

    def asking(self, *under):
        terminal = self.on_terminal_of([*under, *self.command(
            "credentials", "list", "--url", self.tower.url, "--ca-file", self.tower.ca,
            bare=True)])
        terminal.read_until(r"Access token \(not shown\): ")
        self.assertFalse(terminal.echoes)
        return terminal


class Help(ControlCase):
    def test_output_that_cannot_be_written(self):
        self.expect(1, "standard output cannot be written", "usage", "lab", bare=True,
                    under=("/bin/sh", "-c", 'exec "$@" > /dev/full', "sh"))

    def test_pages(self):
        whole = self.well("credentials", "--help", bare=True).out
        for action in ("add", "list", "show", "validate", "update", "delete"):
            self.assertRegex(whole, rf"(?m)^  {action} ")
            page = self.well("credentials", action, "--help", bare=True).out
            self.assertRegex(page, rf"^Usage: tw-agentctl credentials {action} ")
            for option in ("--workspace", "--json", "--ca-file", "--token-file"):
                self.assertIn(option, page)
        codes = dict(re.findall(r"(?m)^  (\d)  (.*)$", self.well("--help", bare=True).out))
        self.assertEqual(sorted(codes), [str(code) for code in range(9)])
        self.assertIn("not online", codes["8"])

    def test_no_action(self):
        self.expect(2, "needs one of its actions", "credentials", bare=True)
        done = self.expect(2, "needs one of its actions", "credentials", TOKEN, bare=True)
        self.assertNotIn(TOKEN, done.err)


main()
