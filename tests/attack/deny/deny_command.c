/* SPDX-License-Identifier: Apache-2.0 */
/* Two commands side by side under exec's sandbox: what one can do to the other, to exec and to the
 * agent. */
#include "tests/attack/deny/deny_command.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/landlock.h"
#include "tests/attack/deny/probe.h"

#define SECRET       "TW_SECRET=not-for-siblings"
#define PROBE_SIGNAL SIGUSR1 /* blocked by all here */
#define PLAIN_USER   65534

static long open_proc(pid_t pid, const char *file, int flags)
{
    char path[64], c;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    int fd = open(path, flags);
    if (fd < 0)
        return -errno;
    /* environ opens for anyone and is judged when read. */
    return strcmp(file, "environ") == 0 && read(fd, &c, 1) != 1 ? -EACCES : 0;
}

static long read_environ(const struct scene *s)
{
    return open_proc(s->sibling, "environ", O_RDONLY);
}

static long read_mem(const struct scene *s)
{
    return open_proc(s->sibling, "mem", O_RDONLY);
}

static long list_fd(const struct scene *s)
{
    char path[64], target[64];
    snprintf(path, sizeof path, "/proc/%d/fd/0", (int)s->sibling);
    return readlink(path, target, sizeof target) < 0 ? -errno : 0;
}

static long read_exec_maps(const struct scene *s)
{
    return open_proc(s->exec, "maps", O_RDONLY);
}

static long read_agent_environ(const struct scene *s)
{
    return open_proc(s->agent, "environ", O_RDONLY);
}

static long read_agent_mem(const struct scene *s)
{
    return open_proc(s->agent, "mem", O_RDONLY);
}

static long trace_exec(const struct scene *s)
{
    if (syscall(SYS_ptrace, PTRACE_SEIZE, s->exec, 0, 0) != 0)
        return -errno;
    return 0; /* and lets go of it by ending */
}

static long signal_sibling(const struct scene *s)
{
    return kill(s->sibling, 0) != 0 ? -errno : 0;
}

static long signal_exec(const struct scene *s)
{
    return kill(s->exec, 0) != 0 ? -errno : 0;
}

static long thread_signal_exec(const struct scene *s)
{
    return syscall(SYS_tgkill, s->exec, s->exec, 0) != 0 ? -errno : 0;
}

static long queue_signal_exec(const struct scene *s)
{
    siginfo_t info = {.si_code = SI_QUEUE};
    return syscall(SYS_rt_sigqueueinfo, s->exec, 0, &info) != 0 ? -errno : 0;
}

/* A directory of /proc serves as a handle (Linux 5.1), without pidfd_open. */
static long directory_signal(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    return fd < 0 || syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) != 0 ? -errno : 0;
}

static long directory_signal_exec(const struct scene *s)
{
    return directory_signal(s->exec);
}

static long directory_signal_agent(const struct scene *s)
{
    return directory_signal(s->agent);
}

/* Whether the signal waits for that process, which blocks it. */
static bool waits(pid_t pid, int signal)
{
    char path[64], line[128];
    unsigned long long pending = 0, more = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "SigPnd: %llx", &more) == 1 || sscanf(line, "ShdPnd: %llx", &more) == 1)
            pending |= more;
    if (f)
        fclose(f);
    return pending >> (signal - 1) & 1;
}

/* The kernel sends the signal, for a descriptor that has something to read. */
static long own_signal(pid_t pid)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
        fcntl(pair[0], F_SETSIG, PROBE_SIGNAL) != 0 || fcntl(pair[0], F_SETOWN, pid) != 0 ||
        fcntl(pair[0], F_SETFL, O_ASYNC | O_NONBLOCK) != 0 || write(pair[1], "x", 1) != 1)
        return -errno;
    return waits(pid, PROBE_SIGNAL) ? 0 : -EPERM;
}

static long own_signal_exec(const struct scene *s)
{
    return own_signal(s->exec);
}

static long own_signal_group(const struct scene *s)
{
    long rc = own_signal(-getpgid(s->exec));
    return rc == -EPERM && waits(s->exec, PROBE_SIGNAL) ? 0 : rc;
}

static long signal_agent(const struct scene *s)
{
    return kill(s->agent, 0) != 0 ? -errno : 0;
}

