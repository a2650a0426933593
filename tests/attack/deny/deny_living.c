/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the roles live on goes on working: an event loop, memory, logs, files, name resolution in a
 * thread, programs that a launcher starts and that enter their own sandboxes. And how a violation
 * ends.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/attack/deny/probe.h"

static const char *const system_paths[] = {
    "/etc", "/usr", "/lib", "/lib64", "/run", "/proc/sys/crypto", NULL};
static const struct sandbox_access system_access = {
    .write_dirfd = -1, .read_dirfd = -1, .read_paths = system_paths};

typedef int life(void);

static bool enter(enum sandbox_role role, const struct sandbox_access *access)
{
    struct sandbox_report r;
    char err[256];
    if (sandbox_undumpable() == 0 && sandbox_enter(role, access, &r, err, sizeof err) == 0)
        return r.seccomp && r.syscalls > 0 && r.instructions > 0;
    printf("%s: %s\n", sandbox_role_name(role), err);
    return false;
}

static void on_byte(evutil_socket_t fd, short what, void *arg)
{
    char c;
    struct event_base *base = arg;
    if ((what & EV_READ) && recv(fd, &c, 1, 0) == 1)
        event_base_loopbreak(base);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    if (send(*(int *)arg, "x", 1, MSG_NOSIGNAL) != 1)
        _exit(3);
}

static int backwards(const void *a, const void *b)
{
    return *(const int *)a < *(const int *)b ? 1 : -1;
}

static bool use_memory(void)
{
    enum { N = 100000 };
    char *big = malloc(1 << 20);
    int *numbers = calloc(N, sizeof *numbers);
    big = big ? realloc(big, 8 << 20) : NULL;
    if (!big || !numbers)
        return false;
    memset(big, 1, 8 << 20);
    for (int i = 0; i < N; i++)
        numbers[i] = i;
    qsort(numbers, N, sizeof *numbers, backwards);
    bool ok = numbers[0] == N - 1;
    free(big);
    free(numbers);
    return ok;
}

/* A timer writes a byte, a reader ends the loop; then memory and a log line. */
static int loop_in(enum sandbox_role role)
{
    int pair[2];
    struct timeval soon = {.tv_usec = 1000};
    struct event_base *base = event_base_new();
    if (!base || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return 1;
    struct event *hangup = evsignal_new(base, SIGHUP, on_tick, &pair[0]);
    /* The parent alone takes signals, and cannot free their events any more. */
    if (!hangup || (role == SANDBOX_PARENT && event_add(hangup, NULL) != 0) || !enter(role, NULL))
        return 1;
    struct event *tick = evtimer_new(base, on_tick, &pair[0]);
    struct event *reader = event_new(base, pair[1], EV_READ | EV_PERSIST, on_byte, base);
    if (!tick || !reader || event_add(tick, &soon) != 0 || event_add(reader, NULL) != 0)
        return 1;
    if (event_base_dispatch(base) != 0 || !use_memory())
        return 1;
    event_free(tick);
    event_free(reader);
    if (role != SANDBOX_PARENT) {
        event_free(hangup);
        event_base_free(base);
    }
    log_init(sandbox_role_name(role), LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_info("alive");
    return 0;
}

static int parent_loop(void)
{
    return loop_in(SANDBOX_PARENT);
}

static int core_loop(void)
{
    return loop_in(SANDBOX_CORE);
}

static int session_loop(void)
{
    return loop_in(SANDBOX_SESSION);
}

static int launcher_loop(void)
{
    return loop_in(SANDBOX_LAUNCHER);
}

static int exec_loop(void)
{
    return loop_in(SANDBOX_EXEC);
}

static int sealed_memfd(enum sandbox_role role)
{
    if (!enter(role, NULL))
        return 1;
    int fd = memfd_create("text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || write(fd, "text", 4) != 4 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) != 0 ||
        fcntl(fd, F_GET_SEALS) != (F_SEAL_WRITE | F_SEAL_SHRINK))
        return 1;
    char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    return p != MAP_FAILED && memcmp(p, "text", 4) == 0 && munmap(p, 4096) == 0 ? 0 : 1;
}

static int core_memfd(void)
{
    return sealed_memfd(SANDBOX_CORE);
}

static int session_memfd(void)
{
    return sealed_memfd(SANDBOX_SESSION);
}

static void *resolve(void *arg)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    *(int *)arg = getaddrinfo("localhost", "80", &hints, &found);
    if (found)
        freeaddrinfo(found);
    return NULL;
}

static int resolve_in_thread(void)
{
    pthread_t thread;
    int rc = -1;
    struct addrinfo *missing = NULL;
    if (!enter(SANDBOX_CONNECT, &system_access) ||
        pthread_create(&thread, NULL, resolve, &rc) != 0 || pthread_join(thread, NULL) != 0)
        return 1;
    /* No such name: whatever asks a server may fail, but must return. */
    (void)getaddrinfo("nowhere.invalid", NULL, NULL, &missing);
    return rc == 0 && fork() < 0 && errno == EPERM ? 0 : 1;
}

static int in_child(life *l)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(l());
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int children_in_launcher(void)
{
    if (!enter(SANDBOX_LAUNCHER, &system_access))
        return 1;
    return in_child(resolve_in_thread) | in_child(session_loop) | in_child(session_memfd);
}

static int run_by_fd(const char *path, const char *option)
{
    int status, fd = open(path, O_PATH | O_CLOEXEC);
    char *const argv[] = {strdup(path), strdup(option), NULL};
    char *const envp[] = {NULL};
    pid_t pid = fork();
    if (pid == 0) {
        syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
        _exit(99);
    }
    close(fd);
    free(argv[0]);
    free(argv[1]);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                           : 1;
}

static int programs_in_launcher(void)
{
    int bad = 0, null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDOUT_FILENO);
    if (!enter(SANDBOX_LAUNCHER, &system_access))
        return 1;
    if (access("/usr/bin/openssl", F_OK) == 0)
        bad |= run_by_fd("/usr/bin/openssl", "version");
    if (access("/usr/bin/curl", F_OK) == 0)
        bad |= run_by_fd("/usr/bin/curl", "--version");
    return bad | run_by_fd("/usr/bin/true", "");
}

