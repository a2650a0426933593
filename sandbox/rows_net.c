/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connector and its launcher. Both answer an unknown call with EPERM instead of ending the
 * process: the modules that resolve names differ by site, and have a plan B.
 *
 * Filters are inherited, so the launcher's must allow whatever its children do: it is the union of
 * the connector's rows, the session's and those that start a program. A deny-list would be easier
 * to keep complete, but would leave the process tree that faces the network nearly the whole kernel
 * until its children's own filters are in place. Built as a union, the launcher's list cannot fall
 * behind its children's (a unit test compares them).
 */
#include "sandbox/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define WRITING_FLAGS (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))
#define NAMESPACE_FLAGS                                                                            \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET)

static const struct row network[] = {
    /* Landlock limits the ports of TCP alone, not of MPTCP, and not where a connection is made by
     * sending (MSG_FASTOPEN). */
    ROW_IF(socket, (IS(0, AF_INET), IS(2, 0)), "DNS; address selection"),
    ROW_IF(socket, (IS(0, AF_INET), IS(2, IPPROTO_TCP)), "the connection; DNS"),
    ROW_IF(socket, (IS(0, AF_INET), IS(2, IPPROTO_UDP)), "name services over UDP"),
    ROW_IF(socket, (IS(0, AF_INET6), IS(2, 0)), "DNS; address selection"),
    ROW_IF(socket, (IS(0, AF_INET6), IS(2, IPPROTO_TCP)), "the connection; DNS"),
    ROW_IF(socket, (IS(0, AF_INET6), IS(2, IPPROTO_UDP)), "name services over UDP"),
    ROW_IF(socket, (IS(0, AF_UNIX)), "nscd, systemd-resolved, sssd"),
    ROW_IF(socket, (IS(0, AF_NETLINK)), "getaddrinfo asks which address families are in use"),
    ROW(connect, "the connection; DNS. Landlock limits TCP to its ports"),
    ROW(bind, "netlink sockets; Landlock refuses it for TCP"),
    ROW_IF(sendmmsg, (BITS(3, MSG_FASTOPEN, 0)), "glibc asks for A and AAAA at once"),
    ROW_IF(sendto, (BITS(3, MSG_FASTOPEN, 0)),
           "netlink is asked under an address; so are NIS and others by their modules"),
    ROW(recvmmsg, "resolvers"),
    ROW(setsockopt, "libcurl's socket options"),
    ROW(getsockname, "libcurl; address selection"),
    ROW(getpeername, "libcurl"),
    ROW(shutdown, "resolvers' stream sockets"),
    ROW_IF(socketpair, (IS(0, AF_UNIX)), "libcurl's resolver thread wakes its loop; channels"),
    ROW(pipe2, "the loop's signal pipe"),
    ROW(pipe, "the loop's signal pipe"),
    ROW(eventfd2, "libcurl wakes its loop"),
    ROW(select, "resolvers"),
    ROW(pselect6, "resolvers"),
    ROW(readv, "resolvers"),
    ROW_IF(ioctl, (IS(1, FIONREAD)), "glibc's resolver: the size of an answer"),
    ROW_IF(ioctl, (IS(1, FIONBIO)), "libcurl: non-blocking sockets"),
    ROW_IF(openat, (BITS(2, WRITING_FLAGS, O_RDONLY)),
           "hosts, resolv.conf, modules; Landlock limits it"),
    ROW_IF(open, (BITS(1, WRITING_FLAGS, O_RDONLY)),
           "hosts, resolv.conf, modules; Landlock limits it"),
    ROW(pread64, "the loader"),
    ROW(lseek, "configuration files"),
    ROW(stat, "configuration files and modules"),
    ROW(lstat, "configuration files and modules"),
    ROW(statx, "configuration files and modules"),
    ROW(statfs, "the loader; libselinux in modules"),
    ROW(fstatfs, "the loader; libselinux in modules"),
    ROW(access, "the loader: ld.so.preload"),
    ROW(faccessat, "the loader: ld.so.preload"),
    ROW(faccessat2, "the loader: ld.so.preload"),
    ROW(readlink, "links to resolv.conf"),
    ROW(readlinkat, "links to resolv.conf"),
    ROW(getdents64, "processors are counted in /sys"),
    ROW(getcwd, "the loader: $ORIGIN"),
    ROW_IF(fcntl, (IS(1, F_DUPFD)), "libcurl duplicates its socket"),
    ROW_ANSWER(clone3, ENOSYS, "its flags are out of a filter's sight: glibc takes clone instead"),
    ROW(set_robust_list, "a thread's start"),
    ROW(rseq, "a thread's start"),
    ROW(set_tid_address, "a thread's or program's start"),
    ROW(getppid, "modules"),
    ROW(getuid, "modules: is this program privileged?"),
    ROW(geteuid, "modules: is this program privileged?"),
    ROW(getgid, "modules: is this program privileged?"),
    ROW(getegid, "modules: is this program privileged?"),
    ROW(getresuid, "modules: is this program privileged?"),
    ROW(getresgid, "modules: is this program privileged?"),
    ROW(uname, "the loader; the local host's name"),
    ROW(sched_yield, "locks inside modules"),
    ROW(sched_getaffinity, "malloc counts processors"),
    ROW(membarrier, "modules with threads"),
    ROW(rt_sigaction, "libcurl ignores SIGPIPE; nothing here relies on a handler"),
    ROW(sigaltstack, "a thread's end"),
    ROW(clock_getres, "resolvers' timeouts"),
    ROW(clock_nanosleep, "resolvers' retries"),
    ROW(nanosleep, "resolvers' retries"),
    ROW_IF(prlimit64, (IS(0, 0)), "the stack size of a new thread: our own limits alone"),
    ROW(getrlimit, "the stack size of a new thread"),
    ROW_IF(prctl, (IS(0, PR_SET_NAME)), "threads and programs name themselves"),
};
ROW_GROUP(rows_network, network);