static long signal_group(const struct scene *s)
{
    return kill(-getpgid(s->exec), 0) != 0 ? -errno : 0;
}

static long signal_agent_group(const struct scene *s)
{
    return kill(-getpgid(s->agent), 0) != 0 ? -errno : 0;
}

static long signal_everyone(const struct scene *s)
{
    (void)s;
    return kill(-1, 0) != 0 ? -errno : 0;
}

static long limit_sibling(const struct scene *s)
{
    struct rlimit old;
    return prlimit(s->sibling, RLIMIT_CPU, NULL, &old) != 0 ? -errno : 0;
}

static long limit_exec(const struct scene *s)
{
    struct rlimit old;
    return prlimit(s->exec, RLIMIT_CPU, NULL, &old) != 0 ? -errno : 0;
}

static long renice_exec(const struct scene *s)
{
    return setpriority(PRIO_PROCESS, (id_t)s->exec, 1) != 0 ? -errno : 0;
}

static long renice_user(const struct scene *s)
{
    (void)s;
    /* A user id without processes: the kernel says ESRCH. */
    return setpriority(PRIO_USER, 54321, 1) != 0 && errno != ESRCH ? -errno : 0;
}

static long idle_exec(const struct scene *s)
{
    struct sched_param p = {.sched_priority = 0};
    return sched_setscheduler(s->exec, SCHED_OTHER, &p) != 0 ? -errno : 0;
}

static long pin_exec(const struct scene *s)
{
    cpu_set_t set;
    if (sched_getaffinity(s->exec, sizeof set, &set) != 0)
        return -EIO;
    return sched_setaffinity(s->exec, sizeof set, &set) != 0 ? -errno : 0;
}

static long handle_exec(const struct scene *s)
{
    return syscall(SYS_pidfd_open, s->exec, 0) < 0 ? -errno : 0;
}

static long live_with_oneself(const struct scene *s)
{
    struct rlimit r;
    cpu_set_t set;
    struct sched_param p = {.sched_priority = 0};
    int status;
    (void)s;
    if (prlimit(0, RLIMIT_CORE, NULL, &r) != 0 || setrlimit(RLIMIT_CORE, &r) != 0 ||
        setpriority(PRIO_PROCESS, 0, 1) != 0 || sched_setscheduler(0, SCHED_BATCH, &p) != 0 ||
        sched_getaffinity(0, sizeof set, &set) != 0 ||
        sched_setaffinity(gettid(), sizeof set, &set) != 0 ||
        syscall(SYS_tgkill, getpid(), gettid(), 0) != 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    if (kill(pid, SIGTERM) != 0 || waitpid(pid, &status, 0) != pid || WTERMSIG(status) != SIGTERM)
        return -ECHILD;
    return syscall(SYS_pidfd_open, getpid(), 0) < 0 ? -errno : 0;
}

static pid_t start_command(const struct scene *s, attempt *what, long *result, int report)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct sandbox_command command = {.ruleset_fd = s->ruleset};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    if (sandbox_command_apply(&command) != 0)
        _exit(1);
    if (!what) {
        char *const argv[] = {(char[]){"sh"}, (char[]){"-c"},
                              (char[]){"echo; exec >&-; kill -STOP $$"}, NULL};
        char *const envp[] = {(char[]){SECRET}, NULL};
        dup2(report, STDOUT_FILENO);
        execve("/bin/sh", argv, envp);
        _exit(1);
    }
    *result = what(s);
    _exit(write(report, result, sizeof *result) == (ssize_t)sizeof *result ? 0 : 1);
}

/* As exec has none: CAP_PERFMON alone lets a process read environ and maps across domains
 * (Linux 6.18). */
static void drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_capset, &head, none) != 0)
        _exit(1);
}

/* As exec does: root's sandbox, then another user. GAIN_ROOT keeps all, as a setuid program would
 * have got it back. */
