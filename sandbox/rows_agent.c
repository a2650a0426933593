/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's own processes that neither connect nor start anything: parent, core, session. */
#include "sandbox/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* Kernel API numbers, for headers that lack them. */
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033 /* Linux 3.17 */
#define F_GET_SEALS 1034
#endif

/* An open that can only read: __O_TMPFILE is the part of O_TMPFILE that O_DIRECTORY is not. */
#define WRITING_FLAGS (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))

static const struct row loop[] = {
    ROW(read, "channels, files, the loop's signal pipe"),
    ROW(write, "log lines on descriptor 2, memfds, the loop's signal pipe"),
    ROW(writev, "glibc reports a broken heap with it"),
    ROW(close, "descriptors that peers sent, ended channels"),
    ROW(recvmsg, "channels: a packet and its descriptor"),
    ROW_IF(sendmsg, (BITS(2, MSG_FASTOPEN, 0)),
           "channels: a packet and its descriptor; not TCP's connection of another name, which "
           "Landlock does not see"),
    ROW(recvfrom, "recv of the raw token packet, and of a signal pipe that is a socket"),
    ROW(epoll_create1, "event_base_new, should a loop be made late"),
    ROW(epoll_ctl, "the event loop"),
    ROW(epoll_wait, "the event loop"),
    ROW(epoll_pwait, "the event loop where the architecture has no epoll_wait"),
    ROW(epoll_pwait2, "the event loop of newer libevent"),
    ROW(poll, "a log line waits for no reader: its descriptor is polled first"),
    ROW(ppoll, "poll where the architecture has no poll"),
    ROW_IF(fcntl, (IS(1, F_GETFL)), "non-blocking channels"),
    ROW_IF(fcntl, (IS(1, F_SETFL)), "non-blocking channels"),
    ROW_IF(fcntl, (IS(1, F_GETFD)), "close-on-exec"),
    ROW_IF(fcntl, (IS(1, F_SETFD)), "close-on-exec"),
    ROW_IF(fcntl, (IS(1, F_DUPFD_CLOEXEC)), "a second descriptor for a queued message"),
    ROW_IF(fcntl, (IS(1, F_GET_SEALS)), "a memfd from a peer must be sealed"),
    ROW(fstat, "size and kind of a memfd or file that came"),
    ROW(newfstatat, "fstat in glibc 2.33 and later"),
    ROW(getsockopt, "kind of a channel; a socket's pending error"),
};
ROW_GROUP(rows_loop, loop);

/* Not for those that resolve names: rows_network has the call whole. */
static const struct row send_only[] = {
    ROW_IF(sendto, (IS(5, 0)),
           "send, without an address: the raw token packet; the parent's words to the service "
           "manager"),
};
ROW_GROUP(rows_send, send_only);

static const struct row memory[] = {
    ROW(brk, "malloc"),
    ROW_IF(mmap, (BITS(2, PROT_EXEC, 0)), "malloc and memfds; never code"),
    ROW(munmap, "malloc and memfds"),
    ROW(mremap, "realloc of large blocks"),
    ROW(madvise, "malloc gives pages back"),
};
ROW_GROUP(rows_memory, memory);

static const struct row basic[] = {
    ROW(clock_gettime, "timers, where the kernel offers no user-space clock"),
    ROW(gettimeofday, "timers, where the kernel offers no user-space clock"),
    ROW(time, "certificate dates, where the kernel offers no user-space clock"),
    ROW(getrandom, "hash seeds, jitter, TLS"),
    ROW(futex, "locks inside glibc and OpenSSL"),
    ROW(getpid, "log lines; OpenSSL looks for forks"),
    ROW(gettid, "abort, before its signal is refused"),
    ROW(sysinfo, "qsort of large arrays asks for the memory size"),
    ROW(rt_sigreturn, "return from the loop's signal handlers"),
    ROW(rt_sigprocmask, "signals are held back while the token is handled"),
    ROW(restart_syscall, "a wait goes on after SIGSTOP and SIGCONT"),
    ROW(exit, "a thread's end"),
    ROW(exit_group, "the process's end"),
};
ROW_GROUP(rows_basic, basic);

