/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/exec/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fds.h"
#include "ipc/memfd.h"

uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void options_init(struct options *o)
{
    memset(o, 0, sizeof *o);
    snprintf(o->work_dir, sizeof o->work_dir, "/tmp/tw-exec.XXXXXX");
    assert_non_null(mkdtemp(o->work_dir));
    for (int i = 0; i < 16; i++) {
        struct rlimit r;
        assert_int_equal(getrlimit(i, &r), 0);
        o->limits[i].soft = r.rlim_cur == RLIM_INFINITY ? UINT64_MAX : r.rlim_cur;
        o->limits[i].hard = r.rlim_max == RLIM_INFINITY ? UINT64_MAX : r.rlim_max;
    }
    o->config = (struct msg_exec_config){.uid = getuid(),
                                         .gid = getgid(),
                                         .log_level = 1,
                                         .umask = 022,
                                         .max_commands = 16,
                                         .max_output = LIMIT_OUTPUT_DEFAULT,
                                         .env_from = ENV_FROM_NONE,
                                         .user = span_of("tester"),
                                         .home = span_of("/"),
                                         .shell = span_of("/bin/bash"),
                                         .work_dir = span_of(o->work_dir)};
}

void options_run_as(struct options *o, const char *user)
{
    struct passwd *p = getpwnam(user);
    gid_t groups[32];
    int n = 32;
    assert_non_null(p);
    assert_true(getgrouplist(user, p->pw_gid, groups, &n) >= 0);
    for (int i = 0; i < n; i++)
        o->groups[i] = groups[i];
    o->config.groups = (struct span){(const char *)o->groups, (size_t)n * sizeof *o->groups};
    o->config.system_mode = 1;
    o->config.uid = p->pw_uid;
    o->config.gid = p->pw_gid;
    o->config.user = span_of(user);
    o->config.home = span_of(p->pw_dir);
    assert_int_equal(chown(o->work_dir, p->pw_uid, p->pw_gid), 0);
}

void options_finish(struct options *o)
{
    char command[192];
    snprintf(command, sizeof command, "rm -rf '%s' '%s.log'", o->work_dir, o->work_dir);
    assert_int_equal(system(command), 0);
}

static void program_path(char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 64);
    assert_true(n > 0);
    path[n] = '\0';
    *strrchr(path, '/') = '\0';
    *strrchr(path, '/') = '\0';
    snprintf(path + strlen(path), 64, "/libexec/tw-agent/tw-agent-exec");
}

static int environment_fd(const struct options *o)
{
    static const char plain[] = "PATH=/usr/local/bin:/usr/bin:/bin\0HOME=/\0";
    const char *e = o->environment ? o->environment : plain;
    size_t n = 0;
    while (e[n] != '\0')
        n += strlen(e + n) + 1;
    return memfd_of("environment", e, n);
}

static void log_name(const struct options *o, char *path, size_t size)
{
    snprintf(path, size, "%s.log", o->work_dir);
}

bool log_has(const struct options *o, const char *text)
{
    char path[sizeof o->work_dir + 4], line[1024];
    bool found = false;
    log_name(o, path, sizeof path);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (!found && fgets(line, sizeof line, f))
        found = strstr(line, text);
    fclose(f);
    return found;
}