static void become_user(const struct scene *s)
{
    if (s->gain == GAIN_POSSIBLE &&
        (setgroups(0, NULL) != 0 || setresgid(PLAIN_USER, PLAIN_USER, PLAIN_USER) != 0 ||
         setresuid(PLAIN_USER, PLAIN_USER, PLAIN_USER) != 0))
        _exit(1);
    if (s->sandboxed ? sandbox_undumpable() != 0 : prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
        _exit(1);
}

/* exec's part: its sandbox, a sibling, then the attempt in a second command. */
static void play(struct scene *s, attempt *what, int report)
{
    struct sandbox_report r;
    char err[256];
    long result = -EIO;
    int status, started[2];
    char c;
    s->exec = getpid();
    setpgid(0, 0); /* a real signal to its group must reach nobody else */
    struct sandbox_access access = {.write_dirfd = -1,
                                    .read_dirfd = -1,
                                    .guard_pids = &s->agent,
                                    .n_guard_pids = 1,
                                    .isolation = s->isolation,
                                    .setuid_helpers = s->gain != GAIN_NOTHING};
    if (s->sandboxed && sandbox_enter(SANDBOX_EXEC, &access, &r, err, sizeof err) != 0)
        _exit(1);
    if (s->gain == GAIN_NOTHING)
        drop_capabilities();
    else
        become_user(s);
    if (pipe2(started, O_CLOEXEC) != 0)
        _exit(1);
    s->sibling = start_command(s, NULL, NULL, started[1]);
    /* The sibling runs its program, so its environment is set. */
    if (read(started[0], &c, 1) != 1)
        _exit(1);
    close(started[0]);
    close(started[1]);
    pid_t attacker = start_command(s, what, &result, report);
    waitpid(attacker, &status, 0);
    kill(s->sibling, SIGKILL);
    waitpid(s->sibling, &status, 0);
    _exit(0);
}

static long scene_result(struct scene *s, attempt *what)
{
    long result = -EIO;
    int p[2], status;
    if (pipe(p) != 0)
        abort();
    s->agent = getpid();
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        play(s, what, p[1]);
    close(p[1]);
    if (read(p[0], &result, sizeof result) != (ssize_t)sizeof result)
        result = -EIO;
    close(p[0]);
    waitpid(pid, &status, 0);
    return result;
}

/* In which domains of commands: of both kinds; full alone; none; also in the shared one. EVEN_ROOT:
 * also when the attacker has become root there. */
enum where { NOWHERE, FULL_ONLY, BOTH, SHARED, EVEN_ROOT };

static const struct {
    const char *name;
    attempt *what;
    enum where denied;
    int from_abi; /* what needs Landlock's scopes */
} attempts[] = {
    {"read a sibling's environment", read_environ, BOTH, 1},
    {"read a sibling's memory", read_mem, BOTH, 1},
    {"list a sibling's descriptors", list_fd, BOTH, 1},
    {"read exec's memory map", read_exec_maps, SHARED, 1},
    {"read the agent's environment", read_agent_environ, SHARED, 1},
    {"read the agent's memory", read_agent_mem, EVEN_ROOT, 1},
    {"trace exec", trace_exec, EVEN_ROOT, 0},
    {"signal a sibling", signal_sibling, FULL_ONLY, LL_ABI_SCOPES},
    {"signal exec", signal_exec, EVEN_ROOT, 0},
    {"signal exec's thread", thread_signal_exec, EVEN_ROOT, 0},
    {"signal exec's thread by tkill", tkill_exec, EVEN_ROOT, 0},
    {"queue a signal for exec", queue_signal_exec, EVEN_ROOT, 0},
    {"queue a signal for exec's thread", queue_to_thread_of_exec, EVEN_ROOT, 0},
    {"signal exec by its directory in /proc", directory_signal_exec, EVEN_ROOT, 0},
    {"signal exec as a descriptor's owner", own_signal_exec, EVEN_ROOT, 0},
    {"signal exec's group as a descriptor's owner", own_signal_group, EVEN_ROOT, 0},
    {"signal the agent", signal_agent, EVEN_ROOT, 0},
    {"signal the agent by its directory in /proc", directory_signal_agent, EVEN_ROOT, 0},
    {"signal exec's process group", signal_group, EVEN_ROOT, 0},
    {"signal the agent's process group", signal_agent_group, EVEN_ROOT, 0},
    {"signal everyone", signal_everyone, EVEN_ROOT, 0},
    {"limits of a sibling", limit_sibling, EVEN_ROOT, 0},
    {"limits of exec", limit_exec, EVEN_ROOT, 0},
    {"priority of exec", renice_exec, EVEN_ROOT, 0},
    {"priority of a user's processes", renice_user, EVEN_ROOT, 0},
    {"scheduling class of exec", idle_exec, EVEN_ROOT, 0},
    {"scheduling parameters of exec", param_exec, EVEN_ROOT, 0},
    {"scheduling attributes of exec", attr_exec, EVEN_ROOT, 0},
    {"disk priority of exec", disk_priority_exec, EVEN_ROOT, 0},
    {"disk priority of a user's processes", disk_priority_user, EVEN_ROOT, 0},
    {"pages of exec, one by one", move_pages_of_exec, EVEN_ROOT, 0},
    {"pages of exec, all", migrate_pages_of_exec, EVEN_ROOT, 0},
    {"processors of exec", pin_exec, EVEN_ROOT, 0},
    {"a handle of exec", handle_exec, EVEN_ROOT, 0},
    {"limits, priority and signals of one's own", live_with_oneself, NOWHERE, 0},
};

/* Each attempt without a sandbox, then in this scene. */
static void each_attempt(struct tally *t, const struct scene *scene, int abi, const char *name,
                         enum where least)
{
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        struct scene bare = {.ruleset = -1, .gain = scene->gain}, s = *scene;
        bool denied = attempts[i].denied >= least;
        long without = scene_result(&bare, attempts[i].what);
        long with = scene_result(&s, attempts[i].what);
        if (without != 0)
            tally_skip(t, "%s: fails without a sandbox as well: %s", attempts[i].name,
                       strerror((int)-without));
        else if (denied && abi < attempts[i].from_abi)
            tally_skip(t, "%s: not denied at ABI %d", attempts[i].name, abi);
        else if (denied ? (with == -EPERM || with == -EACCES || with == -ENOSYS) : with == 0)
            tally_good(t);
        else
            tally_bad(t, "ABI %d, %s: %s: %s", abi, name, attempts[i].name,
                      with == 0 ? "done" : strerror((int)-with));
    }
}

