/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/token/look.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK       (1U << 20)
#define OVERLAP     32768 /* more than the longest pattern */
#define PAGE        4096U
#define RESERVATION (1ULL << 30) /* address space without access of this size is empty */

/* A run of mappings without a gap, so that a piece across two of them is found. */
struct run {
    uint64_t begin, end;
    char name[256];
};

struct reader {
    struct look *look;
    int fd;
    uint8_t *buffer; /* OVERLAP + BLOCK */
};

static void give(struct reader *r, const struct run *run, uint64_t at, size_t kept, size_t fresh,
                 int last)
{
    char place[400];
    size_t len = kept + fresh;
    snprintf(place, sizeof place, "memory %" PRIx64 "+ %s", at - kept, run->name);
    r->look->bytes += fresh;
    r->look->block(r->look->context, place, r->buffer, len,
                   last || len <= OVERLAP ? len : len - OVERLAP);
}

static void read_run(struct reader *r, const struct run *run)
{
    size_t kept = 0;
    for (uint64_t at = run->begin; at < run->end;) {
        size_t want = run->end - at < BLOCK ? (size_t)(run->end - at) : BLOCK;
        ssize_t n = pread(r->fd, r->buffer + kept, want, (off_t)at);
        if (n <= 0) { /* this page cannot be read; what comes behind it may */
            uint64_t next = (at / PAGE + 1) * PAGE;
            r->look->unreadable += (size_t)(next - at);
            at = next;
            kept = 0;
            continue;
        }
        /* A short read stops before a page that cannot be read. */
        int last = (size_t)n < want || at + (size_t)n == run->end;
        give(r, run, at, kept, (size_t)n, last);
        size_t len = kept + (size_t)n;
        kept = last || len <= OVERLAP ? (last ? 0 : len) : OVERLAP;
        memmove(r->buffer, r->buffer + len - kept, kept);
        at += (size_t)n;
    }
}

/* 1: a mapping worth reading. */
static int parse_mapping(const char *line, struct run *m)
{
    char rights[8];
    int name = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %*s %n", &m->begin, &m->end, rights,
               &name) < 3)
        return 0;
    snprintf(m->name, sizeof m->name, "%.200s %s", line + name, rights);
    m->name[strcspn(m->name, "\n")] = '\0';
    if (strstr(line, "[vsyscall]") || strstr(line, "[vvar"))
        return 0;
    return rights[0] == 'r' || m->end - m->begin < RESERVATION;
}

static void read_all(struct reader *r, FILE *maps)
{
    char line[4096 + 128];
    struct run run = {0}, m;
    while (fgets(line, sizeof line, maps)) {
        if (!parse_mapping(line, &m))
            continue;
        r->look->mappings++;
        if (m.begin == run.end) {
            run.end = m.end;
            continue;
        }
        read_run(r, &run);
        run = m;
    }
    read_run(r, &run);
}

int look_at_memory(struct look *l, pid_t pid)
{
    char path[64];
    int rc = -1;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    struct reader r = {
        .look = l, .fd = open(path, O_RDONLY | O_CLOEXEC), .buffer = malloc(OVERLAP + BLOCK)};
    if (maps && r.fd >= 0 && r.buffer) {
        read_all(&r, maps);
        rc = 0;
    }
    int saved = errno;
    if (maps)
        fclose(maps);
    if (r.fd >= 0)
        close(r.fd);
    free(r.buffer);
    errno = saved;
    return rc;
}