/* Takes the place of rows_memory, whose mmap and mprotect exclude code. */
static const struct row network_memory[] = {
    ROW(brk, "malloc"),
    ROW(mmap, "malloc; the code of name service modules"),
    ROW(mprotect, "the loader's read-only relocations; thread stacks"),
    ROW(munmap, "malloc"),
    ROW(mremap, "realloc of large blocks"),
    ROW(madvise, "malloc gives pages back; thread stacks"),
};
ROW_GROUP(rows_network_memory, network_memory);

static const struct row connect_only[] = {
    ROW_IF(clone, (BITS(0, CLONE_THREAD | NAMESPACE_FLAGS, CLONE_THREAD)),
           "libcurl resolves in a thread; no processes"),
};
ROW_GROUP(rows_connect, connect_only);

static const struct row launcher[] = {
    ROW_IF(clone, (BITS(0, NAMESPACE_FLAGS, 0)), "its programs, and the connector's thread"),
    ROW(vfork, "its programs"),
    ROW(fork, "its programs"),
    ROW(execve, "its programs; Landlock limits which"),
    ROW(execveat, "its programs, by descriptors opened before; Landlock limits which"),
    ROW(wait4, "the end of a program"),
    ROW(waitid, "the end of a program"),
    ROW_IF(kill, (IS(1, SIGKILL)), "a program that overstays; Landlock limits it to its own"),
    ROW(close_range, "a program inherits its own descriptors alone"),
    ROW(dup, "a program's descriptors take their numbers"),
    ROW(dup2, "a program's descriptors take their numbers"),
    ROW(dup3, "a program's descriptors take their numbers"),
    ROW(setsid, "a program leaves the terminal's session"),
    ROW(umask, "a program's start"),
    ROW(arch_prctl, "a program's start: thread pointer"),
    ROW_IF(prctl, (IS(0, PR_SET_DUMPABLE)), "programs make themselves non-dumpable"),
    ROW_IF(prctl, (IS(0, PR_GET_DUMPABLE)), "and check it"),
    ROW_IF(prctl, (IS(0, PR_SET_NO_NEW_PRIVS)), "programs enter their sandboxes"),
    ROW_IF(prctl, (IS(0, PR_GET_NO_NEW_PRIVS)), "programs enter their sandboxes"),
    ROW_IF(prctl, (IS(0, PR_GET_SECCOMP)), "programs enter their sandboxes"),
    ROW_IF(prctl, (IS(0, PR_CAPBSET_READ)), "programs that look for left-over capabilities"),
    ROW(seccomp, "programs enter their sandboxes"),
    ROW(landlock_create_ruleset, "programs enter their sandboxes"),
    ROW(landlock_add_rule, "programs enter their sandboxes"),
    ROW(landlock_restrict_self, "programs enter their sandboxes"),
    ROW(capget, "programs that look for left-over capabilities"),
    ROW(setrlimit, "programs lower their own soft limits"),
    ROW(getgroups, "programs that look for left-over groups"),
    ROW(memfd_secret, "the session's page for the token"),
    ROW(mlock, "the session's page for the token"),
    ROW(mlock2, "the session's page for the token"),
    ROW(memfd_create, "the session: texts over the packet's size"),
    ROW(ftruncate, "the session: size of its memfds and of the token's page"),
    ROW_IF(fcntl, (IS(1, F_ADD_SEALS)), "the session: a memfd is sealed before it is sent"),
};
ROW_GROUP(rows_launcher, launcher);
