/* SPDX-License-Identifier: Apache-2.0 */
/* What a role may reach by its access, and what Landlock keeps from it, at this kernel's ABI and
 * all below. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/landlock.h"
#include "tests/attack/deny/probe.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262 /* Linux 5.6 */
#endif

struct place {
    char directory[128]; /* state/ is given, other/ is not */
    int state, other;
    int listener[2];
    uint16_t port[2];
    pid_t stranger;
};

enum expected { WORKS, DENIED };

static long open_etc(const void *p)
{
    (void)p;
    int fd = openat(AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : 0;
}

static long read_state(const void *p)
{
    const struct place *w = p;
    int fd = openat(w->state, "token", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : 0;
}

static long read_other(const void *p)
{
    const struct place *w = p;
    int fd = openat(w->other, "token", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : 0;
}

static long write_in(int directory)
{
    int fd = openat(directory, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || fdatasync(fd) != 0 || close(fd) != 0)
        return -errno;
    if (renameat(directory, "new", directory, "renamed") != 0 ||
        unlinkat(directory, "renamed", 0) != 0)
        return -errno;
    return 0;
}

static long write_state(const void *p)
{
    return write_in(((const struct place *)p)->state);
}

static long write_other(const void *p)
{
    return write_in(((const struct place *)p)->other);
}

static long move_between(const void *p)
{
    const struct place *w = p;
    int fd = openat(w->state, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || (mkdirat(w->state, "sub", 0700) != 0 && errno != EEXIST) ||
        renameat(w->state, "new", w->state, "sub/new") != 0 ||
        unlinkat(w->state, "sub/new", 0) != 0)
        return -errno;
    return 0;
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static long connect_by(int protocol, uint16_t port)
{
    struct sockaddr_in to = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol);
    return fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0 ? -errno : 0;
}

static long tcp_connect(uint16_t port)
{
    return connect_by(0, port);
}

/* Ways past connect(2) and TCP, which are what Landlock looks at. */
static long connect_multipath(const void *p)
{
    return connect_by(IPPROTO_MPTCP, ((const struct place *)p)->port[1]);
}

static long connect_by_sendto(const void *p)
{
    struct sockaddr_in to = loopback(((const struct place *)p)->port[1]);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 || sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&to, sizeof to) != 1
               ? -errno
               : 0;
}

static long connect_by_message(const void *p, bool many)
{
    struct sockaddr_in to = loopback(((const struct place *)p)->port[1]);
    struct iovec bytes = {(char[]){'x'}, 1};
    struct mmsghdr m = {
        .msg_hdr = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &bytes, .msg_iovlen = 1}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    long n = many ? sendmmsg(fd, &m, 1, MSG_FASTOPEN) : sendmsg(fd, &m.msg_hdr, MSG_FASTOPEN);
    return n == 1 ? 0 : -errno;
}

static long connect_by_sendmsg(const void *p)
{
    return connect_by_message(p, false);
}

static long connect_by_sendmmsg(const void *p)
{
    return connect_by_message(p, true);
}

static long connect_given(const void *p)
{
    return tcp_connect(((const struct place *)p)->port[0]);
}

static long connect_other(const void *p)
{
    return tcp_connect(((const struct place *)p)->port[1]);
}

static long tcp_bind(const void *p)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)p;
    return fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ? -errno : 0;
}

static socklen_t abstract_name(struct sockaddr_un *name, pid_t pid)
{
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(name->sun_path + 1, sizeof name->sun_path - 1, "tw-deny-%d", (int)pid);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static long connect_abstract(const void *p)
{
    struct sockaddr_un to;
    socklen_t len = abstract_name(&to, ((const struct place *)p)->stranger);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 || connect(fd, (struct sockaddr *)&to, len) != 0 ? -errno : 0;
}

/* The stranger dies of it only where it is not denied: the baseline uses another one. */
static long kill_stranger(const void *p)
{
    return kill(((const struct place *)p)->stranger, SIGKILL) != 0 ? -errno : 0;
}

static long kill_own_child(const void *p)
{
    (void)p;
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pselect(0, NULL, NULL, NULL, NULL, NULL);
    return kill(pid, SIGKILL) != 0 ? -errno : 0;
}

static long run_true(const void *p)
{
    int status;
    (void)p;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/usr/bin/true", "true", (char *)NULL);
        _exit(99);
    }
    if (pid < 0)
        return -errno;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -ECHILD;
    return WEXITSTATUS(status) == 99 ? -EACCES : -(long)WEXITSTATUS(status);
}

static void one(struct tally *t, const char *name, enum sandbox_role role,
                const struct sandbox_access *access, probe_call *call, const struct place *w,
                enum expected expected)
{
    char bare_text[64], text[64];
    struct outcome bare = probe_run(NO_ROLE, NULL, call, w);
    struct outcome o = probe_run(role, access, call, w);
    outcome_print(bare_text, sizeof bare_text, &bare);
    outcome_print(text, sizeof text, &o);
    bool refused = outcome_is(&o, EACCES) || outcome_is(&o, EPERM) || outcome_trapped(&o);
    if (!outcome_is(&bare, 0))
        tally_skip(t, "%s: fails without a sandbox as well: %s", name, bare_text);
    else if (expected == WORKS ? outcome_is(&o, 0) : refused)
        tally_good(t);
    else
        tally_bad(t, "%s in %s: %s", name, sandbox_role_name(role), text);
}