void driver_launch(struct driver *d, const struct options *o)
{
    char path[4096];
    int parent[2], core[2];
    struct msg_exec_config config = o->config;
    static char *const empty[] = {NULL};
    *d = (struct driver){.error = -1, .ticket = 100};
    config.limits = (struct span){(const char *)o->limits, sizeof o->limits};
    config.ignored_signals = (struct span){(const char *)&o->ignored, 8};
    config.blocked_signals = (struct span){(const char *)&o->blocked, 8};
    program_path(path, sizeof path);
    assert_int_equal(packet_pair(parent), 0);
    assert_int_equal(packet_pair(core), 0);
    if (o->send_buffer > 0)
        assert_int_equal(
            setsockopt(core[1], SOL_SOCKET, SO_SNDBUF, &o->send_buffer, sizeof o->send_buffer), 0);
    int fd = environment_fd(o);
    assert_true(fd >= 0);
    assert_int_equal(packet_send_message(parent[0], MSG_exec_config, &config, fd), 0);
    close(fd);
    char log_path[sizeof o->work_dir + 4];
    log_name(o, log_path, sizeof log_path);
    d->pid = fork();
    assert_true(d->pid >= 0);
    if (d->pid == 0) {
        int log = o->log ? open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
        if (log >= 0)
            dup2(log, STDERR_FILENO);
        if (o->injection && !injection_enter(o->injection))
            _exit(98);
        char *argv[] = {(char[]){"tw-agent-exec"}, NULL};
        int ends[] = {parent[1], core[1]};
        if (fds_arrange(BIRTH_FD_FIRST, ends, 2) == 0)
            execve(path, argv, empty);
        _exit(99);
    }
    close(parent[1]);
    close(core[1]);
    if (o->injection)
        injection_watch(o->injection, d->pid);
    d->parent = parent[0];
    d->core = core[0];
}

