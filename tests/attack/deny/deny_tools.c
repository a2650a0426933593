/* SPDX-License-Identifier: Apache-2.0 */
/* What commands are made of must go on working under exec's filter and in a command's domain. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/attack/deny/probe.h"

struct tool {
    const char *program; /* skipped when not installed */
    const char *script;  /* run by bash -eu in a directory of its own; success is code 0 */
};

static const struct tool tools[] = {
    {"ls", "touch a; ls -l a"},
    {"cat", "echo x > a; test \"$(cat a)\" = x"},
    {"cp", "echo x > a; cp -a a b; cmp a b"},
    {"mv", "mkdir d e; echo x > d/a; mv d/a e/a; test -f e/a; mv d e/; test -d e/d"},
    {"ln", "mkdir d e; echo x > d/a; ln d/a e/a; ln -s ../d/a e/b; cmp e/a e/b"},
    {"rm", "mkdir -p a/b; rm -r a; test ! -e a"},
    {"mkdir", "mkdir -p a/b/c; rmdir a/b/c"},
    {"chmod", "touch a; chmod 600 a; test \"$(stat -c %a a)\" = 600"},
    {"touch", "touch -d 2020-01-01 a; test \"$(date -r a +%Y)\" = 2020"},
    {"mkfifo", "mkfifo p; (echo x > p &); test \"$(cat p)\" = x"},
    {"mktemp", "f=$(mktemp -p .); test -f $f"},
    {"grep", "echo abc | grep -q b; echo abc > a; grep -r b ."},
    {"sed", "echo abc > a; sed -i s/b/x/ a; grep -q axc a"},
    {"awk", "test \"$(echo 1 2 | awk '{print $1+$2}')\" = 3"},
    {"sort", "seq 1000 | shuf | sort -n | head -1 | grep -qx 1"},
    {"uniq", "printf 'a\\na\\n' | uniq -c | grep -q 2"},
    {"cut", "test \"$(echo a:b | cut -d: -f2)\" = b"},
    {"tr", "test \"$(echo a | tr a b)\" = b"},
    {"wc", "test $(seq 10 | wc -l) = 10"},
    {"tee", "echo x | tee a b; cmp a b"},
    {"diff", "echo x > a; echo y > b; ! diff a b"},
    {"find", "mkdir d; touch d/a; find . -name a -exec ls {} + | grep -q a"},
    {"xargs", "seq 20 | xargs -P 4 -n 2 echo | wc -l | grep -qx 10"},
    {"tar", "mkdir d; seq 1000 > d/a; tar czf a.tgz d; rm -r d; tar xzf a.tgz; test -f d/a"},
    {"gzip", "seq 1000 > a; gzip a; gunzip a.gz; test -f a"},
    {"bzip2", "seq 1000 > a; bzip2 a; bunzip2 a.bz2; test -f a"},
    {"xz", "seq 1000 > a; xz -T2 a; unxz a.xz; test -f a"},
    {"dd",
     "dd if=/dev/zero of=a bs=64k count=4 conv=fsync status=none; test $(stat -c %s a) = 262144"},
    {"truncate", "truncate -s 1M a; test $(stat -c %s a) = 1048576"},
    {"sha256sum", "echo x > a; sha256sum a > s; sha256sum -c s"},
    {"stat", "stat /; stat -f ."},
    {"df", "df ."},
    {"du", "mkdir d; touch d/a; du -s d"},
    {"ps", "ps -e > a; ps aux > b; test -s a -a -s b"},
    {"kill", "sleep 60 & kill $!; ! wait $!"},
    {"pkill", "sleep 60 & until pkill -P $$ sleep; do :; done; ! wait $!"},
    {"id", "id; id -un || true"},
    {"date", "date; TZ=Europe/Paris date"},
    {"sleep", "sleep 0.01"},
    {"timeout", "! timeout 0.2 sleep 10; timeout 5 true"},
    {"nice", "nice -n 5 true; test $(nice -n 5 nice) -ge 5"},
    {"ionice", "ionice -c 3 true"},
    {"chrt", "chrt -b 0 true"},
    {"taskset", "taskset -c 0 true; taskset -p $$"},
    {"nohup", "nohup true < /dev/null"},
    {"setsid", "setsid -w true"},
    {"flock", "flock a true; flock -n a -c true"},
    {"env", "env -i A=1 /bin/sh -c 'test $A = 1'"},
    {"stdbuf", "stdbuf -oL echo x"},
    {"script", "script -qec true /dev/null < /dev/null"},
    {"hostname", "hostname"},
    {"uname", "uname -a"},
    {"nproc", "nproc; nproc --all"},
    {"getconf", "getconf PAGE_SIZE"},
    {"getent", "getent passwd root; getent hosts localhost"},
    {"prlimit", "prlimit --nofile=100 true; bash -c 'ulimit -n 64; ulimit -a'"},
    {"bash",
     "x=$(cat <<E\nhere $((1+1))\nE\n); test \"$x\" = 'here 2'; diff <(echo a) <(echo a); set -o "
     "pipefail; "
     "seq 100000 | head -1 || true; (trap 'exit 7' TERM; kill -TERM $BASHPID) || test $? = 7"},
    {"dash", "dash -c 'a() { echo $1; }; a 1 | { read x; test $x = 1; }'"},
    {"make", "printf 'all: a b\\na b:\\n\\ttouch $@\\n' > Makefile; make -j2 -s; test -f b"},
    {"cc", "echo 'int main(void){return 0;}' > a.c; cc -O2 -pipe -o a a.c; ./a"},
    {"git", "export HOME=$PWD; git init -q r; cd r; echo x > a; git add a; git -c user.name=a -c "
            "user.email=a@b "
            "commit -qm x; git gc -q; git clone -q . ../s; test -f ../s/a"},
    {"python3",
     "python3 -c 'import subprocess,threading,multiprocessing as m,tempfile,socket,ssl,sqlite3; "
     "subprocess.run([\"true\"],check=True); t=threading.Thread(target=print); t.start(); "
     "t.join(); "
     "p=m.Process(target=print); p.start(); p.join(); assert p.exitcode==0; m.Lock(); "
     "socket.socketpair(); sqlite3.connect(\"a\").execute(\"create table t(x)\")'"},
    {"perl", "perl -MPOSIX -e 'open(F,\"echo 1|\"); print <F>; close F; fork // die; wait; "
             "POSIX::nice(1)'"},
    {"java", "java -Xmx64m -version"},
    {"ssh", "ssh -V; ssh -G localhost > a"},
    {"ssh-keygen", "ssh-keygen -q -t ed25519 -N '' -f k; ssh-keygen -lf k.pub"},
    {"curl", "echo x > a; curl -sS file://$PWD/a -o b; cmp a b; ! curl -sS --max-time 2 "
             "http://127.0.0.1:9/"},
    {"openssl", "openssl rand -hex 8; openssl version"},
    {"gdb", "gdb --version"},
    {"tput", "tput -T xterm bold > a"},
    {"sqlite3", "sqlite3 a 'create table t(x)'"},
    {"unzip", "unzip -v > a"},
    {"file", "file /bin/sh"},
    {"less", "echo x | less -F | grep -q x"},
    {"lsof", "lsof -p $$ > a 2>&1 || true"},
    {"runuser", "runuser --version"},
    {"strace", "strace -V > a"},
};
#define N_TOOLS (sizeof tools / sizeof *tools)

