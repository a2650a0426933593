#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Texts run by exec and by `sh -c TEXT`, under dash and under bash: where they differ is a list, and docs/commands.md."""
import os
import pathlib
import re
import subprocess
import unittest

BUILD = pathlib.Path(os.environ["TW_BUILD"])
RUNNER = BUILD / "tests" / "exec_runner"
DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "commands.md"
SKIPPED = 77
BODY = "".join(f"line {i} $HOME `x`\n" for i in range(1000))

TEXTS = {
    "empty": "",
    "newline": "\n",
    "blanks": " \t ",
    "no newline": "echo one",
    "newlines": "\n\necho one\n\n",
    "CRLF": "echo one\r\nprintf 'two\\n'\r\n",
    "CR alone": "echo one\recho two",
    "CRLF in if": "if true\r\nthen echo x\r\nfi\r\n",
    "interpreter line": "#!/bin/bash\necho $0",
    "byte order mark": "\ufeffecho one",
    "byte order mark before a comment": "\ufeff# one\necho two",
    "no-break space": "echo\u00a0one",
    "backslash at the end": "echo one \\",
    "backslash and newline at the end": "echo one \\\n",
    "comment alone": "# nothing",
    "comment last": "echo one # two",
    "single quote open": "echo 'one\ntwo",
    "double quote open": "echo \"one\ntwo",
    "backquote open": "echo `echo one",
    "substitution open": "echo $(echo one",
    "parenthesis open": "(echo one",
    "parenthesis closed": "echo one\n)",
    "brace open": "{ echo one",
    "if open": "echo before\nif true; then\necho one",
    "done alone": "echo before\ndone\necho after",
    "ampersands": "echo before\n&& echo after",
    "semicolons": "echo before;; echo after",
    "here-document": f"cat <<E\n{BODY}E\necho after",
    "here-document quoted": f"cat <<'E'\n{BODY}E\n",
    "here-document with tabs": "cat <<-E\n\tone\n\tE\necho after",
    "here-document without an end": "cat <<E\none\ntwo",
    "here-document, end without newline": "cat <<E\none\nE",
    "two here-documents": "cat <<A; cat <<B\none\nA\ntwo\nB\n",
    "here-document into a pipe": "cat <<E | tr a-z A-Z\none\nE\n",
    "exit": "echo one; exit 3; echo two",
    "exit in the middle": "echo one\nexit 4\necho two\n(",
    "exit without a number": "false\nexit",
    "exit of a subshell": "(exit 5); echo $?",
    "exit with too large a number": "exit 300",
    "exit with no number": "exit abc",
    "set -e": "set -e\necho one\nfalse\necho two",
    "set -e in a function": "set -e; f() { false; echo in; }; f; echo out",
    "set -u": "set -u\necho one\necho $UNSET_HERE\necho two",
    "set -x": "set -x\necho one",
    "set -v": "set -v\necho one\necho two",
    "set -n": "echo one\nset -n\necho two",
    "options": "echo \"$-\"",
    "trap EXIT": "trap 'echo bye' EXIT\necho one\nexit 3",
    "trap EXIT at the end": "trap 'echo bye $?' EXIT\nfalse",
    "trap and exit status": "trap 'exit 9' EXIT\ntrue",
    "trap TERM": "trap 'echo caught' TERM; kill -TERM $$; echo after",
    "exec": "exec echo one\necho two",
    "exec of what is not there": "exec no-such-program-here\necho two",
    "exec with redirection": "exec >/dev/null\necho one",
    "exec of another shell": "exec sh -c 'echo $0'",
    "return": "echo one\nreturn 5\necho two",
    "return in an if": "if true; then return 6; fi; echo two",
    "return without a number": "false; return",
    "return in a subshell": "(return 7; echo in); echo $?",
    "return in a function": "f() { return 8; }; f; echo $?",
    "break alone": "break; echo one",
    "name": "echo \"$0\"",
    "arguments": "echo $#; set -- a b; echo $# $2; shift; echo $1",
    "own id": "test $$ = \"$(cut -d' ' -f5 /proc/$$/stat)\" && echo leader",
    "parent": "test $PPID = \"$(cut -d' ' -f4 /proc/$$/stat)\" && echo same",
    "line number": "echo $LINENO\n\necho $LINENO",
    "line number in a function": "f() {\necho $LINENO\n}\nf",
    "not found": "no-such-program-here",
    "not found on line 3": "echo one\n\nno-such-program-here\necho $?",
    "not found in a function": "f() {\nno-such-program-here\n}\n\nf",
    "not executable": "/etc/passwd",
    "a directory": "/etc",
    "no such redirection": "echo one >/no-such-directory/x; echo $?",
    "no such input": "cat </no-such-file\necho $?",
    "bad substitution": "echo one\necho ${x!y}\necho two",
    "unset parameter": "echo ${UNSET_HERE?is not set}\necho two",
    "division by zero": "echo $((1/0)); echo two",
    "read-only variable": "readonly X=1\nX=2\necho two",
    "cd to nowhere": "cd /no-such-directory; echo $?",
    "stdin is empty": "cat; read x; echo \"$? <$x>\"",
    "stdin is /dev/null": "readlink /proc/$$/fd/0",
    "while read": "while read x; do echo $x; done; echo end",
    "own descriptors": "for f in /proc/$$/fd/*; do echo ${f##*/}; done",
    "descriptors of a program": "ls /proc/self/fd",
    "read descriptor 9": "cat <&9; echo $?",
    "write descriptor 9": "echo x >&9; echo $?",
    "use descriptor 9": "exec 9</dev/null; cat <&9; echo $?; exec 9<&-",
    "here-document on descriptor 9": "cat 9<<E <&9\none\nE",
    "the text as a file": "test -e /proc/$$/fd/9; echo $?",
    "alias": "alias hello='echo one'\nhello",
    "alias on one line": "alias hello='echo one'; hello",
    "source": "echo 'echo in $1; X=2' >f; . ./f; echo $X; rm f",
    "source of what is not there": ". /no-such-file; echo $?",
    "return in a source": "printf 'echo a\\nreturn 4\\necho b\\n' >f; . ./f; echo $?; rm f",
    "eval": "eval 'echo one\necho $LINENO'",
    "eval with an error": "eval 'echo one; )'; echo $?",
    "background and wait": "sleep 0.05 & wait $!; echo $?",
    "wait for a failure": "(exit 6) & wait $!; echo $?",
    "background input": "cat & wait; echo $?",
    "kill 0": "kill -TERM 0; echo two",
    "kill 0 with a trap": "trap '' TERM; kill -TERM 0; echo two",
    "kill itself": "kill -KILL $$",
    "a program killed": "sh -c 'kill -KILL $$'",
    "a program killed, then more": "sh -c 'kill -KILL $$'; echo $?",
    "a program interrupted": "sh -c 'kill -INT $$'",
    "a program terminated": "sh -c 'kill -TERM $$'; exit $?",
    "broken pipe": "yes | head -1; echo $?",
    "pipeline status": "false | true; echo $?; true | false",
    "last command": "true; sh -c 'exit 3'",
    "parent of the last command": "sh -c 'cat /proc/$PPID/comm'",
    "umask": "umask 077; umask",
    "function": "f() { echo \"$1-$#\"; }; f a b",
    "local outside a function": "local x=1; echo $?",
    "getopts": "set -- -a x; while getopts a: o; do echo $o $OPTARG; done",
    "case": "case abc in a*) echo one;; esac",
    "arithmetic": "echo $((7 * 6))",
    "tilde": "echo ~",
    "globbing": "touch a1 a2; echo a?; rm a1 a2",
    "printf octal": "printf '\\001\\377'",
    "UTF-8": "echo 'ü€😀'",
    "not UTF-8": "echo '\udcff\udcfe'",
    "control characters": "echo 'a\x01\x7fb'",
    "long line": f": {'x' * 40000}; echo done",
    "many lines": "true\n" * 5000 + "echo $LINENO",
    "pwd": "pwd | sed 's,.*/,,;s,\\..*,,'",
    "sources of bash": "echo \"$BASH_SOURCE-$FUNCNAME\"",
    "caller of bash": "caller; echo $?",
    "execution string of bash": "echo \"<$BASH_EXECUTION_STRING>\"",
    "history": "history; echo $?",
    "type": "type cd",
    "times": "times | wc -l",
    "ulimit": "ulimit -f >/dev/null; echo $?",
    "environment": "env | sort | sed 's,/tmp/.*,DIR,'",
}