/* One packet within the time; false: end of file or none. */
static bool receive(int fd, unsigned direction, struct packet *p, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    const char *why = "";
    int n;
    do
        n = poll(&poll_fd, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        return false;
    enum packet_outcome outcome = packet_receive(fd, p, direction, PHASE_RUN, &why);
    if (outcome == PACKET_HOSTILE)
        print_error("exec broke the table: %s\n", why);
    return outcome == PACKET_OK;
}

void driver_await_ready(struct driver *d)
{
    struct packet p;
    assert_true(receive(d->parent, EXEC_TO_PARENT, &p, PATIENCE_MS));
    assert_int_equal(p.type, MSG_started);
    d->started = p.message.started;
    assert_true(receive(d->core, EXEC_TO_CORE, &p, PATIENCE_MS));
    if (p.type == MSG_exec_ready) {
        assert_true(span_copy(d->work_dir, sizeof d->work_dir, p.message.exec_ready.work_dir));
        d->error = 0;
        return;
    }
    assert_int_equal(p.type, MSG_exec_unready);
    assert_true(span_copy(d->work_dir, sizeof d->work_dir, p.message.exec_unready.work_dir));
    d->error = (int)p.message.exec_unready.error;
}

void driver_start(struct driver *d, const struct options *o)
{
    driver_launch(d, o);
    driver_await_ready(d);
}

uint64_t driver_send(struct driver *d, const void *text, size_t len)
{
    struct msg_run m = {.ticket = ++d->ticket};
    int fd = -1;
    if (len <= LIMIT_INLINE_TEXT)
        m.text = (struct span){text, len};
    else
        assert_true((fd = memfd_of("text", text, len)) >= 0);
    struct pollfd room = {.fd = d->core, .events = POLLOUT};
    while (packet_send_message(d->core, MSG_run, &m, fd) != 0) {
        assert_int_equal(errno, EAGAIN);
        assert_int_equal(poll(&room, 1, PATIENCE_MS), 1);
    }
    fds_close(&fd);
    return m.ticket;
}

uint64_t driver_send_text(struct driver *d, const char *text)
{
    return driver_send(d, text, strlen(text));
}

bool driver_receive(struct driver *d, struct result *r, int timeout_ms)
{
    struct packet p;
    struct memfd_map map = {{NULL, 0}, NULL};
    if (!receive(d->core, EXEC_TO_CORE, &p, timeout_ms))
        return false;
    assert_int_equal(p.type, MSG_finished);
    if (p.fd >= 0) {
        assert_int_equal(memfd_map(&map, p.fd, LIMIT_OUTPUT), 0);
        assert_true(map.bytes.len > 0);
        close(p.fd);
    }
    const struct msg_finished *m = &p.message.finished;
    *r = (struct result){.ticket = m->ticket,
                         .status = (int)m->status,
                         .dropped = m->dropped,
                         .timed_out = m->timed_out,
                         .output = malloc(map.bytes.len + 1),
                         .len = map.bytes.len};
    assert_non_null(r->output);
    if (r->len > 0)
        memcpy(r->output, map.bytes.data, r->len);
    r->output[r->len] = '\0';
    memfd_unmap(&map);
    return true;
}

void result_finish(struct result *r)
{
    free(r->output);
    r->output = NULL;
}

struct result driver_run(struct driver *d, const char *text)
{
    struct result r = {0};
    uint64_t ticket = driver_send_text(d, text);
    assert_true(driver_receive(d, &r, PATIENCE_MS));
    assert_int_equal(r.ticket, ticket);
    return r;
}

void driver_expect(struct driver *d, const char *text, int status, const char *output)
{
    struct result r = driver_run(d, text);
    assert_string_equal(r.output, output);
    assert_int_equal(r.status, status);
    assert_int_equal(r.dropped, 0);
    assert_false(r.timed_out);
    result_finish(&r);
}

int driver_wait(struct driver *d, int timeout_ms)
{
    int status;
    uint64_t until = now_ms() + (uint64_t)timeout_ms;
    do {
        if (waitpid(d->pid, &status, WNOHANG) == d->pid)
            return status;
        usleep(2000);
    } while (now_ms() < until);
    kill(d->pid, SIGKILL);
    waitpid(d->pid, &status, 0);
    return -1;
}

void driver_stop(struct driver *d)
{
    fds_close(&d->core);
    fds_close(&d->parent);
    assert_int_equal(driver_wait(d, PATIENCE_MS), 0);
}

bool eventually(bool (*condition)(const void *), const void *argument, int timeout_ms)
{
    uint64_t until = now_ms() + (uint64_t)timeout_ms;
    while (!condition(argument)) {
        if (now_ms() > until)
            return false;
        usleep(5000);
    }
    return true;
}

bool is_file(const void *path)
{
    return access(path, F_OK) == 0;
}

bool has_line(const void *path)
{
    char text[64] = "";
    FILE *f = fopen(path, "r");
    bool whole = f && fgets(text, sizeof text, f) && strchr(text, '\n');
    if (f)
        fclose(f);
    return whole;
}

const char *in_work(const struct options *o, const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", o->work_dir, name);
    return path;
}

pid_t await_pid(const struct options *o, const char *name)
{
    const char *path = in_work(o, name);
    char text[32] = "";
    assert_true(eventually(has_line, path, PATIENCE_MS));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    pid_t pid = (pid_t)strtol(text, NULL, 10);
    assert_true(pid > 1);
    return pid;
}

void make_file(const struct options *o, const char *name)
{
    int fd = open(in_work(o, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
}

/* As /proc has it; 0: there is none. */
static char state_of(pid_t pid)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    const char *end = f && fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    if (f)
        fclose(f);
    return end && end[1] == ' ' ? end[2] : '\0';
}

bool is_gone(const void *pid)
{
    char state = state_of(*(const pid_t *)pid);
    /* A container's first process may never reap. */
    return state == '\0' || state == 'Z' || state == 'X';
}

bool is_asleep(const void *pid)
{
    return state_of(*(const pid_t *)pid) == 'S';
}

bool tests_become(void)
{
    const char *user = getenv("TW_TEST_AS");
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    if (geteuid() != 0) {
        if (user)
            printf("skipped: only root can run the tests as %s\n", user);
        return !user;
    }
    if (!getpwnam(DRIVER_USER) && system(ALONE "useradd -m -s /bin/bash " DRIVER_USER) != 0 &&
        user) {
        printf("skipped: user %s cannot be created\n", DRIVER_USER);
        return false;
    }
    if (!user)
        return true;
    char path[4096];
    struct passwd *p = getpwnam(user);
    program_path(path, sizeof path);
    if (!p || initgroups(user, p->pw_gid) != 0 || setgid(p->pw_gid) != 0 ||
        setuid(p->pw_uid) != 0 || access(path, X_OK) != 0) {
        printf("skipped: user %s cannot run %s\n", user, path);
        return false;
    }
    return true;
}
