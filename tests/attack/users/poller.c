/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users_poller TOP WAY...: an ordinary program of some user that looks, as fast as it can, into
 * each new process below process TOP for a secret. Standard input: the secret on the first line,
 * answered by "ready"; a second line starts the search; it and each further one are answered by
 * "looked" once everything there is was looked at; the end ends it. Prints JSON: for each program's
 * name how many of its processes were met, in how many each way was open, and in how many it led to
 * the secret. What was once opened (mem, maps) is used for as long as the process lives.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WATCHED    256
#define NAMES      64
#define READ_MAX   (1U << 20)
#define SECRET_MAX 4096
#define TEXT_MAX   65536
#define NEW_PER_LAP                                                                                \
    4096               /* more new processes than that since the last look: pids started again     \
                        */
#define UNBORN      64 /* pids that are taken while their processes cannot be seen yet */
#define UNBORN_LAPS 1000

enum way { ENVIRON, CMDLINE, MEM, FD, TRACE, WAYS };

static const char *const way_names[WAYS] = {"environ", "cmdline", "mem", "fd", "trace"};

struct name {
    char text[32];
    unsigned met, opened[WAYS], found[WAYS];
};

struct watched {
    pid_t pid;
    struct name *name;
    int mem, maps;
    bool opened[WAYS], found[WAYS];
};

struct unborn {
    pid_t pid;
    unsigned laps;
};

struct search {
    pid_t top, last;
    bool wanted[WAYS];
    struct unborn unborn[UNBORN];
    size_t n_unborn;
    char secret[SECRET_MAX];
    size_t secret_len;
    struct watched watched[WATCHED];
    size_t n;
    struct name names[NAMES];
    size_t n_names;
    unsigned long laps;
    int loadavg;
};

static char buffer[READ_MAX];

static bool holds(const struct search *s, const char *data, ssize_t len)
{
    return len > 0 && memmem(data, (size_t)len, s->secret, s->secret_len) != NULL;
}

static void note(struct watched *w, enum way way, bool opened, bool found)
{
    if (opened && !w->opened[way]) {
        w->opened[way] = true;
        w->name->opened[way]++;
    }
    if (found && !w->found[way]) {
        w->found[way] = true;
        w->name->found[way]++;
    }
}

static int open_proc(pid_t pid, const char *file)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static ssize_t read_proc(pid_t pid, const char *file)
{
    int fd = open_proc(pid, file);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, buffer, sizeof buffer - 1);
    close(fd);
    if (n >= 0)
        buffer[n] = '\0';
    return n;
}

static void look_at_text(struct search *s, struct watched *w, enum way way)
{
    ssize_t n = read_proc(w->pid, way_names[way]);
    note(w, way, n > 0, holds(s, buffer, n));
}

static void renew(int *held, pid_t pid, const char *file)
{
    int fd = open_proc(pid, file);
    if (fd < 0)
        return;
    if (*held >= 0)
        close(*held);
    *held = fd;
}

/* A new program means new memory, so both are opened anew while that is allowed. */
static void look_at_memory(struct search *s, struct watched *w)
{
    static char maps[TEXT_MAX];
    renew(&w->maps, w->pid, "maps");
    renew(&w->mem, w->pid, "mem");
    if (w->mem < 0 || w->maps < 0)
        return;
    ssize_t n, len = 0;
    while ((n = pread(w->maps, maps + len, sizeof maps - 1 - (size_t)len, len)) > 0)
        len += n;
    maps[len] = '\0';
    note(w, MEM, true, false);
    for (char *line = maps; line && *line; line = strchr(line, '\n')) {
        unsigned long from, to;
        char rights[5];
        line += *line == '\n';
        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) != 3 || rights[1] != 'w')
            continue;
        size_t size = to - from < sizeof buffer ? to - from : sizeof buffer;
        n = pread(w->mem, buffer, size, (off_t)from);
        note(w, MEM, false, holds(s, buffer, n));
    }
}