static const struct row parent[] = {
    ROW_IF(socketpair, (IS(0, AF_UNIX), BITS(1, 0xf, SOCK_SEQPACKET)), "channels for a session"),
    ROW_IF(openat, (BITS(2, WRITING_FLAGS, O_RDONLY)), "the token file again, on SIGHUP"),
    ROW(pread64, "the token file"),
    ROW(lseek, "the token's descriptor is read again from its start"),
    ROW(wait4, "the end of a child"),
    ROW(waitid, "the end of a child"),
    ROW(geteuid, "the token file's owner is compared with ours"),
    ROW(getuid, "the token file's owner is compared with ours"),
    ROW(memfd_secret, "a page for the new token beside the old one"),
    ROW(ftruncate, "the size of that page"),
    ROW(mlock, "that page, where memfd_secret is missing"),
};
ROW_GROUP(rows_parent, parent);

static const struct row core[] = {
    ROW(memfd_create, "results and long texts"),
    ROW_IF(fcntl, (IS(1, F_ADD_SEALS)), "a memfd is sealed before it is sent"),
    ROW(openat, "files of the state directory; Landlock keeps it there"),
    ROW(lseek, "the journal's end, after a record that did not fit the disk"),
    ROW(ftruncate, "half a record that did not fit the disk"),
    ROW(fsync, "names in results/ outlive a crash of the host"),
    ROW(fdatasync, "records and results outlive a crash of the host"),
    ROW(renameat, "files are replaced whole"),
    ROW(renameat2, "files are replaced whole, where the architecture has no renameat"),
    ROW(unlinkat, "results that are not needed any more"),
    ROW(mkdirat, "results/"),
    ROW(getdents64, "results that an earlier run left"),
    ROW(statx, "fstatat, where the architecture has no newfstatat"),
    ROW(geteuid, "owner of a file in the state directory"),
};
ROW_GROUP(rows_core, core);

static const struct row session[] = {
    ROW(memfd_create, "texts over the packet's size"),
    ROW_IF(fcntl, (IS(1, F_ADD_SEALS)), "a memfd is sealed before it is sent"),
    ROW(ftruncate, "the size of such a memfd"),
    ROW(pread64, "a result's memfd"),
    ROW(lseek, "a result's memfd"),
    ROW_IF(setsockopt, (IS(1, IPPROTO_TCP), IS(2, TCP_NODELAY)), "small frames leave at once"),
    ROW(shutdown, "the end of what we send"),
#if SANDBOX_SANITIZER
    ROW_ANSWER(openat, EACCES, "sanitizer: a report goes on without its files"),
#endif
};
ROW_GROUP(rows_session, session);

/*
 * What the runtimes of AddressSanitizer and UBSan do to print a report. Landlock still refuses the
 * files. LSan needs clone and ptrace at exit: it is off in these programs (sanitizer.c).
 */
#if SANDBOX_SANITIZER
static const struct row sanitizer[] = {
    ROW(sched_yield, "sanitizer: its spin locks"),
    ROW_IF(ioctl, (IS(1, TCGETS)), "sanitizer: is the report's reader a terminal?"),
    ROW(sigaltstack, "sanitizer: a thread's end"),
    ROW(pipe2, "sanitizer: is this address readable?"),
    ROW(pipe, "sanitizer: is this address readable?"),
    ROW(readlink, "sanitizer: the program's name in a report"),
    ROW(getrlimit, "sanitizer: the stack's limit"),
    ROW_ANSWER(open, EACCES, "sanitizer: a report goes on without its files"),
};
#else
static const struct row sanitizer[] = {{-1, "", {{0, 0, 0}}, 0, "none outside sanitizer builds"}};
#endif
const struct row_group rows_sanitizer = {
    "rows_sanitizer", sanitizer, SANDBOX_SANITIZER ? sizeof sanitizer / sizeof *sanitizer : 0};