/* This program itself: a sanitizer's runtime starts under the inherited filter as well. */
static int oneself_in_launcher(void)
{
    char self[256], directory[256];
    const char *const paths[] = {"/etc", "/usr", "/lib", "/lib64", directory, NULL};
    struct sandbox_access access = {.write_dirfd = -1, .read_dirfd = -1, .read_paths = paths};
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return 1;
    self[n] = '\0';
    memcpy(directory, self, sizeof self);
    *strrchr(directory, '/') = '\0';
    if (run_by_fd(self, "nothing") != 0) {
        printf("skipped: this user cannot run %s\n", self);
        return 0;
    }
    return enter(SANDBOX_LAUNCHER, &access) && run_by_fd(self, "nothing") == 0 ? 0 : 1;
}

static int undumpable(void)
{
    struct rlimit before, after;
    if (getrlimit(RLIMIT_CORE, &before) != 0 || sandbox_undumpable() != 0 ||
        getrlimit(RLIMIT_CORE, &after) != 0)
        return 1;
    return prctl(PR_GET_DUMPABLE) == 0 && after.rlim_cur == 0 && after.rlim_max == before.rlim_max
               ? 0
               : 1;
}

static int namespaces_when_allowed(void)
{
    struct sandbox_access access = {.write_dirfd = -1, .read_dirfd = -1, .allow_namespaces = true};
    bool without = unshare(0) == 0;
    if (!enter(SANDBOX_EXEC, &access))
        return 1;
    /* Bad arguments: the kernel's answer, not the filter's. */
    return without && syscall(SYS_setns, -1, 0) != 0 && errno == EBADF &&
                   syscall(SYS_ptrace, -1, -1) != 0 && errno == EPERM
               ? 0
               : 1;
}