static void at_abi(struct tally *t, int abi, enum sandbox_isolation isolation)
{
    bool full = isolation == SANDBOX_ISOLATE_FULL;
    bool scoped = full && abi >= LL_ABI_SCOPES;
    struct scene s = {.ruleset = -1,
                      .sandboxed = true,
                      .isolation = scoped ? SANDBOX_ISOLATE_FULL : SANDBOX_ISOLATE_READ_ONLY};
    if (abi > 0)
        s.ruleset = ll_command_ruleset(abi, isolation);
    if (abi > 0 && s.ruleset < 0)
        tally_bad(t, "no ruleset at ABI %d: %s", abi, strerror(errno));
    each_attempt(t, &s, abi, full ? "full" : "read-only", full ? FULL_ONLY : BOTH);
    close(s.ruleset);
}

static int all(void *argument)
{
    static const int abis[] = {1, LL_ABI_REFER, LL_ABI_SCOPES};
    struct tally t = {.what = "a command against its siblings and the agent"};
    sigset_t probe;
    (void)argument;
    sigemptyset(&probe);
    sigaddset(&probe, PROBE_SIGNAL);
    sigprocmask(SIG_BLOCK, &probe, NULL);
    if (ll_abi() == 0)
        at_abi(&t, 0, SANDBOX_ISOLATE_FULL);
    for (size_t i = 0; i < sizeof abis / sizeof *abis; i++)
        if (abis[i] <= ll_abi()) {
            at_abi(&t, abis[i], SANDBOX_ISOLATE_FULL);
            at_abi(&t, abis[i], SANDBOX_ISOLATE_READ_ONLY);
        }
    struct scene shared = {.ruleset = -1, .sandboxed = true, .gain = GAIN_POSSIBLE};
    if (geteuid() == 0) {
        each_attempt(&t, &shared, ll_abi(), "setuid helpers", SHARED);
        shared.gain = GAIN_ROOT;
        each_attempt(&t, &shared, ll_abi(), "root by a setuid helper", EVEN_ROOT);
    } else {
        tally_skip(&t, "setuid helpers: only root can share a domain with commands that may gain");
    }
    return tally_end(&t);
}

int main(void)
{
    /* A group that has a name: that of whoever started us may be of another pid namespace. */
    setpgid(0, 0);
    return as_each_user(all, NULL);
}
