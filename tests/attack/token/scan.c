/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_scan PID …: which of the patterns given on standard input, or pieces of them, are in those
 * processes. A pattern is a line "NAME SHORTEST HEX". Answers in lines:
 *   process PID MAPPINGS BYTES UNREADABLE THREADS DESCRIPTORS
 *   gone PID
 *   hit PID NAME LENGTH PLACE
 * Exit code 0 when all could be looked at, hits or not.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/attack/token/look.h"
#include "tests/attack/token/match.h"

#define HITS_MAX 200 /* a process; more say nothing new */

struct scan {
    struct matcher matcher;
    pid_t pid;
    const char *place;
    size_t hits;
};

static void on_hit(void *context, const struct match_pattern *pattern, size_t length, size_t offset)
{
    struct scan *s = context;
    if (s->hits++ < HITS_MAX)
        printf("hit %d %s %zu %s at +%zx\n", s->pid, pattern->name, length, s->place, offset);
}

static void on_block(void *context, const char *place, const uint8_t *data, size_t len,
                     size_t begin_before)
{
    struct scan *s = context;
    s->place = place;
    match_search(&s->matcher, data, len, begin_before, on_hit, s);
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static int add_line(struct matcher *m, char *line)
{
    char *save = NULL, *name = strtok_r(line, " \n", &save);
    char *shortest = strtok_r(NULL, " \n", &save), *hex = strtok_r(NULL, " \n", &save);
    size_t len = hex ? strlen(hex) / 2 : 0;
    uint8_t *data = len ? malloc(len) : NULL;
    if (!data)
        return -1;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            free(data);
            return -1;
        }
        data[i] = (uint8_t)(high << 4 | low);
    }
    return match_add(m, name, strtoul(shortest, NULL, 10), data, len);
}

static int read_patterns(struct matcher *m)
{
    char *line = NULL;
    size_t size = 0;
    int rc = 0;
    while (rc == 0 && getline(&line, &size, stdin) > 0)
        rc = add_line(m, line);
    free(line);
    return rc == 0 ? match_prepare(m) : rc;
}

static int scan_process(struct scan *s, pid_t pid)
{
    struct look l = {.block = on_block, .context = s};
    s->pid = pid;
    s->hits = 0;
    if (look_at_process(&l, pid) != 0) {
        if (errno != ESRCH) {
            fprintf(stderr, "token_scan: process %d: %s\n", pid, strerror(errno));
            return -1;
        }
        printf("gone %d\n", pid);
        return 0;
    }
    printf("process %d %zu %zu %zu %zu %zu\n", pid, l.mappings, l.bytes, l.unreadable, l.threads,
           l.descriptors);
    return 0;
}

int main(int argc, char **argv)
{
    struct scan s = {0};
    int rc = 0;
    if (read_patterns(&s.matcher) != 0) {
        fprintf(stderr, "token_scan: a pattern on standard input is not acceptable\n");
        return 2;
    }
    for (int i = 1; i < argc; i++)
        if (scan_process(&s, (pid_t)strtol(argv[i], NULL, 10)) != 0)
            rc = 1;
    match_finish(&s.matcher);
    return rc;
}