/* A descriptor that is read from, and what it is. -1: not for us. */
static int open_readable(struct watched *w, const char *number, struct stat *st)
{
    char path[64], target[64];
    unsigned flags = O_WRONLY;
    snprintf(path, sizeof path, "/proc/%d/fd/%.16s", (int)w->pid, number);
    note(w, FD, readlink(path, target, sizeof target) > 0, false);
    snprintf(path, sizeof path, "fdinfo/%.16s", number);
    ssize_t n = read_proc(w->pid, path);
    char *at = n > 0 ? strstr(buffer, "flags:") : NULL;
    if (!at || sscanf(at, "flags: %o", &flags) != 1 || (flags & O_ACCMODE) == O_WRONLY)
        return -1;
    snprintf(path, sizeof path, "/proc/%d/fd/%.16s", (int)w->pid, number);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, st) == 0 && (S_ISREG(st->st_mode) || S_ISFIFO(st->st_mode)))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void look_at_descriptors(struct search *s, struct watched *w)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)w->pid);
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        int fd = open_readable(w, e->d_name, &st);
        if (fd < 0)
            continue;
        /* From a pipe this takes the secret away, as a thief would. */
        ssize_t n =
            S_ISREG(st.st_mode) ? pread(fd, buffer, TEXT_MAX, 0) : read(fd, buffer, TEXT_MAX);
        note(w, FD, false, holds(s, buffer, n));
        close(fd);
    }
    closedir(dir);
}

static struct name *name_of(struct search *s, pid_t pid)
{
    char text[32] = "?";
    ssize_t n = read_proc(pid, "comm");
    if (n > 1 && (size_t)n <= sizeof text) {
        memcpy(text, buffer, (size_t)n - 1);
        text[n - 1] = '\0';
    }
    for (size_t i = 0; i < s->n_names; i++)
        if (strcmp(s->names[i].text, text) == 0)
            return &s->names[i];
    if (s->n_names == NAMES)
        return &s->names[0];
    struct name *added = &s->names[s->n_names++];
    memcpy(added->text, text, sizeof text);
    return added;
}

enum kin { ABSENT, OTHERS, BELOW_TOP };

static enum kin kin_of(const struct search *s, pid_t pid)
{
    ssize_t n = read_proc(pid, "stat");
    char *end = n > 0 ? strrchr(buffer, ')') : NULL;
    int parent = 0;
    if (!end || sscanf(end, ") %*c %d", &parent) != 1)
        return ABSENT;
    for (size_t i = 0; i < s->n; i++)
        if (s->watched[i].pid == parent)
            return BELOW_TOP;
    return parent == s->top ? BELOW_TOP : OTHERS;
}

/* False: its process is not there yet. */
static bool consider(struct search *s, pid_t pid)
{
    enum kin kin = kin_of(s, pid);
    if (kin != BELOW_TOP || s->n == WATCHED || pid == getpid())
        return kin != ABSENT;
    s->watched[s->n] = (struct watched){.pid = pid, .mem = -1, .maps = -1};
    s->watched[s->n].name = name_of(s, pid);
    s->watched[s->n++].name->met++;
    return true;
}

/* Most that cannot be seen have ended already; only the newest may be about to come. */
static void remember_unborn(struct search *s)
{
    size_t at = s->n_unborn;
    if (at == UNBORN) {
        at = 0;
        for (size_t i = 1; i < UNBORN; i++)
            if (s->unborn[i].laps > s->unborn[at].laps)
                at = i;
    } else {
        s->n_unborn++;
    }
    s->unborn[at] = (struct unborn){.pid = s->last};
}