static void files(struct tally *t, const struct place *w)
{
    struct sandbox_access state = {.write_dirfd = w->state, .read_dirfd = -1};
    struct sandbox_access reads = {.write_dirfd = -1, .read_dirfd = w->state};
    one(t, "write in the state directory", SANDBOX_CORE, &state, write_state, w, WORKS);
    if (ll_abi() >= LL_ABI_REFER) /* every_abi shows what ABI 1 does */
        one(t, "move below the state directory", SANDBOX_CORE, &state, move_between, w, WORKS);
    one(t, "read in the state directory", SANDBOX_CORE, &state, read_state, w, WORKS);
    one(t, "write elsewhere", SANDBOX_CORE, &state, write_other, w, DENIED);
    one(t, "read elsewhere", SANDBOX_CORE, &state, read_other, w, DENIED);
    one(t, "/etc/passwd", SANDBOX_CORE, &state, open_etc, w, DENIED);
    one(t, "the state directory, not given", SANDBOX_CORE, NULL, write_state, w, DENIED);
    one(t, "read the token's directory", SANDBOX_PARENT, &reads, read_state, w, WORKS);
    one(t, "read elsewhere", SANDBOX_PARENT, &reads, read_other, w, DENIED);
    one(t, "write the token's directory", SANDBOX_PARENT, &reads, write_state, w, DENIED);
    one(t, "/etc/passwd", SANDBOX_PARENT, &reads, open_etc, w, DENIED);
    one(t, "/etc/passwd", SANDBOX_SESSION, &reads, open_etc, w, DENIED);
    one(t, "read", SANDBOX_SESSION, &reads, read_state, w, DENIED);
}

static void network(struct tally *t, const struct place *w)
{
    static const char *const etc[] = {"/etc", "/nonexistent/path", NULL};
    static const char *const system[] = {"/etc", "/usr", "/lib", "/lib64", NULL};
    struct sandbox_access port = {.write_dirfd = -1,
                                  .read_dirfd = -1,
                                  .read_paths = etc,
                                  .connect_ports = &w->port[0],
                                  .n_connect_ports = 1};
    struct sandbox_access programs = port;
    programs.read_paths = system;
    one(t, "/etc/passwd", SANDBOX_CONNECT, &port, open_etc, w, WORKS);
    one(t, "read elsewhere", SANDBOX_CONNECT, &port, read_other, w, DENIED);
    one(t, "write", SANDBOX_CONNECT, &port, write_other, w, DENIED);
    one(t, "the program true", SANDBOX_LAUNCHER, &programs, run_true, w, WORKS);
    one(t, "the program true", SANDBOX_LAUNCHER, &port, run_true, w, DENIED);
    one(t, "the program true", SANDBOX_CONNECT, &programs, run_true, w, DENIED);
    if (ll_abi() < LL_ABI_NET) {
        tally_skip(t, "TCP: Landlock ABI %d has no ports", ll_abi());
        return;
    }
    one(t, "the given port", SANDBOX_CONNECT, &port, connect_given, w, WORKS);
    one(t, "another port", SANDBOX_CONNECT, &port, connect_other, w, DENIED);
    one(t, "another port, MPTCP", SANDBOX_CONNECT, &port, connect_multipath, w, DENIED);
    one(t, "another port, sendto", SANDBOX_CONNECT, &port, connect_by_sendto, w, DENIED);
    one(t, "another port, sendmsg", SANDBOX_CONNECT, &port, connect_by_sendmsg, w, DENIED);
    one(t, "another port, sendmmsg", SANDBOX_CONNECT, &port, connect_by_sendmmsg, w, DENIED);
    one(t, "another port, MPTCP", SANDBOX_LAUNCHER, &port, connect_multipath, w, DENIED);
    one(t, "another port, sendto", SANDBOX_LAUNCHER, &port, connect_by_sendto, w, DENIED);
    one(t, "another port, sendmsg", SANDBOX_LAUNCHER, &port, connect_by_sendmsg, w, DENIED);
    one(t, "another port, sendmmsg", SANDBOX_LAUNCHER, &port, connect_by_sendmmsg, w, DENIED);
    one(t, "any port, none given", SANDBOX_CONNECT, NULL, connect_given, w, DENIED);
    one(t, "bind TCP", SANDBOX_CONNECT, &port, tcp_bind, w, DENIED);
    one(t, "another port", SANDBOX_LAUNCHER, &port, connect_other, w, DENIED);
    one(t, "the given port", SANDBOX_LAUNCHER, &port, connect_given, w, WORKS);
    one(t, "TCP", SANDBOX_SESSION, &port, connect_given, w, DENIED);
}