static const struct {
    const char *name;
    life *life;
} lives[] = {
    {"parent: event loop, memory, log", parent_loop},
    {"core: event loop, memory, log", core_loop},
    {"session: event loop, memory, log", session_loop},
    {"launcher: event loop, memory, log", launcher_loop},
    {"exec: event loop, memory, log", exec_loop},
    {"core: a sealed memfd", core_memfd},
    {"session: a sealed memfd", session_memfd},
    {"connect: names resolved in a thread", resolve_in_thread},
    {"launcher: children enter their sandboxes", children_in_launcher},
    {"launcher: programs start", programs_in_launcher},
    {"launcher: this program starts", oneself_in_launcher},
    {"exec: namespaces when allowed", namespaces_when_allowed},
    {"non-dumpable, no core dumps", undumpable},
};

static void violate(enum sandbox_role role, int *status, char *line, size_t size, int how)
{
    int p[2];
    sigset_t all;
    if (pipe(p) != 0)
        abort();
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(p[1], STDERR_FILENO);
        if (how == 1) {
            sigfillset(&all);
            sigprocmask(SIG_BLOCK, &all, NULL);
        }
        if (!enter(role, NULL))
            _exit(1);
        if (how == 2) /* nobody reads, and the pipe is full */
            while (fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK) == 0 &&
                   write(STDERR_FILENO, line, size) > 0)
                ;
        if (how == 2)
            fcntl(STDERR_FILENO, F_SETFL, 0);
        socket(AF_INET, SOCK_STREAM, 0);
        _exit(0);
    }
    close(p[1]);
    waitpid(pid, status, 0);
    ssize_t n = how == 2 ? 0 : read(p[0], line, size - 1);
    line[n > 0 ? n : 0] = '\0';
    close(p[0]);
}

static void violations(struct tally *t, enum sandbox_role role)
{
    static const char *const ways[] = {"at once", "with every signal blocked",
                                       "when nobody reads its log"};
    char wanted[128];
    snprintf(wanted, sizeof wanted,
             "tw-agent[%s]: sandbox violation: system call socket (%d) is not allowed\n",
             sandbox_role_name(role), SYS_socket);
    for (int how = 0; how < 3; how++) {
        char line[256] = {0};
        int status = 0;
        violate(role, &status, line, sizeof line, how);
        bool said = how == 1 || how == 2 || strcmp(line, wanted) == 0;
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS && said)
            tally_good(t);
        else
            tally_bad(t, "%s: a violation %s: status %x, line %s", sandbox_role_name(role),
                      ways[how], (unsigned)status, line);
    }
}

static int compare_long(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return x < y ? -1 : x > y;
}

/* The agent starts six processes and more within 50 ms: printed, so that a change is seen. */
static void print_cost(enum sandbox_role role)
{
    enum { RUNS = 31 };
    long took[RUNS] = {0};
    struct sandbox_report r = {0};
    for (int i = 0; i < RUNS; i++) {
        struct {
            long ns;
            struct sandbox_report report;
        } *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            struct timespec a, b;
            char err[128];
            clock_gettime(CLOCK_MONOTONIC, &a);
            sandbox_enter(role, &system_access, &shared->report, err, sizeof err);
            clock_gettime(CLOCK_MONOTONIC, &b);
            shared->ns = (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec;
            _exit(0);
        }
        waitpid(pid, NULL, 0);
        took[i] = shared->ns;
        r = shared->report;
        munmap(shared, 4096);
    }
    qsort(took, RUNS, sizeof *took, compare_long);
    printf("%-12s %4ld us, %3u system calls, %3u instructions, Landlock ABI %d%s%s\n",
           sandbox_role_name(role), took[RUNS / 2] / 1000, r.syscalls, r.instructions,
           r.landlock_abi, r.landlock_scoped ? ", scoped" : "",
           r.sanitizer_rows ? ", with the sanitizer's rows" : "");
}

static int all(void *argument)
{
    struct tally t = {.what = "what the roles live on"};
    (void)argument;
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
        int code = in_child(lives[i].life);
        if (code == 0)
            tally_good(&t);
        else
            tally_bad(&t, "%s: %d", lives[i].name, code);
    }
    violations(&t, SANDBOX_PARENT);
    violations(&t, SANDBOX_CORE);
    violations(&t, SANDBOX_SESSION);
    for (unsigned role = 0; role < SANDBOX_ROLES; role++)
        print_cost(role);
    return tally_end(&t);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "nothing") == 0)
        return 0;
    return as_each_user(all, NULL);
}
