/* SPDX-License-Identifier: Apache-2.0 */
/* Not a test: how long run to finished takes, beside a bare posix_spawn of the same shell. */
#include "tests/exec/driver.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 100000

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void bare(const char *text)
{
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, strdup(text), NULL};
    char *envp[] = {(char[]){"PATH=/usr/local/bin:/usr/bin:/bin"}, (char[]){"HOME=/"}, NULL};
    posix_spawn_file_actions_t actions;
    int out[2], status;
    char buffer[4096];
    pid_t pid;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, out[1], 2);
    assert_int_equal(posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, envp), 0);
    close(out[1]);
    while (read(out[0], buffer, sizeof buffer) > 0)
        ;
    close(out[0]);
    waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&actions);
    free(argv[2]);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *name, double *times, int n)
{
    qsort(times, (size_t)n, sizeof *times, ascending);
    printf("%-10s median %7.1f us   p99 %7.1f us\n", name, times[n / 2], times[n * 99 / 100]);
}

/* usage: exec_latency [ROUNDS [TEXT]] */
int main(int argc, char **argv)
{
    static double spawned[ROUNDS_MAX], through[ROUNDS_MAX];
    const char *text = argc > 2 ? argv[2] : "true";
    int rounds = argc > 1 ? atoi(argv[1]) : 1000;
    struct options o;
    struct driver d;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    options_init(&o);
    driver_start(&d, &o);
    for (int i = 0; i < rounds; i++) {
        double t = now_us();
        bare(text);
        spawned[i] = now_us() - t;
        t = now_us();
        struct result r = driver_run(&d, text);
        through[i] = now_us() - t;
        assert_int_equal(r.status, 0); /* a leak of descriptors would show */
        result_finish(&r);
    }
    report("bare", spawned, rounds);
    report("exec", through, rounds);
    printf("ratio of medians %.3f\n", through[rounds / 2] / spawned[rounds / 2]);
    driver_stop(&d);
    options_finish(&o);
    return 0;
}
