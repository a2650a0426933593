/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/status.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ctl/arguments.h"
#include "ctl/output.h"
#include "ctl/status_list.h"

/* How long an agent that only just started may take until it is online, or is known not to be: an
 * attempt to connect has 10 s, and so has the upgrade. */
#define SETTLE_MS 20000
/* Until it has replaced the file of the run before. */
#define REPLACE_MS 5000

enum own { OWN_WATCH, OWN_ALL, OWN_END };

static const struct parameter own[] = {
    [OWN_WATCH] = {"watch", NULL, "shows it anew when it changes, until it is interrupted"},
    [OWN_ALL] = {"all", NULL, "every instance of this host, a line for each"},
    [OWN_END] = {NULL, NULL, NULL}};

static const enum option_id shared[] = {OPT_CONFIG, OPT_STATE_DIR, OPTIONS};

const struct page status_page = {
    .name = "status",
    .arguments = "[OPTIONS] [NAME]",
    .help = "Shows what the agent does now",
    .own = own,
    .shared = shared,
    .positionals = 1,
    .more =
        "NAME is an instance, or an AGENT_CONNECTION_ID; it can be left out where there is one.\n"};

struct request {
    bool json, watch, all, terminal;
    struct options options;
    struct status_place place; /* unless all */
};

static bool all_online(const struct status_list *l)
{
    bool online = l->n > 0 && !l->incomplete;
    for (size_t i = 0; i < l->n; i++)
        online = online && view_online(l->views[i]);
    return online;
}

/* ---- showing ---- */

static void print_json(const struct request *r, const struct status_list *l)
{
    json_t *all = json_array(), *whole;
    for (size_t i = 0; i < l->n; i++)
        json_array_append_new(all, view_json(l->views[i]));
    if (r->all)
        whole = json_pack("{s:b, s:o}", "ok", (int)all_online(l), "instances", all);
    else
        whole = json_incref(json_array_get(all, 0)), json_decref(all);
    output_json_line(whole);
}

static void print_name(const struct view *v, int width)
{
    output_escaped(stdout, v->name[0] ? v->name : v->path, false);
    printf("%*s", width > (int)strlen(v->name) ? width - (int)strlen(v->name) : 1, "");
}

static void print_lines(const struct request *r, const struct status_list *l)
{
    size_t width = 0;
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    for (size_t i = 0; i < l->n; i++)
        if (strlen(l->views[i]->name) + 2 > width)
            width = strlen(l->views[i]->name) + 2;
    for (size_t i = 0; i < l->n; i++) {
        if (r->watch && !r->terminal && localtime_r(&now, &tm) &&
            strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &tm) > 0)
            printf("%s  ", stamp);
        print_name(l->views[i], width < 40 ? (int)width : 40);
        view_print_line(l->views[i]);
        putchar('\n');
    }
}

static void print(const struct request *r, const struct status_list *l)
{
    if (r->json)
        print_json(r, l);
    else if (r->all || (r->watch && !r->terminal))
        print_lines(r, l);
    else
        view_print(l->views[0]);
    fflush(stdout);
}

/* ---- looking ---- */

static bool collect(struct request *r, struct status_list *l)
{
    if (r->all)
        return status_list_all(l, &r->options);
    status_list_one(l, &r->place);
    return l->n > 0;
}

static int code_of(const struct status_list *l)
{
    return all_online(l) ? CTL_WELL : CTL_PROBLEM;
}

