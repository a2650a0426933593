/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "ctl/output.h"

#define NAME_WIDTH 22

/* What --require came to. */
struct unmet {
    unsigned n;
};

static void ignore_unmet(void *context, const char *word, const struct judgement *j)
{
    (void)context;
    (void)word;
    (void)j;
}

static bool demands_met(const struct check *c)
{
    return requirements_judge(&c->settings.requirements, &c->facts, ignore_unmet, NULL);
}

/* Guarantees without which the agent must not run here. */
static unsigned missing_guarantees(const struct check *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < GUARANTEES_MAX; i++) {
        struct judgement j;
        guarantee_judge((enum guarantee_id)i, &c->facts, &j);
        n += guarantees[i].necessary && j.holds == HOLDS_NOT;
    }
    return n;
}

bool check_is_well(const struct check *c)
{
    return missing_guarantees(c) == 0 && demands_met(c) &&
           findings_count(&c->findings, FINDING_ERROR) == 0;
}

static const char *mode_name(const struct check *c)
{
    return c->settings.system_mode ? "system" : "user";
}

static void print_line(const char *state, const char *name, const char *detail, const char *remedy)
{
    printf("  %-8s %-*s ", state, NAME_WIDTH, name);
    output_escaped(stdout, detail, false);
    putchar('\n');
    if (!*remedy)
        return;
    printf("  %-8s %-*s -> ", "", NAME_WIDTH, "");
    output_escaped(stdout, remedy, false);
    putchar('\n');
}

static void print_unmet(void *context, const char *word, const struct judgement *j)
{
    struct unmet *u = context;
    u->n++;
    print_line("no", word, j->lost, j->remedy);
}

static void print_text(const struct check *c, const char *release)
{
    const struct facts *f = &c->facts;
    struct unmet unmet = {0};
    printf("tw-agent " TW_VERSION ", %s mode\nkernel ", mode_name(c));
    output_escaped(stdout, release, false);
    printf(": Landlock ABI %u, seccomp %s, memfd_secret %s\n\nWhat is enforced\n", f->landlock_abi,
           f->seccomp ? "yes" : "no", f->memfd_secret ? "yes" : "no");
    for (unsigned i = 0; i < GUARANTEES_MAX; i++) {
        struct judgement j;
        char name[NAME_WIDTH + 1];
        guarantee_judge((enum guarantee_id)i, f, &j);
        snprintf(name, sizeof name, "%s %s", guarantees[i].promise, guarantees[i].name);
        print_line(holds_name(j.holds), name, *j.lost ? j.lost : guarantees[i].what, j.remedy);
    }
    const char *demands = settings_text(&c->options, OPT_REQUIRE);
    printf("\nWhat --require demands%s\n", *demands ? "" : ": nothing");
    if (requirements_judge(&c->settings.requirements, f, print_unmet, &unmet) && *demands)
        print_line("ok", "require", "all of it is met", "");
    printf("\nChecks\n");
    for (size_t i = 0; i < c->findings.n; i++) {
        const struct finding *item = &c->findings.items[i];
        print_line(severity_name(item->severity), item->name, item->detail, item->remedy);
    }
    size_t errors = findings_count(&c->findings, FINDING_ERROR);
    size_t warnings = findings_count(&c->findings, FINDING_WARNING);
    if (check_is_well(c))
        printf("\nverdict: ok, with %zu warnings\n", warnings);
    else
        printf("\nverdict: no: %u guarantees that must hold do not, %u demands are not met, "
               "%zu errors, %zu warnings\n",
               missing_guarantees(c), unmet.n, errors, warnings);
}

void check_print_problems(const struct check *c)
{
    struct unmet unmet = {0};
    bool any = !check_is_well(c) || findings_count(&c->findings, FINDING_WARNING) > 0;
    printf("\ncheck: %s\n", check_is_well(c) ? any ? "ok, with warnings" : "ok" : "not well");
    for (unsigned i = 0; i < GUARANTEES_MAX; i++) {
        struct judgement j;
        guarantee_judge((enum guarantee_id)i, &c->facts, &j);
        if (guarantees[i].necessary && j.holds == HOLDS_NOT)
            print_line(holds_name(j.holds), guarantees[i].name, j.lost, j.remedy);
    }
    requirements_judge(&c->settings.requirements, &c->facts, print_unmet, &unmet);
    for (size_t i = 0; i < c->findings.n; i++) {
        const struct finding *item = &c->findings.items[i];
        if (item->severity >= FINDING_WARNING)
            print_line(severity_name(item->severity), item->name, item->detail, item->remedy);
    }
}

static void print_json_unmet(void *context, const char *word, const struct judgement *j)
{
    struct unmet *u = context;
    printf("%s{", u->n++ ? "," : "");
    output_json_text(stdout, true, "name", word);
    output_json_text(stdout, false, "detail", j->lost);
    output_json_text(stdout, false, "remedy", j->remedy);
    putchar('}');
}

static void print_json_guarantee(const struct check *c, enum guarantee_id id)
{
    const struct guarantee *g = &guarantees[id];
    struct judgement j;
    guarantee_judge(id, &c->facts, &j);
    printf("%s{", id > 0 ? "," : "");
    output_json_text(stdout, true, "name", g->name);
    output_json_text(stdout, false, "promise", g->promise);
    output_json_text(stdout, false, "holds", holds_name(j.holds));
    output_json_text(stdout, false, "detail", *j.lost ? j.lost : g->what);
    output_json_text(stdout, false, "remedy", j.remedy);
    putchar('}');
}

static void print_json_finding(const struct finding *f, bool first)
{
    printf("%s{", first ? "" : ",");
    output_json_text(stdout, true, "name", f->name);
    output_json_bool(stdout, false, "ok", f->severity != FINDING_ERROR);
    output_json_text(stdout, false, "severity", severity_name(f->severity));
    output_json_text(stdout, false, "detail", f->detail);
    output_json_text(stdout, false, "remedy", f->remedy);
    putchar('}');
}

static void print_json(const struct check *c, const char *release)
{
    const struct facts *f = &c->facts;
    struct unmet unmet = {0};
    putchar('{');
    output_json_bool(stdout, true, "ok", check_is_well(c));
    output_json_text(stdout, false, "version", TW_VERSION);
    output_json_text(stdout, false, "mode", mode_name(c));
    printf(",\"kernel\":{");
    output_json_text(stdout, true, "release", release);
    printf(",\"landlock_abi\":%u", f->landlock_abi);
    output_json_bool(stdout, false, "seccomp", f->seccomp);
    output_json_bool(stdout, false, "memfd_secret", f->memfd_secret);
    printf("},\"guarantees\":[");
    for (unsigned i = 0; i < GUARANTEES_MAX; i++)
        print_json_guarantee(c, (enum guarantee_id)i);
    printf("],\"unmet\":[");
    requirements_judge(&c->settings.requirements, f, print_json_unmet, &unmet);
    printf("],\"checks\":[");
    for (size_t i = 0; i < c->findings.n; i++)
        print_json_finding(&c->findings.items[i], i == 0);
    printf("]}\n");
}

bool check_print(const struct check *c, bool json)
{
    struct utsname kernel = {.release = "?"};
    uname(&kernel);
    (json ? print_json : print_text)(c, kernel.release);
    return fflush(stdout) == 0 && check_is_well(c);
}