static pid_t start_stranger(bool listening)
{
    int p[2];
    char c = 0;
    if (pipe(p) != 0)
        abort();
    pid_t pid = fork();
    if (pid == 0) {
        struct sockaddr_un name;
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        socklen_t len = abstract_name(&name, getpid());
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (listening && (bind(fd, (struct sockaddr *)&name, len) != 0 || listen(fd, 8) != 0))
            _exit(1);
        if (write(p[1], "+", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(p[1]);
    if (read(p[0], &c, 1) != 1)
        abort();
    close(p[0]);
    return pid;
}

static void scopes(struct tally *t, struct place *w)
{
    struct outcome o;
    int status;
    if (ll_abi() < LL_ABI_SCOPES) {
        tally_skip(t, "signals and abstract sockets: Landlock ABI %d has no scopes", ll_abi());
        return;
    }
    w->stranger = start_stranger(true);
    one(t, "an abstract socket", SANDBOX_CONNECT, NULL, connect_abstract, w, DENIED);
    one(t, "an abstract socket", SANDBOX_EXEC, NULL, connect_abstract, w, DENIED);
    one(t, "its own child", SANDBOX_LAUNCHER, NULL, kill_own_child, w, WORKS);
    for (int i = 0; i < 2; i++) {
        o = probe_run(i ? SANDBOX_EXEC : SANDBOX_LAUNCHER, NULL, kill_stranger, w);
        if (outcome_is(&o, EPERM) && waitpid(w->stranger, &status, WNOHANG) == 0)
            tally_good(t);
        else
            tally_bad(t, "a process outside was signalled");
    }
    o = probe_run(NO_ROLE, NULL, kill_stranger, w);
    if (outcome_is(&o, 0) && waitpid(w->stranger, &status, 0) == w->stranger)
        tally_good(t);
    else
        tally_bad(t, "a process outside cannot be signalled without a sandbox");
}

/* The same code at every ABI up to this kernel's: older kernels get it, and it must hold there too.
 */
struct at_abi {
    const struct place *place;
    int abi;
};

static long enter_at(const void *p)
{
    const struct at_abi *a = p;
    struct sandbox_access access = {.write_dirfd = a->place->state, .read_dirfd = -1};
    struct sandbox_report r = {0};
    char err[128];
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ll_enter(SANDBOX_CORE, a->abi, &access, &r, err, sizeof err) != 0 ||
        r.landlock_abi != a->abi || r.landlock_scoped != (a->abi >= LL_ABI_SCOPES))
        return -EINVAL;
    if (write_state(a->place) != 0)
        return -ENOENT;
    if (open_etc(a->place) != -EACCES || write_other(a->place) != -EACCES)
        return -EIO;
    /* Moving between directories needs a right that ABI 1 does not have. */
    if (move_between(a->place) != (a->abi < LL_ABI_REFER ? -EXDEV : 0))
        return -EXDEV;
    return connect_given(a->place) != (a->abi < LL_ABI_NET ? 0 : -EACCES) ? -ENETDOWN : 0;
}

static void every_abi(struct tally *t, const struct place *w)
{
    for (int abi = 1; abi <= ll_abi(); abi++) {
        char text[64];
        struct at_abi a = {.place = w, .abi = abi};
        struct outcome o = probe_run(NO_ROLE, NULL, enter_at, &a);
        outcome_print(text, sizeof text, &o);
        if (outcome_is(&o, 0))
            tally_good(t);
        else
            tally_bad(t, "ABI %d: %s", abi, text);
    }
}

static bool listen_on(int *fd, uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&at, len) != 0 || listen(*fd, 64) != 0 ||
        getsockname(*fd, (struct sockaddr *)&at, &len) != 0)
        return false;
    *port = ntohs(at.sin_port);
    return true;
}

static int make_subdirectory(const char *directory, const char *name)
{
    char path[192];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (mkdir(path, 0700) != 0)
        return -1;
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = openat(dir, "token", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 && close(fd) == 0 ? dir : -1;
}

static int all(void *argument)
{
    struct tally t = {.what = "Landlock: reach of the roles"};
    struct place w = {.state = -1};
    char command[192];
    (void)argument;
    if (ll_abi() == 0) {
        printf("skipped: this kernel has no Landlock\n");
        return 0;
    }
    if (!make_directory(w.directory, sizeof w.directory) ||
        (w.state = make_subdirectory(w.directory, "state")) < 0 ||
        (w.other = make_subdirectory(w.directory, "other")) < 0 ||
        !listen_on(&w.listener[0], &w.port[0]) || !listen_on(&w.listener[1], &w.port[1]))
        return 1;
    files(&t, &w);
    network(&t, &w);
    scopes(&t, &w);
    every_abi(&t, &w);
    for (int i = 0; i < 2; i++)
        close(w.listener[i]);
    snprintf(command, sizeof command, "rm -rf '%s'", w.directory);
    return system(command) == 0 ? tally_end(&t) : 1;
}

int main(void)
{
    return as_each_user(all, NULL);
}