# Where the two differ by the name that the shell gives its script in its own messages, and by nothing else.
MESSAGES = {
    "dash": """CRLF in if; byte order mark; byte order mark before a comment; no-break space; single quote open; double quote open;
        backquote open; substitution open; parenthesis open; parenthesis closed; brace open; if open; done alone; ampersands; semicolons;
        set -u; not found; not found on line 3; not found in a function; not executable; a directory; no such redirection; no such input;
        bad substitution; unset parameter; division by zero; read-only variable; read descriptor 9; write descriptor 9;
        alias on one line; caller of bash; history""",
    "bash": """CRLF in if; byte order mark; byte order mark before a comment; no-break space; single quote open; double quote open;
        backquote open; substitution open; parenthesis open; parenthesis closed; brace open; if open; done alone; ampersands;
        here-document; here-document without an end; exit with no number; set -u; exec of what is not there; not found;
        not found on line 3; not found in a function; not executable; a directory; no such redirection; no such input;
        bad substitution; unset parameter; division by zero; read-only variable; cd to nowhere; read descriptor 9; write descriptor 9;
        alias on one line; source of what is not there; eval with an error; local outside a function""",
}
RETURN = b"return: can only `return' from a function or sourced script\n"
# What else differs: (exec's status and output, those of sh -c, the words that the document has for it).
OTHERS = {
    "dash": {
        "set -v": ((0, b"echo one\none\necho twotwo\n"), (0, b"one\ntwo\n"), "`set -v`"),
        "own descriptors": ((0, b"0\n1\n10\n2\n3\n"), (0, b"0\n1\n2\n3\n"), "descriptor 10"),
    },
    "bash": {
        "semicolons": ((2, b"/proc/self/fd/9: line 1: syntax error near unexpected token `;;'\n"
                           b"/proc/self/fd/9: line 1: `exec 9<&-; echo before;; echo after'\n"),
                       (2, b"sh: -c: line 1: syntax error near unexpected token `;;'\n"
                           b"sh: -c: line 1: `echo before;; echo after'\n"), "`exec 9<&-; `"),
        "set -x": ((0, b"++ echo one\none\n"), (0, b"+ echo one\none\n"), "`set -x`"),
        "return": ((5, b"one\n"), (2, b"one\nsh: line 2: " + RETURN), "`return`"),
        "return in an if": ((6, b""), (2, b"sh: line 1: " + RETURN), "`return`"),
        "return without a number": ((1, b""), (2, b"sh: line 1: " + RETURN), "`return`"),
        "return in a subshell": ((0, b"7\n"), (0, b"sh: line 1: " + RETURN + b"2\n"), "`return`"),
        "parent of the last command": ((0, b"sh\n"), (0, b"exec_runner\n"), "last program"),
        "sources of bash": ((0, b"/proc/self/fd/9-\n"), (0, b"-\n"), "`BASH_SOURCE`"),
        "caller of bash": ((0, b"1 NULL\n0\n"), (0, b"1\n"), "`caller`"),
        "execution string of bash": ((0, b"<. /proc/self/fd/9>\n"),
                                     (0, b'<echo "<$BASH_EXECUTION_STRING>">\n'),
                                     "`BASH_EXECUTION_STRING`"),
    },
}


