/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exec and every command it runs. Commands may be any program, so this lists what is denied: ways
 * into other processes, into the kernel and around the domains of commands. The answer is EPERM,
 * which programs handle. Calls that take the id of another process are judged in guard.c, since the
 * agent's ids are known at run time only.
 *
 * Left alone on purpose: keyctl, add_key, request_key (Kerberos tickets live in keyrings), seccomp,
 * prctl, landlock_*, personality, name_to_handle_at, memfd_secret, move_pages of one's own.
 */
#include "sandbox/rows.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef TIOCLINUX
#define TIOCLINUX 0x541C
#endif

static const struct row everywhere[] = {
    ROW(ptrace, "reads and steers other processes"),
    ROW(process_vm_readv, "reads other processes' memory"),
    ROW(process_vm_writev, "writes other processes' memory"),
    ROW(pidfd_getfd, "takes other processes' descriptors"),
    ROW(kcmp, "compares other processes' kernel objects"),
    ROW(process_madvise, "pages out other processes' memory"),
    ROW(process_mrelease, "reaps other processes' memory"),
    ROW(perf_event_open, "observes other processes; a large and fragile part of the kernel"),
    ROW(bpf, "programs in the kernel"),
    ROW(userfaultfd, "holds the kernel inside a page fault, which exploits rely on"),
    ROW(io_uring_setup, "system calls out of the filter's sight"),
    ROW(io_uring_enter, "system calls out of the filter's sight"),
    ROW(io_uring_register, "system calls out of the filter's sight"),
    ROW(kexec_load, "another kernel"),
    ROW(kexec_file_load, "another kernel"),
    ROW(init_module, "kernel modules"),
    ROW(finit_module, "kernel modules"),
    ROW(delete_module, "kernel modules"),
    ROW(create_module, "kernel modules (removed from the kernel in 2.6)"),
    ROW(query_module, "kernel modules (removed from the kernel in 2.6)"),
    ROW(get_kernel_syms, "kernel addresses (removed from the kernel in 2.6)"),
    ROW(reboot, "stops the host"),
    ROW(swapon, "pages of memory on a disk of one's choice"),
    ROW(swapoff, "stops the host's swap"),
    ROW(acct, "writes to a file as the kernel"),
    ROW(quotactl, "disk quotas of others"),
    ROW(quotactl_fd, "disk quotas of others"),
    ROW(settimeofday, "the host's clock"),
    ROW(clock_settime, "the host's clock"),
    ROW(stime, "the host's clock"),
    ROW(adjtimex, "the host's clock; its reading is denied too, as a filter cannot tell"),
    ROW(clock_adjtime, "the host's clock; its reading is denied too, as a filter cannot tell"),
    ROW(sethostname, "the host's name, which keys the agent's state"),
    ROW(setdomainname, "the host's domain name"),
    ROW(syslog, "the kernel's log shows addresses"),
    ROW(iopl, "the processor's ports"),
    ROW(ioperm, "the processor's ports"),
    ROW(modify_ldt, "segments of 16-bit programs; often a way into the kernel"),
    ROW(vhangup, "the terminal of others"),
    ROW(uselib, "obsolete loader"),
    ROW(ustat, "obsolete"),
    ROW(sysfs, "obsolete"),
    ROW(_sysctl, "obsolete kernel settings"),
    ROW(nfsservctl, "obsolete NFS server control"),
    ROW(lookup_dcookie, "profiler paths, past directory permissions"),
    ROW(remap_file_pages, "obsolete mappings"),
    ROW(fanotify_init, "watches whole file systems"),
    ROW(fanotify_mark, "watches whole file systems"),
    ROW(open_by_handle_at, "opens files past their directories"),
    ROW_ANSWER(clone3, ENOSYS, "its flags are out of a filter's sight: glibc takes clone instead"),
    ROW_IF(ioctl, (IS(1, TIOCSTI)), "types into the terminal of whoever started the agent"),
    ROW_IF(ioctl, (IS(1, TIOCLINUX)), "pastes into a console"),
    ROW_IF(socket, (IS(0, AF_AX25)), "protocol families that no job needs and exploits use"),
    ROW_IF(socket, (IS(0, AF_IPX)), "protocol families that no job needs and exploits use"),
    ROW_IF(socket, (IS(0, AF_APPLETALK)), "protocol families that no job needs and exploits use"),
    ROW_IF(socket, (IS(0, AF_NETROM)), "protocol families that no job needs and exploits use"),
    ROW_IF(socket, (IS(0, AF_X25)), "protocol families that no job needs and exploits use"),
    ROW_IF(socket, (IS(0, AF_ROSE)), "protocol families that no job needs and exploits use"),
    ROW_IF(socket, (IS(0, AF_RDS)), "protocol families that no job needs and exploits use"),
    ROW_IF(socket, (IS(0, AF_CAN)), "protocol families that no job needs and exploits use"),
    ROW_IF(socket, (IS(0, AF_TIPC)), "protocol families that no job needs and exploits use"),
    ROW_IF(socket, (IS(0, AF_BLUETOOTH)), "protocol families that no job needs and exploits use"),
    ROW_IF(socket, (IS(0, AF_ALG)), "protocol families that no job needs and exploits use"),
    ROW_IF(socket, (IS(0, AF_VSOCK)), "reaches the hypervisor's host past every network rule"),
};
ROW_GROUP(rows_exec, everywhere);

/* Unless allow_namespaces: a user namespace gives full capabilities inside it, and with them most
 * kernel bugs. */
static const struct row namespaces[] = {
    ROW_IF(clone, (BITS(0, CLONE_NEWUSER, CLONE_NEWUSER)), "a new user namespace"),
    ROW_IF(unshare, (BITS(0, CLONE_NEWUSER, CLONE_NEWUSER)), "a new user namespace"),
    ROW(setns, "another process's namespaces"),
    ROW(mount, "file systems"),
    ROW(umount2, "file systems"),
    ROW(umount, "file systems"),
    ROW(pivot_root, "file systems"),
    ROW(chroot, "file systems"),
    ROW(fsopen, "file systems"),
    ROW(fsconfig, "file systems"),
    ROW(fsmount, "file systems"),
    ROW(fspick, "file systems"),
    ROW(open_tree, "file systems"),
    ROW(move_mount, "file systems"),
    ROW(mount_setattr, "file systems"),
};
ROW_GROUP(rows_exec_namespaces, namespaces);