static void find_new(struct search *s)
{
    char text[128];
    ssize_t n = pread(s->loadavg, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    char *blank = strrchr(text, ' ');
    pid_t last = blank ? (pid_t)strtol(blank + 1, NULL, 10) : s->last;
    for (size_t i = 0; i < s->n_unborn; i++)
        if (consider(s, s->unborn[i].pid) || ++s->unborn[i].laps > UNBORN_LAPS)
            s->unborn[i--] = s->unborn[--s->n_unborn];
    if (last < s->last || last - s->last > NEW_PER_LAP)
        s->last = last > 16 ? last - 16 : 0;
    while (s->last < last)
        if (!consider(s, ++s->last))
            remember_unborn(s);
}

/* A process that was forked has its maker's name until it runs its own program. */
static void follow_name(struct search *s, struct watched *w)
{
    struct name *now = name_of(s, w->pid);
    if (now == w->name)
        return;
    now->met++;
    memset(w->opened, 0, sizeof w->opened);
    memset(w->found, 0, sizeof w->found);
    w->name = now;
}

static void drop(struct search *s, size_t i)
{
    if (s->watched[i].mem >= 0)
        close(s->watched[i].mem);
    if (s->watched[i].maps >= 0)
        close(s->watched[i].maps);
    s->watched[i] = s->watched[--s->n];
}

static void lap(struct search *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct watched *w = &s->watched[i];
        find_new(s);
        if (kill(w->pid, 0) != 0 && errno == ESRCH) {
            drop(s, i--);
            continue;
        }
        follow_name(s, w);
        if (s->wanted[FD])
            look_at_descriptors(s, w);
        if (s->wanted[ENVIRON])
            look_at_text(s, w, ENVIRON);
        if (s->wanted[CMDLINE])
            look_at_text(s, w, CMDLINE);
        if (s->wanted[MEM])
            look_at_memory(s, w);
        if (s->wanted[TRACE] && !w->opened[TRACE])
            note(w, TRACE, ptrace(PTRACE_SEIZE, w->pid, NULL, NULL) == 0, false);
    }
    /* What we trace ends for its parent only when it has ended for us. */
    while (s->wanted[TRACE] && waitpid(-1, NULL, __WALL | WNOHANG) > 0)
        ;
    find_new(s);
    s->laps++;
}

static void print_ways(const char *title, const unsigned *counts)
{
    printf(", \"%s\": {", title);
    for (int way = 0; way < WAYS; way++)
        printf("%s\"%s\": %u", way ? ", " : "", way_names[way], counts[way]);
    printf("}");
}

static bool line_from_input(char *line, size_t size, size_t *len)
{
    *len = 0;
    while (*len < size && read(STDIN_FILENO, line + *len, 1) == 1 && line[*len] != '\n')
        ++*len;
    return *len > 0;
}

/* In a sanitizer build: its search for leaks traces this process, which commands are denied. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

int main(int argc, char **argv)
{
    static struct search s;
    char word[16];
    size_t len;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    /* Not to be found by another one. */
    if (argc < 3 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
        !line_from_input(s.secret, sizeof s.secret, &s.secret_len))
        return 2;
    s.top = (pid_t)strtol(argv[1], NULL, 10);
    for (int i = 2; i < argc; i++)
        for (int way = 0; way < WAYS; way++)
            s.wanted[way] |= strcmp(argv[i], way_names[way]) == 0;
    s.loadavg = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    dprintf(STDOUT_FILENO, "ready\n");
    if (s.loadavg < 0 || !line_from_input(word, sizeof word, &len))
        return 2;
    find_new(&s);
    s.n = s.n_names = s.n_unborn = 0;
    do {
        lap(&s);
        lap(&s);
        dprintf(STDOUT_FILENO, "looked\n");
        while (s.laps % 16 != 0 || poll(&input, 1, 0) == 0)
            lap(&s);
    } while (line_from_input(word, sizeof word, &len));
    printf("{\"laps\": %lu, \"names\": {", s.laps);
    for (size_t i = 0; i < s.n_names; i++) {
        printf("%s\"%s\": {\"met\": %u", i ? ", " : "", s.names[i].text, s.names[i].met);
        print_ways("opened", s.names[i].opened);
        print_ways("found", s.names[i].found);
        printf("}");
    }
    printf("}}\n");
    return 0;
}
