#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What members' commands are made of, run as commands of the whole agent under its full sandbox: each
script has to succeed outside it, as the same user, and then inside. And what is denied on purpose
fails with a message that says so. (The clients of schedulers: tests/schedulers.)"""

import os
import secrets
import shutil
import socket
import subprocess
import unittest

import common  # noqa: F401  (finds the harness)
import harness
from common import TIMEOUT, UsersCase
from harness import give, identity_of, modes, own_user

_JAVA = """
import java.io.*; import java.util.concurrent.*;
pool = Executors.newFixedThreadPool(4);
task = new Callable() { call() { p = new ProcessBuilder(new String[]{"sh", "-c", "echo from a child"}).start();
    line = new BufferedReader(new InputStreamReader(p.getInputStream())).readLine(); p.waitFor(); return line; } };
lines = new ArrayList();
for (i = 0; i < 8; i++) lines.add(pool.submit(task));
for (f : lines) if (!f.get().equals("from a child")) System.exit(3);
pool.shutdown(); System.out.println("8 children");
"""
_MULTIPROCESSING = """
import multiprocessing as m, os
def square(n): return n * n
if __name__ == "__main__":
    for way in ("fork", "spawn", "forkserver"):
        with m.get_context(way).Pool(4) as pool:
            assert sum(pool.map(square, range(100))) == 328350, way
    print("pools", m.Manager().list([1, 2]))
"""
# name: (programs that it needs, script for sh -eu in a directory of its own, a word it prints)
TOOLS = {
    "git": (["git"], """
        export HOME=$PWD; git init -q r; cd r; git config user.name a; git config user.email a@b
        echo x > a; git add a; git commit -qm x; git clone -q --no-local . ../s; cd ../s; git log --format=%s
        git repack -adq; git fsck --strict""", "x"),
    "ssh": (["ssh", "ssh-keygen"], """
        ssh -V 2>&1; ssh-keygen -q -t ed25519 -N '' -f k; ssh-keygen -lf k.pub; eval $(ssh-agent) >/dev/null
        ssh-add -q k; ssh-add -l; kill $SSH_AGENT_PID""", "ED25519"),
    "java": (["java"], "java -Xmx128m -version 2>&1", "penJDK"),
    "java threads and children": (["java", "bsh"], """
        cat > t.bsh <<'END'@JAVA@END
        java -Xmx128m -cp /usr/share/java/bsh.jar bsh.Interpreter t.bsh""", "8 children"),
    "python": (["python3"], """
        cat > t.py <<'END'@MULTIPROCESSING@END
        /usr/bin/python3 t.py""", "pools [1, 2]"),
    "tmux": (["tmux"], """
        tmux -S $PWD/s new-session -d "echo in tmux > out"
        until test -s out; do sleep 0.01; done; cat out""", "in tmux"),
    "screen": (["screen"], """
        mkdir -m 700 d; export SCREENDIR=$PWD/d; screen -dmS one sh -c 'echo in screen > out'
        until test -s out; do sleep 0.01; done; cat out""", "in screen"),
    "make": (["make"], """
        printf 'all: a b c d e f g h\\na b c d e f g h:\\n\\t@sleep 0.02; echo $@ > $@\\n' > Makefile
        make -j8 -s; make -j8 -q; cat a b c d e f g h | wc -l""", "8"),
    "rsync": (["rsync"], """
        mkdir -p a/b; seq 1000 > a/b/c; ln a/b/c a/b/d; rsync -aHAX a/ b/; rsync -aHAXn --itemize-changes a/ b/ > n
        test ! -s n; cmp a/b/c b/b/d; echo same""", "same"),
    "tar with attributes": (["tar", "setfattr"], """
        mkdir d; echo x > d/a; setfattr -n user.k -v v d/a; tar --xattrs -cpf t.tar d; rm -r d
        tar --xattrs -xpf t.tar; getfattr --only-values -n user.k d/a""", "v"),
    "sqlite3": (["sqlite3"], """
        sqlite3 db 'pragma journal_mode=wal; create table t(x); insert into t values (41); update t set x = x + 1'
        sqlite3 db 'select x from t'""", "42"),
    "perl": (["perl"], """
        perl -MPOSIX -MSocket -MFcntl=:flock -e 'socketpair(A,B,AF_UNIX,SOCK_STREAM,0); if (!fork) { syswrite A, "hello"; exit }
        wait; sysread B,$x,5; open(L,">l"); flock(L,LOCK_EX); print "$x\\n"'""", "hello"),
    "curl": (["curl"], """
        /usr/bin/python3 -c 'import http.server, threading, subprocess
        s = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=s.serve_forever, daemon=True).start()
        open("a", "w").write("over http")
        subprocess.run(["curl", "-sS", f"http://127.0.0.1:{s.server_port}/a"], check=True)' 2>/dev/null""", "over http"),
}
# name: (programs, script, what it has to say, or None for an exit code other than 0)
REFUSED = {
    "sudo": (["sudo"], "sudo -n true", "no new privileges"),
    "su": (["su"], "echo | su -c true", ""),
    "ping": (["ping"], "ping -c 1 -W 1 127.0.0.1", "not permitted"),
    "unshare": (["unshare"], "unshare -Ur true", "not permitted"),
    "bwrap": (["bwrap"], "bwrap --ro-bind / / true", "ermi"),
    "strace": (["strace"], "strace -o /dev/null true", "not permitted"),
    "gdb": (["gdb"], "gdb -batch -ex run /bin/true 2>&1 | tee out; grep -q 'exited normally' out", "not permitted"),
}


