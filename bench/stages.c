/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tw_bench_stages: single stages of an agent's work, without an agent. It reads lines of fields
 * parted by tabs and answers each with a line of JSON:
 *   spawn COUNT IN-FLIGHT TEXT   runs sh -c TEXT so often, so many at a time
 *   pipe TEXT                    runs it once and reads its output
 *   base64 BYTES                 encodes as many
 *   file BYTES NAME              writes as many to a new file of this name
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/run.h"
#include "bench/wire.h"

#define AT_ONCE_MAX 64

static double cpu_seconds(void)
{
    double sum = 0;
    struct rusage u;
    static const int whose[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
    for (int i = 0; i < 2; i++) {
        getrusage(whose[i], &u);
        sum += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    }
    return sum;
}

static double seconds_since(int64_t begun)
{
    return (double)(now_ns() - begun) / 1e9;
}

static void spawn_many(int count, int at_once, const char *text)
{
    static struct run runs[AT_ONCE_MAX];
    struct pollfd fds[AT_ONCE_MAX];
    double cpu = cpu_seconds();
    int64_t begun = now_ns();
    int started = 0, ended = 0, bad = 0;
    printf("{\"us\":[");
    while (ended < count) {
        for (int i = 0; i < at_once; i++) {
            if (!runs[i].pid && started < count) {
                run_start(&runs[i], text);
                started++;
            }
            fds[i] = (struct pollfd){.fd = runs[i].pid ? runs[i].pipe : -1, .events = POLLIN};
        }
        poll(fds, (nfds_t)at_once, -1);
        for (int i = 0; i < at_once; i++) {
            if (!fds[i].revents || !run_read(&runs[i], false))
                continue;
            bad += run_finish(&runs[i]) != 0;
            printf("%s%.1f", ended++ ? "," : "", (double)(now_ns() - runs[i].begun) / 1e3);
        }
    }
    printf("],\"seconds\":%.6f,\"cpu\":%.6f,\"bad\":%d}\n", seconds_since(begun),
           cpu_seconds() - cpu, bad);
}

static void read_pipe(const char *text)
{
    static struct run r;
    size_t bytes = 0;
    bool ended;
    run_start(&r, text);
    do {
        ended = run_read(&r, false);
        bytes += r.len;
    } while (!ended);
    int status = run_finish(&r);
    printf("{\"seconds\":%.6f,\"bytes\":%zu,\"bad\":%d}\n", seconds_since(r.begun), bytes, status);
}

static void encode(size_t len)
{
    static unsigned char *data, *out;
    static size_t size;
    if (size < len) { /* the pages are there when it counts */
        data = realloc(data, len);
        out = realloc(out, len / 3 * 4 + 8);
        if (!data || !out)
            fail("no memory");
        memset(data, 0, len);
        memset(out, 0, len / 3 * 4 + 8);
        size = len;
    }
    int64_t begun = now_ns();
    int n = EVP_EncodeBlock(out, data, (int)len);
    printf("{\"seconds\":%.6f,\"bytes\":%d}\n", seconds_since(begun), n);
}

static void write_file(size_t len, const char *name)
{
    static char *data;
    static size_t size;
    if (size < len) {
        data = realloc(data, len);
        if (!data)
            fail("no memory");
        memset(data, 'x', len);
        size = len;
    }
    unlink(name);
    int64_t begun = now_ns();
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ssize_t n = fd >= 0 ? write(fd, data, len) : -1;
    if (n != (ssize_t)len || close(fd) != 0)
        fail("cannot write a file");
    printf("{\"seconds\":%.6f,\"bytes\":%zd}\n", seconds_since(begun), n);
}

static char *field(char **rest)
{
    char *f = strsep(rest, "\t");
    if (!f)
        fail("a field is missing");
    return f;
}

static int number(char **rest)
{
    return (int)strtol(field(rest), NULL, 10);
}

int main(void)
{
    char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        char *rest = line, *what = field(&rest);
        if (strcmp(what, "spawn") == 0) {
            int count = number(&rest), at_once = number(&rest);
            if (at_once < 1 || at_once > AT_ONCE_MAX)
                fail("too many at once");
            spawn_many(count, at_once, field(&rest));
        } else if (strcmp(what, "pipe") == 0) {
            read_pipe(field(&rest));
        } else if (strcmp(what, "base64") == 0) {
            encode((size_t)number(&rest));
        } else if (strcmp(what, "file") == 0) {
            size_t len = (size_t)number(&rest);
            write_file(len, field(&rest));
        } else {
            fail("an unknown stage");
        }
        fflush(stdout);
    }
    return 0;
}
