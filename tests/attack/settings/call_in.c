/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_in PID CALL: makes a process that waits in a system call make another one, with arguments
 * that are all wrong, and prints "returned N" or "ended by signal N". For root. It shows what a
 * process's filters say of a call that its code does not contain.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED 77

#ifdef __x86_64__
#define SYSCALL_LENGTH 2

static void die(const char *what)
{
    fprintf(stderr, "call_in: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int wait_status(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, __WALL) != pid)
        die("waitpid");
    if (WIFSIGNALED(status)) {
        printf("ended by signal %d\n", WTERMSIG(status));
        exit(0);
    }
    return status;
}

static int wait_stop(pid_t pid)
{
    return WSTOPSIG(wait_status(pid));
}

/* What signals come before the stop that was asked for are passed on. */
static void interrupt(pid_t pid)
{
    if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) != 0)
        die("PTRACE_INTERRUPT");
    for (int status; (status = wait_status(pid)) >> 16 != PTRACE_EVENT_STOP;)
        if (ptrace(PTRACE_CONT, pid, 0, WSTOPSIG(status)) != 0)
            die("the process does not go on");
}

static bool sleeps(pid_t pid)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f || !fgets(line, sizeof line, f))
        die(path);
    fclose(f);
    const char *end = strrchr(line, ')');
    return end && strncmp(end, ") S", 3) == 0;
}

static int go_on(pid_t pid, enum __ptrace_request how, int signal)
{
    if (ptrace(how, pid, 0, signal) != 0)
        die("the process does not go on");
    return wait_stop(pid);
}

/* Steps over the call. A trapped one is the process's end, after its handler had the word. */
static void step(pid_t pid)
{
    int signal = go_on(pid, PTRACE_SINGLESTEP, 0);
    bool trapped = signal == SIGSYS;
    while (signal != SIGTRAP || trapped) {
        signal =
            go_on(pid, trapped ? PTRACE_CONT : PTRACE_SINGLESTEP, signal == SIGTRAP ? 0 : signal);
        trapped = trapped || signal == SIGSYS;
    }
}

static bool in_call(pid_t pid, struct user_regs_struct *regs)
{
    unsigned char code[SYSCALL_LENGTH];
    struct iovec here = {code, sizeof code};
    if (ptrace(PTRACE_GETREGS, pid, 0, regs) != 0)
        die("PTRACE_GETREGS");
    struct iovec there = {(void *)(uintptr_t)(regs->rip - SYSCALL_LENGTH), sizeof code};
    return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)sizeof code &&
           memcmp(code, "\x0f\x05", sizeof code) == 0;
}

/* Nothing tells that a process has come to wait, and it may go on before it is stopped. */
static void stop_in_call(pid_t pid, struct user_regs_struct *regs)
{
    for (;;) {
        while (!sleeps(pid))
            usleep(1000);
        interrupt(pid);
        if (in_call(pid, regs))
            return;
        if (ptrace(PTRACE_CONT, pid, 0, 0) != 0)
            die("the process does not go on");
    }
}

static void make_call(pid_t pid, unsigned long long number)
{
    struct user_regs_struct before, regs;
    stop_in_call(pid, &before);
    regs = before;
    regs.rip -= SYSCALL_LENGTH;
    regs.rax = number;
    regs.orig_rax = ~0ULL; /* nothing to restart */
    regs.rdi = regs.rsi = regs.rdx = regs.r10 = regs.r8 = regs.r9 = ~0ULL;
    if (ptrace(PTRACE_SETREGS, pid, 0, &regs) != 0)
        die("PTRACE_SETREGS");
    step(pid);
    if (ptrace(PTRACE_GETREGS, pid, 0, &regs) != 0 || ptrace(PTRACE_SETREGS, pid, 0, &before) != 0)
        die("its registers");
    printf("returned %lld\n", (long long)regs.rax);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    pid_t pid = (pid_t)strtol(argv[1], NULL, 10);
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) != 0)
        die("PTRACE_SEIZE");
    make_call(pid, strtoull(argv[2], NULL, 10));
    if (ptrace(PTRACE_DETACH, pid, 0, 0) != 0)
        die("PTRACE_DETACH");
    return 0;
}
#else
int main(void)
{
    printf("SKIPPED: knows the registers of x86-64 alone\n");
    return SKIPPED;
}
#endif
