/* SPDX-License-Identifier: Apache-2.0 */
/* Not a test: commands a second with many in flight, beside bare posix_spawn of the same shell. */
#include "tests/exec/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FLIGHT_MAX 64
#define ROUNDS     10

struct bare {
    pid_t pid;
    int fd;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct bare bare_start(const char *text)
{
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)text, NULL};
    char *envp[] = {(char[]){"PATH=/usr/local/bin:/usr/bin:/bin"}, (char[]){"HOME=/"}, NULL};
    posix_spawn_file_actions_t actions;
    int out[2];
    struct bare b;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, out[1], 2);
    assert_int_equal(posix_spawn(&b.pid, "/bin/sh", &actions, NULL, argv, envp), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    b.fd = out[0];
    return b;
}

static double bare_run(const char *text, int n, int flight)
{
    struct bare running[FLIGHT_MAX];
    struct pollfd fds[FLIGHT_MAX];
    char buffer[65536];
    int started = 0, ended = 0;
    double from = now_s();
    for (; started < flight; started++) {
        running[started] = bare_start(text);
        fds[started] = (struct pollfd){.fd = running[started].fd, .events = POLLIN};
    }
    while (ended < n) {
        assert_true(poll(fds, (nfds_t)flight, -1) > 0);
        for (int i = 0; i < flight; i++) {
            if (fds[i].fd < 0 || !fds[i].revents || read(fds[i].fd, buffer, sizeof buffer) > 0)
                continue;
            int status;
            close(fds[i].fd);
            fds[i].fd = -1;
            assert_int_equal(waitpid(running[i].pid, &status, 0), running[i].pid);
            ended++;
            if (started++ < n) {
                running[i] = bare_start(text);
                fds[i].fd = running[i].fd;
            }
        }
    }
    return (double)n / (now_s() - from);
}

static double exec_run(struct driver *d, const char *text, int n, int flight)
{
    struct result r;
    int started = 0;
    double from = now_s();
    for (; started < flight; started++)
        driver_send_text(d, text);
    for (int ended = 0; ended < n; ended++) {
        assert_true(driver_receive(d, &r, 20000));
        assert_int_equal(r.status, 0);
        result_finish(&r);
        if (started++ < n)
            driver_send_text(d, text);
    }
    return (double)n / (now_s() - from);
}

/* What the process itself has spent, in microseconds; 0 where the kernel does not say. */
static double cpu_us(pid_t pid)
{
    char path[64];
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    if (fscanf(f, "%llu", &ns) != 1)
        ns = 0;
    fclose(f);
    return (double)ns / 1e3;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* usage: exec_throughput [COMMANDS-A-ROUND [IN-FLIGHT [TEXT]]] */
int main(int argc, char **argv)
{
    int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 500;
    int flight = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 32;
    const char *text = argc > 3 ? argv[3] : "true";
    double bare[ROUNDS], through[ROUNDS], ratio[ROUNDS];
    struct options o;
    struct driver d;
    if (flight < 1 || flight > FLIGHT_MAX || n < flight)
        return 2;
    options_init(&o);
    o.config.max_commands = (unsigned)flight;
    driver_start(&d, &o);
    double cpu = cpu_us(d.pid);
    for (int i = 0; i < ROUNDS; i++) { /* in turns, as a shared machine's speed wanders */
        bare[i] = bare_run(text, n, flight);
        through[i] = exec_run(&d, text, n, flight);
        ratio[i] = through[i] / bare[i];
    }
    cpu = (cpu_us(d.pid) - cpu) / (ROUNDS * n);
    qsort(bare, ROUNDS, sizeof *bare, ascending);
    qsort(through, ROUNDS, sizeof *through, ascending);
    qsort(ratio, ROUNDS, sizeof *ratio, ascending);
    printf("%d in flight, medians: bare %.0f/s  exec %.0f/s  ratio %.3f (%.3f to %.3f)\n", flight,
           bare[ROUNDS / 2], through[ROUNDS / 2], ratio[ROUNDS / 2], ratio[0], ratio[ROUNDS - 1]);
    printf("tw-agent-exec itself: %.0f us of processor a command\n", cpu);
    driver_stop(&d);
    options_finish(&o);
    return 0;
}
