/* SPDX-License-Identifier: Apache-2.0 */
/* Two commands side by side under exec's sandbox: what one can do to the other, to exec and to the
 * agent. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/landlock.h"
#include "tests/attack/deny/probe.h"

#define SECRET "TW_SECRET=not-for-siblings"

/* Shared by all processes of one scene. */
struct scene {
    pid_t agent;    /* outside exec's sandbox */
    pid_t exec;     /* in exec's sandbox, no command */
    pid_t sibling;  /* another command */
    int ruleset;    /* of commands; -1: commands get no domain */
    bool sandboxed; /* exec has its sandbox */
};

typedef long attempt(const struct scene *s);

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

static long signal_agent(const struct scene *s)
{
    return kill(s->agent, 0) != 0 ? -errno : 0;
}

static long signal_group(const struct scene *s)
{
    return kill(-getpgid(s->exec), 0) != 0 ? -errno : 0;
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
        char *const argv[] = {(char[]){"sleep"}, (char[]){"60"}, NULL};
        char *const envp[] = {(char[]){SECRET}, NULL};
        execve("/bin/sleep", argv, envp);
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

/* exec's part: its sandbox, a sibling, then the attempt in a second command. */
static void play(struct scene *s, attempt *what, int report)
{
    struct sandbox_report r;
    char err[256];
    long result = -EIO;
    int status, started[2];
    char c;
    s->exec = getpid();
    struct sandbox_access access = {
        .write_dirfd = -1, .read_dirfd = -1, .guard_pids = &s->agent, .n_guard_pids = 1};
    if (s->sandboxed && sandbox_enter(SANDBOX_EXEC, &access, &r, err, sizeof err) != 0)
        _exit(1);
    drop_capabilities();
    if (pipe2(started, O_CLOEXEC) != 0)
        _exit(1);
    s->sibling = start_command(s, NULL, NULL, -1);
    /* End of file: the sibling runs its program, so its environment is set. */
    close(started[1]);
    if (read(started[0], &c, 1) != 0)
        _exit(1);
    close(started[0]);
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

enum where { BOTH, FULL_ONLY, NOWHERE };

static const struct {
    const char *name;
    attempt *what;
    enum where denied;
    int from_abi; /* what needs Landlock's scopes */
} attempts[] = {
    {"read a sibling's environment", read_environ, BOTH, 1},
    {"read a sibling's memory", read_mem, BOTH, 1},
    {"list a sibling's descriptors", list_fd, BOTH, 1},
    {"read exec's memory map", read_exec_maps, BOTH, 1},
    {"signal a sibling", signal_sibling, FULL_ONLY, LL_ABI_SCOPES},
    {"signal exec", signal_exec, BOTH, 0},
    {"signal exec's thread", thread_signal_exec, BOTH, 0},
    {"signal the agent", signal_agent, BOTH, 0},
    {"signal exec's process group", signal_group, BOTH, 0},
    {"signal everyone", signal_everyone, BOTH, 0},
    {"limits of a sibling", limit_sibling, BOTH, 0},
    {"limits of exec", limit_exec, BOTH, 0},
    {"priority of exec", renice_exec, BOTH, 0},
    {"priority of a user's processes", renice_user, BOTH, 0},
    {"scheduling class of exec", idle_exec, BOTH, 0},
    {"processors of exec", pin_exec, BOTH, 0},
    {"a handle of exec", handle_exec, BOTH, 0},
    {"limits, priority and signals of one's own", live_with_oneself, NOWHERE, 0},
};

static void at_abi(struct tally *t, int abi, enum sandbox_isolation isolation)
{
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        struct scene bare = {.ruleset = -1}, s = {.ruleset = -1, .sandboxed = true};
        bool denied = attempts[i].denied == BOTH ||
                      (attempts[i].denied == FULL_ONLY && isolation == SANDBOX_ISOLATE_FULL);
        long without = scene_result(&bare, attempts[i].what);
        if (abi > 0)
            s.ruleset = ll_command_ruleset(abi, isolation);
        if (abi > 0 && s.ruleset < 0)
            tally_bad(t, "no ruleset at ABI %d: %s", abi, strerror(errno));
        long with = scene_result(&s, attempts[i].what);
        close(s.ruleset);
        if (without != 0)
            tally_skip(t, "%s: fails without a sandbox as well: %s", attempts[i].name,
                       strerror((int)-without));
        else if (denied && abi < attempts[i].from_abi)
            tally_skip(t, "%s: not denied at ABI %d", attempts[i].name, abi);
        else if (denied ? (with == -EPERM || with == -EACCES) : with == 0)
            tally_good(t);
        else
            tally_bad(t, "ABI %d, %s: %s: %s", abi,
                      isolation == SANDBOX_ISOLATE_FULL ? "full" : "read-only", attempts[i].name,
                      with == 0 ? "done" : strerror((int)-with));
    }
}

static int all(void *argument)
{
    static const int abis[] = {1, LL_ABI_REFER, LL_ABI_SCOPES};
    struct tally t = {.what = "a command against its siblings and the agent"};
    (void)argument;
    if (ll_abi() == 0)
        tally_skip(&t, "this kernel has no Landlock: siblings are not separated");
    for (size_t i = 0; i < sizeof abis / sizeof *abis; i++)
        if (abis[i] <= ll_abi()) {
            at_abi(&t, abis[i], SANDBOX_ISOLATE_FULL);
            at_abi(&t, abis[i], SANDBOX_ISOLATE_READ_ONLY);
        }
    return tally_end(&t);
}

int main(void)
{
    return as_each_user(all, NULL);
}