/* What lines depend on, so that one is appended when it changes and not as it ages. */
static unsigned long mark_of(const struct status_list *l)
{
    unsigned long mark = 5381;
    for (size_t i = 0; i < l->n; i++) {
        const struct view *v = l->views[i];
        mark = mark * 33 + v->condition;
        mark = mark * 33 + (unsigned long)v->instance.pid;
        mark = mark * 33 + (unsigned long)(v->facts.root ? v->facts.since : 0);
        for (const char *c = v->facts.root ? v->facts.state : v->why; *c; c++)
            mark = mark * 33 + (unsigned char)*c;
    }
    return mark;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* Waits for a new file, a process's end, or that what is shown is not true any more. */
static void wait_for_news(const struct request *r, const struct status_list *l,
                          const sigset_t *unblocked)
{
    struct pollfd p[2 * LIST_MOST + 1] = {{.fd = STDOUT_FILENO}}; /* its reader's end */
    nfds_t n = 1;
    int ms = l->n > 0 ? 60000 : 5000;
    for (size_t i = 0; i < l->n; i++) {
        const struct view *v = l->views[i];
        int good = view_good_for_ms(v, r->terminal && !r->all && !r->json);
        ms = good < ms ? good : ms;
        p[n++] = (struct pollfd){.fd = v->instance.watch, .events = POLLIN};
        p[n++] = (struct pollfd){.fd = v->instance.process, .events = POLLIN};
    }
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    if (ppoll(p, n, &t, unblocked) > 0 && (p[0].revents & (POLLERR | POLLHUP)))
        interrupted = 1;
    /* A storm of changes is shown now and then. */
    t = (struct timespec){.tv_nsec = 50000000};
    if (!interrupted)
        ppoll(NULL, 0, &t, unblocked);
}

static int watch(struct request *r)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigset_t blocked, unblocked;
    unsigned long last = 0;
    bool first = true;
    int code = CTL_PROBLEM;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &unblocked);
    sigdelset(&unblocked, SIGINT);
    sigdelset(&unblocked, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    while (!interrupted) {
        struct status_list l = {0};
        if (!collect(r, &l)) {
            status_list_finish(&l);
            return CTL_PROBLEM;
        }
        unsigned long mark = mark_of(&l);
        if (r->terminal && !r->json)
            printf("\033[H\033[J");
        if (first || mark != last || (r->terminal && !r->json))
            print(r, &l);
        code = code_of(&l);
        first = false;
        last = mark;
        wait_for_news(r, &l, &unblocked);
        status_list_finish(&l);
    }
    return code;
}

/* How long to wait for what comes next; 0: it does not only just start. */
static uint64_t patience(const struct view *v)
{
    static const char *const on_its_way[] = {"probing", "logging-in", "connecting"};
    bool found = false;
    if (v->instance.process < 0 || !v->facts.root)
        return 0;
    /* Of the run before: this one's comes. In its very first file it does not know its pid. */
    if (v->facts.pid > 0 && v->facts.pid != v->instance.pid)
        return v->condition == VIEW_UNKNOWN ? REPLACE_MS : 0;
    for (size_t i = 0; i < sizeof on_its_way / sizeof *on_its_way; i++)
        found = found || strcmp(v->facts.state, on_its_way[i]) == 0;
    return found && v->now - v->facts.started <= SETTLE_MS / 1000 ? SETTLE_MS : 0;
}

/* "systemctl start" comes back before Tower has answered: whoever asks then waits for that. */
static void settle(const struct request *r, struct status_list *l)
{
    uint64_t begin = clock_ms(), end, now;
    while (l->n == 1 && (end = begin + patience(l->views[0])) > (now = clock_ms())) {
        const struct instance *i = &l->views[0]->instance;
        struct pollfd p[] = {{.fd = i->watch, .events = POLLIN},
                             {.fd = i->process, .events = POLLIN}};
        poll(p, 2, (int)(end - now));
        status_list_finish(l);
        status_list_one(l, &r->place);
    }
}

static int show(struct request *r)
{
    struct status_list l = {0};
    int code = CTL_PROBLEM;
    if (!r->all && !status_list_find(&r->place, &r->options))
        return code;
    if (r->watch)
        return watch(r);
    if (collect(r, &l)) {
        if (!r->all)
            settle(r, &l);
        if (l.n > 0 || r->json)
            print(r, &l);
        else
            log_error("no instance has a configuration file or a state directory on this host");
        code = code_of(&l);
    }
    status_list_finish(&l);
    return code;
}

static int take_arguments(struct request *r, int argc, char **argv)
{
    const char *given[OWN_END];
    if (!page_take(&status_page, given, &argc, argv))
        return CTL_USAGE;
    r->watch = given[OWN_WATCH];
    r->all = given[OWN_ALL];
    int code = arguments_take(&r->options, argc, argv);
    if (code != CTL_WELL || r->options.values[OPT_HELP].text)
        return code;
    if (!page_check(&status_page, &r->options))
        return CTL_USAGE;
    if (!r->all || (!r->options.connection_id && !r->options.values[OPT_CONFIG].text))
        return CTL_WELL;
    log_error("--all shows every instance: give no name with it");
    return CTL_USAGE;
}

int status_run(const struct ctl *ctl, int argc, char **argv)
{
    static struct request r;
    r = (struct request){.json = ctl->json, .terminal = isatty(STDOUT_FILENO) == 1};
    int code = take_arguments(&r, argc, argv);
    if (code == CTL_USAGE)
        page_print_usage(&status_page, stderr);
    else if (code == CTL_WELL && r.options.values[OPT_HELP].text)
        page_print(&status_page, stdout);
    else if (code == CTL_WELL)
        code = show(&r);
    options_finish(&r.options);
    return code;
}