def without_names(output):
    """The messages as if the script had no name."""
    output = re.sub(rb"(?m)^sh: (\d+): /proc/self/fd/9: ", rb"sh: \1: ", output)
    return re.sub(rb"(?m)^(/proc/self/fd/9|sh: -c|sh|environment): (line|eval)", rb"\2", output)


class Texts(unittest.TestCase):
    maxDiff = None

    def run_all(self, *arguments):
        texts = [text.encode(errors="surrogateescape") for text in TEXTS.values()]
        done = subprocess.run([RUNNER, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              input=b"".join(b"%d\n%s" % (len(text), text) for text in texts))
        if done.returncode == SKIPPED:
            reason = (done.stderr or done.stdout).decode().strip()
            print(reason if reason.startswith("SKIPPED") else f"SKIPPED: {reason}", flush=True)
            self.skipTest(reason)
        self.assertEqual(done.returncode, 0, done.stderr)
        rest, runs = done.stdout, []
        while rest:
            line, rest = rest.split(b"\n", 1)
            status, length = map(int, line.split())
            runs.append((status, rest[:length]))
            rest = rest[length:]
        self.assertEqual(len(runs), 2 * len(TEXTS))
        return dict(zip(TEXTS, zip(runs[::2], runs[1::2])))

    def check(self, shell, *arguments):
        messages, others = [], {}
        for name, (ours, direct) in self.run_all(*arguments).items():
            if ours == direct:
                continue
            if (ours[0], without_names(ours[1])) == (direct[0], without_names(direct[1])):
                messages.append(name)
            else:
                others[name] = (ours, direct)
        self.assertEqual(messages, re.split(r";\s+", MESSAGES[shell]))
        self.assertEqual(others, {name: row[:2] for name, row in OTHERS[shell].items()})

    def test_dash(self):
        if os.path.realpath("/bin/sh").endswith("/dash"):
            self.check("dash")
        else:
            self.check("dash", "/bin/dash")

    def test_bash(self):
        if os.path.realpath("/bin/sh").endswith("/bash"):
            self.check("bash")
        else:
            self.check("bash", "/bin/bash")

    def test_document(self):
        document = DOCUMENT.read_text()
        for rows in OTHERS.values():
            for *_, words in rows.values():
                self.assertIn(words, document)


if __name__ == "__main__":
    unittest.main()
