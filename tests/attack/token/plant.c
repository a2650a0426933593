/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_plant WHERE: holds the bytes from standard input in one place alone, says "planted", and
 * waits to be killed. It shows that the scanner finds what is there, and nothing where nothing is.
 *   nowhere  memory  general  vector  memfd  pipe  socket
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[4096];

/* Nothing may touch the registers after they were loaded, so the rest is not C. */
#ifdef __x86_64__
static void hold_in_general(void)
{
    __asm__ volatile("movq (%0), %%r12\n\t"
                     "movq $0, (%0)\n\t"
                     "movl $1, %%eax\n\tmovl $1, %%edi\n\tmovq %1, %%rsi\n\tmovl $8, %%edx\n\t"
                     "syscall\n"
                     "1:\tmovl $34, %%eax\n\tsyscall\n\tjmp 1b"
                     :
                     : "b"(buffer), "r"("planted\n")
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r11", "r12", "memory");
}

static void hold_in_vector(void)
{
    __asm__ volatile("movdqu (%0), %%xmm9\n\t"
                     "movq $0, (%0)\n\tmovq $0, 8(%0)\n\t"
                     "movl $1, %%eax\n\tmovl $1, %%edi\n\tmovq %1, %%rsi\n\tmovl $8, %%edx\n\t"
                     "syscall\n"
                     "1:\tmovl $34, %%eax\n\tsyscall\n\tjmp 1b"
                     :
                     : "b"(buffer), "r"("planted\n")
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r11", "xmm9", "memory");
}
#endif

static int put_into(int fd, size_t len)
{
    ssize_t n = fd < 0 ? -1 : write(fd, buffer, len);
    explicit_bzero(buffer, sizeof buffer);
    return n == (ssize_t)len ? 0 : -1;
}

static int plant(const char *where, size_t len)
{
    int pair[2];
    if (strcmp(where, "memory") == 0)
        return 0;
    if (strcmp(where, "nowhere") == 0) {
        explicit_bzero(buffer, sizeof buffer);
        return 0;
    }
    if (strcmp(where, "memfd") == 0)
        return put_into(memfd_create("plant", MFD_CLOEXEC), len);
    if (strcmp(where, "pipe") == 0)
        return pipe(pair) != 0 ? -1 : put_into(pair[1], len);
    if (strcmp(where, "socket") == 0)
        return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0 ? -1 : put_into(pair[1], len);
#ifdef __x86_64__
    if (strcmp(where, "general") == 0)
        hold_in_general();
    if (strcmp(where, "vector") == 0)
        hold_in_vector();
#endif
    return -1;
}

int main(int argc, char **argv)
{
    size_t len = 0;
    ssize_t n;
    while (len < sizeof buffer && (n = read(STDIN_FILENO, buffer + len, sizeof buffer - len)) > 0)
        len += (size_t)n;
    if (argc != 2 || len == 0 || plant(argv[1], len) != 0) {
        fprintf(stderr, "token_plant: cannot plant\n");
        return 1;
    }
    dprintf(STDOUT_FILENO, "planted\n");
    for (;;)
        pause();
}
