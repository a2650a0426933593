/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/token/look.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define THREADS_MAX   1024
#define REGISTERS_MAX 65536 /* an AMX state is 11 KiB */

struct threads {
    pid_t ids[THREADS_MAX];
    size_t n;
};

static bool known(const struct threads *t, pid_t id)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->ids[i] == id)
            return true;
    return false;
}

/* Of what has ended and was not reaped the kernel says EPERM. */
static bool has_ended(pid_t id)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", id);
    FILE *f = fopen(path, "re");
    const char *end = f && fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    if (f)
        fclose(f);
    return !end || strncmp(end, ") Z", 3) == 0 || strncmp(end, ") X", 3) == 0;
}

static int stop_thread(struct threads *t, pid_t id)
{
    int status;
    if (t->n == THREADS_MAX)
        return -1;
    if (ptrace(PTRACE_SEIZE, id, NULL, NULL) != 0) {
        if (errno == EPERM)
            errno = has_ended(id) ? ESRCH : EPERM;
        return -1;
    }
    t->ids[t->n++] = id;
    if (ptrace(PTRACE_INTERRUPT, id, NULL, NULL) != 0 || waitpid(id, &status, __WALL) != id)
        return -1;
    if (!WIFSTOPPED(status)) {
        errno = ESRCH;
        return -1;
    }
    return 0;
}

/* Stops the threads that are not yet; how many there were, or -1. */
static int stop_new_threads(struct threads *t, pid_t pid)
{
    char path[64];
    int found = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    if (!dir) {
        errno = ESRCH;
        return -1;
    }
    for (struct dirent *e; found >= 0 && (e = readdir(dir));) {
        pid_t id = (pid_t)strtol(e->d_name, NULL, 10);
        if (id > 0 && !known(t, id))
            found = stop_thread(t, id) == 0 ? found + 1 : -1;
    }
    int saved = errno;
    closedir(dir);
    errno = saved;
    return found;
}

static void look_at_registers(struct look *l, pid_t thread, int set, const char *name)
{
    static uint8_t buffer[REGISTERS_MAX];
    char place[64];
    struct iovec io = {.iov_base = buffer, .iov_len = sizeof buffer};
    if (ptrace(PTRACE_GETREGSET, thread, (void *)(long)set, &io) != 0)
        return;
    snprintf(place, sizeof place, "registers (%s) of thread %d", name, thread);
    l->bytes += io.iov_len;
    l->block(l->context, place, buffer, io.iov_len, io.iov_len);
}

int look_at_process(struct look *l, pid_t pid)
{
    struct threads t = {.n = 0};
    int rc;
    while ((rc = stop_new_threads(&t, pid)) > 0)
        ;
    for (size_t i = 0; rc == 0 && i < t.n; i++) {
        look_at_registers(l, t.ids[i], NT_PRSTATUS, "general");
        look_at_registers(l, t.ids[i], NT_PRFPREG, "floating point");
#ifdef __x86_64__
        look_at_registers(l, t.ids[i], NT_X86_XSTATE, "vector");
#endif
    }
    l->threads = t.n;
    if (rc == 0)
        rc = look_at_memory(l, pid);
    if (rc == 0)
        rc = look_at_descriptors(l, pid);
    int saved = errno;
    for (size_t i = 0; i < t.n; i++)
        ptrace(PTRACE_DETACH, t.ids[i], NULL, NULL);
    errno = saved;
    return rc;
}