def complete(script):
    """Without this file's indentation, and with the programs that have one of their own."""
    script = "\n".join(line.removeprefix(" " * 8) for line in script.strip("\n").split("\n"))
    return script.replace("@JAVA@", _JAVA).replace("@MULTIPROCESSING@", _MULTIPROCESSING)


class Tools(UsersCase):
    def need(self, programs):
        missing = [name for name in programs if shutil.which(name) is None]
        if missing:
            print(f"SKIPPED: not installed: {' '.join(missing)}")
        return not missing

    def fresh(self):
        """A directory of its own for each run."""
        path = os.path.join(self.directory, secrets.token_hex(4))
        os.mkdir(path)
        give(path, own_user(), 0o700)
        return path

    def without(self, script):
        done = subprocess.run(["/bin/sh", "-euc", script], cwd=self.fresh(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT,
                              env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}, **identity_of(own_user()))
        return done.returncode, done.stdout.decode(errors="replace")

    def within(self, script):
        result = self.tower.run(f"set -eu; cd {self.fresh()}\n{script}", timeout=TIMEOUT)
        return result.exit_status, result.output.decode(errors="replace")

    @modes()
    def test_work(self):
        self.online_agent(token=self.token)
        for name, (programs, script, word) in TOOLS.items():
            with self.subTest(name):
                script = complete(script)
                if not self.need(programs):
                    continue
                code, output = self.without(script)
                self.assertEqual((code, word in output), (0, True), f"outside as well: {output}")
                code, output = self.within(script)
                self.assertEqual((code, word in output), (0, True), f"in the sandbox: {output}")

    @modes()
    def test_refused(self):
        self.online_agent(token=self.token)
        for name, (programs, script, word) in REFUSED.items():
            with self.subTest(name):
                if not self.need(programs):
                    continue
                code, output = self.within(script)
                first = output.strip().split("\n")[-1]
                outside = self.without(script)[0]
                print(f"denied on purpose: {name}: code {code}: {first} (outside: code {outside})", flush=True)
                self.assertNotEqual(code, 0)
                self.assertIn(word, output)

    @modes()
    def test_login_by_ssh(self):
        """A real login at a server on loopback: the way out of the sandbox that members have."""
        if not self.need(["ssh", "ssh-keygen"]) or not os.path.exists("/usr/sbin/sshd"):
            self.skipTest("openssh-server is not installed")
        server = self.sshd()
        self.online_agent(token=self.token)
        client = (f"ssh -F none -o BatchMode=yes -o UserKnownHostsFile={server}/known -o HostKeyAlias=lab "
                  f"-i {server}/client -p {self.port} {own_user()}@127.0.0.1")
        script = f"{client} 'echo $SSH_CONNECTION; unshare -Ur echo logged in'"
        for run in (self.without, self.within):
            code, output = run(script)
            self.assertEqual((code, "logged in" in output), (0, True), output)

    def sshd(self):
        """A server of the plain user's own, so that it needs no root."""
        place = self.fresh()
        for key in ("host", "client"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{place}/{key}"], check=True,
                           **identity_of(own_user()))
        with open(f"{place}/host.pub", encoding="ascii") as file, \
                open(f"{place}/known", "w", encoding="ascii") as known:
            known.write(f"lab {file.read()}")
        os.chmod(f"{place}/known", 0o644)
        for _ in range(10):  # it cannot be given a port, and another test may take the one that was free
            if "listening" in (line := self.start_sshd(place)):
                return place
        self.fail(line)

    def start_sshd(self, place):
        """Its first line."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = [f"HostKey={place}/host", f"AuthorizedKeysFile={place}/client.pub", "StrictModes=no", "UsePAM=no",
                   "ListenAddress=127.0.0.1", f"Port={self.port}", "PidFile=none"]
        child = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", *(word for option in options
                                                                                   for word in ("-o", option))],
                                 stderr=subprocess.PIPE, text=True, cwd="/", **identity_of(own_user()))
        self.addCleanup(child.stderr.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.terminate)
        return child.stderr.readline()


if __name__ == "__main__":
    harness.main()
