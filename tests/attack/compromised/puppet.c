/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/compromised/puppet.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ORDER_MAX 32768
#define FDS       512

long puppet_result(long rc)
{
    return rc < 0 ? -errno : rc;
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

size_t puppet_unhex(char *text)
{
    size_t n = strlen(text) / 2;
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(digit(text[2 * i]) * 16 + digit(text[2 * i + 1]));
    return n;
}

int puppet_own(bool (*is)(int fd))
{
    for (int fd = 0; fd < FDS; fd++)
        if (is(fd))
            return fd;
    return -1;
}

/* Stays, whatever its channels say: the order to stop is their end. */
static long stay(struct puppet_order *o)
{
    (void)o;
    while (poll(NULL, 0, -1) <= 0)
        ;
    return 0;
}

static long swallow(struct puppet_order *o)
{
    o->puppet->swallow = true;
    return 0;
}

/* Packets to come name another command's ticket: this one's and so many more or less. */
static long ticket(struct puppet_order *o)
{
    o->puppet->ticket += (uint64_t)strtoll(o->words[1], NULL, 10);
    return 0;
}

static const struct {
    const char *word;
    int words; /* at least */
    puppet_deed *deed;
} deeds[] = {
    {"open", 2, raw_open},       {"create", 2, raw_create},    {"socket", 1, raw_socket},
    {"connect", 3, raw_connect}, {"exec", 2, raw_exec},        {"fork", 1, raw_fork},
    {"ptrace", 2, raw_ptrace},   {"kill", 3, raw_kill},        {"memory", 2, raw_memory},
    {"vm", 2, raw_vm},           {"getfd", 2, raw_getfd},      {"code", 1, raw_code},
    {"raw", 3, packet_raw},      {"ask", 3, packet_ask},       {"flood", 4, packet_flood},
    {"deaf", 4, packet_flood},   {"shrink", 4, packet_shrink}, {"drain", 4, packet_drain},
    {"find", 2, hunt_find},      {"plant", 2, hunt_plant},     {"stay", 1, stay},
    {"swallow", 1, swallow},     {"ticket", 2, ticket},
};

static void tell(const struct puppet *p, const char *word, long outcome)
{
    char line[160];
    const char *error = outcome < 0 ? strerrorname_np((int)-outcome) : NULL;
    int n = error ? snprintf(line, sizeof line, "puppet %s: %s: %s\n", p->role, word, error)
                  : snprintf(line, sizeof line, "puppet %s: %s: ok %ld\n", p->role, word, outcome);
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) != n)
        _exit(93);
}

static void carry_out(struct puppet *p, char *text)
{
    struct puppet_order o = {.puppet = p};
    char *rest = text;
    while (o.n < PUPPET_WORDS && (o.words[o.n] = strtok_r(rest, " \n", &rest)))
        o.n++;
    for (size_t i = 0; o.n > 0 && i < sizeof deeds / sizeof *deeds; i++)
        if (strcmp(o.words[0], deeds[i].word) == 0 && o.n >= deeds[i].words) {
            tell(p, deeds[i].word, deeds[i].deed(&o));
            return;
        }
    tell(p, "an order that it does not know", -EINVAL);
}

bool puppet_obey(struct puppet *p, struct span text)
{
    static char copy[ORDER_MAX + 1];
    size_t role = strlen(p->role);
    if (text.len < role + 2 || text.len > ORDER_MAX || text.data[0] != '!' ||
        memcmp(text.data + 1, p->role, role) != 0 || text.data[role + 1] != ' ')
        return false;
    p->swallow = false;
    p->answers = 0;
    memcpy(copy, text.data + role + 2, text.len - role - 2);
    copy[text.len - role - 2] = '\0';
    char *rest = copy, *one;
    while ((one = strtok_r(rest, ";", &rest)))
        carry_out(p, one);
    return true;
}