/* What allow_namespaces is for. */
static const struct tool containers[] = {
    {"bwrap", "test \"$(bwrap --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --unshare-all "
              "--die-with-parent sh -c 'echo $$; mount > /tmp/m')\" = 2"},
    {"unshare", "unshare -Urm sh -c 'mount -t tmpfs none /mnt; touch /mnt/a'"},
    {"apptainer", "apptainer --version"}, /* not in Debian 12 */
};
#define N_CONTAINERS (sizeof containers / sizeof *containers)

struct run {
    const struct tool *tool;
    const char *directory;
    const struct sandbox_command *command; /* NULL: outside */
};

static long run_tool(const void *argument)
{
    const struct run *r = argument;
    int status;
    alarm(0);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        if (r->command && sandbox_command_apply(r->command) != 0)
            _exit(98);
        if (mkdir(r->directory, 0700) != 0 || chdir(r->directory) != 0 || setsid() < 0)
            _exit(97);
        dup2(null, 0);
        if (!getenv("TW_DENY_VERBOSE")) {
            dup2(null, 1);
            dup2(null, 2);
        }
        setenv("HOME", r->directory, 1);
        unsetenv("LD_PRELOAD");
        execlp("timeout", "timeout", "60", "bash", "-euc", r->tool->script, (char *)NULL);
        _exit(96);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -ECHILD;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool installed(const char *program)
{
    char text[96];
    snprintf(text, sizeof text, "command -v %s > /dev/null 2>&1", program);
    return system(text) == 0;
}

static void one(struct tally *t, const struct tool *tool, const char *top,
                const struct sandbox_command *command, const struct sandbox_access *access)
{
    char inside[192], outside[192];
    struct run r = {.tool = tool, .directory = inside, .command = command};
    struct run bare = {.tool = tool, .directory = outside};
    snprintf(inside, sizeof inside, "%s/%s.in", top, tool->program);
    snprintf(outside, sizeof outside, "%s/%s.out", top, tool->program);
    if (!installed(tool->program)) {
        tally_skip(t, "%s: not installed", tool->program);
        return;
    }
    struct outcome o = probe_run(SANDBOX_EXEC, access, run_tool, &r);
    if (outcome_is(&o, 0)) {
        tally_good(t);
        return;
    }
    struct outcome without = probe_run(NO_ROLE, NULL, run_tool, &bare);
    if (outcome_is(&without, 0))
        tally_bad(t, "%s: code %ld in the sandbox, 0 outside", tool->program, o.result);
    else
        tally_skip(t, "%s: fails outside as well (code %ld)", tool->program, without.result);
}

static int all(void *argument)
{
    struct tally t = {.what = "programs in a command's sandbox"};
    struct sandbox_command command;
    struct sandbox_access namespaces = {
        .write_dirfd = -1, .read_dirfd = -1, .allow_namespaces = true};
    char top[128], clean[192];
    const char *only = argument;
    if (!make_directory(top, sizeof top) ||
        sandbox_command_init(&command, SANDBOX_ISOLATE_FULL) != 0)
        return 1;
    for (size_t i = 0; i < N_TOOLS; i++)
        if (!only || strcmp(only, tools[i].program) == 0)
            one(&t, &tools[i], top, &command, NULL);
    for (size_t i = 0; i < N_CONTAINERS; i++)
        if (!only || strcmp(only, containers[i].program) == 0)
            one(&t, &containers[i], top, &command, &namespaces);
    sandbox_command_finish(&command);
    snprintf(clean, sizeof clean, "rm -rf '%s'", top);
    return system(clean) == 0 ? tally_end(&t) : 1;
}

int main(int argc, char **argv)
{
    return as_each_user(all, argc > 1 ? argv[1] : NULL);
}
