/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of SECURITY.md that say what holds where: kernels' facts through the real judges. */
#include <stdio.h>
#include <string.h>

#include "sandbox/guarantees.h"

#define FROM_VERSION "from the kernel's version and configuration, not tried"

static const struct kernel {
    const char *name;
    const char *version;
    unsigned landlock_abi;
    bool memfd_secret;
    const char *source;
} kernels[] = {
    {"RHEL 8", "4.18", 0, false, FROM_VERSION},
    {"RHEL 9 before 9.6", "5.14", 0, false,
     "not tried; early 9.x has no Landlock, between that and 9.6 it was not looked up"},
    {"RHEL 9.6", "5.14", 5, false, FROM_VERSION ", with what Red Hat took from later kernels"},
    {"RHEL 10", "6.12", 0, false,
     "not tried; whether Landlock (6 in this version) and memfd_secret are enabled was not looked "
     "up, so they count as absent"},
    {"Ubuntu 22.04", "5.15", 1, false, FROM_VERSION},
    {"Ubuntu 24.04", "6.8", 4, true, FROM_VERSION},
    {"Debian 12", "6.1", 2, false, FROM_VERSION},
    {"Debian 13", "6.12", 6, true, FROM_VERSION},
    {"SLES 15 SP4 to SP7", "5.14 to 6.4", 0, false,
     "not tried; whether Landlock (1 to 3 in these versions) is enabled was not looked up, so it "
     "counts as absent"},
    {"Debian 12, later kernel", "6.18", 7, true, "what the tests run on"},
};

#define KERNELS (sizeof kernels / sizeof *kernels)

static struct facts facts_of(const struct kernel *k, bool system)
{
    return (struct facts){.landlock_abi = k->landlock_abi,
                          .seccomp = true,
                          .memfd_secret = k->memfd_secret,
                          .secret_memory = k->memfd_secret,
                          .locked_memory = true,
                          .split_uid = system,
                          .token = system ? EXPOSED_TO_NOBODY : EXPOSED_TO_COMMANDS,
                          .isolate_full = true,
                          .user = "you"};
}

static void print_cell(const char *text)
{
    printf(" %s |", text);
}

static void print_rule(size_t columns)
{
    printf("\n|");
    for (size_t i = 0; i < columns; i++)
        printf(" --- |");
    putchar('\n');
}

static void print_kernels(void)
{
    printf("| host | kernel | Landlock ABI | memfd_secret | seccomp | how this is known |");
    print_rule(6);
    for (const struct kernel *k = kernels; k < kernels + KERNELS; k++) {
        char abi[16];
        snprintf(abi, sizeof abi, "%u", k->landlock_abi);
        putchar('|');
        print_cell(k->name);
        print_cell(k->version);
        print_cell(k->landlock_abi ? abi : "none");
        print_cell(k->memfd_secret ? "yes" : "no");
        print_cell("yes");
        print_cell(k->source);
        putchar('\n');
    }
}

static enum holds judge(const struct kernel *k, bool system, unsigned id, struct judgement *j)
{
    struct facts f = facts_of(k, system);
    guarantee_judge((enum guarantee_id)id, &f, j);
    return j->holds;
}

static bool holds_everywhere(bool system, unsigned id)
{
    struct judgement j;
    for (size_t i = 0; i < KERNELS; i++)
        if (judge(&kernels[i], system, id, &j) != HOLDS_FULL)
            return false;
    return true;
}

static void print_guarantees(void)
{
    printf("| guarantee | promise | demanded by | what holds |");
    print_rule(4);
    for (const struct guarantee *g = guarantees; g < guarantees + GUARANTEES_MAX; g++)
        printf("| %s | %s | %s%s%s | %s |\n", g->name, g->promise, g->word ? "`" : "",
               g->word ? g->word : "", g->word ? "`" : "", g->what);
}

static void print_mode(bool system)
{
    size_t columns = 1;
    printf("| host |");
    for (unsigned id = 0; id < GUARANTEES_MAX; id++)
        if (!holds_everywhere(system, id)) {
            print_cell(guarantees[id].name);
            columns++;
        }
    print_rule(columns);
    for (size_t i = 0; i < KERNELS; i++) {
        struct judgement j;
        printf("| %s |", kernels[i].name);
        for (unsigned id = 0; id < GUARANTEES_MAX; id++)
            if (!holds_everywhere(system, id))
                print_cell(holds_name(judge(&kernels[i], system, id, &j)));
        putchar('\n');
    }
}

/* What it means, by the first host where it is so; the plain user's first, who lacks most. */
static void print_reason(unsigned id, enum holds holds)
{
    struct judgement j;
    for (size_t i = 0; i < KERNELS; i++)
        if (judge(&kernels[i], false, id, &j) == holds) {
            printf("- `%s`, %s: %s.\n", guarantees[id].name, holds_name(holds), j.lost);
            return;
        }
}

static void print_reasons(void)
{
    for (unsigned id = 0; id < GUARANTEES_MAX; id++) {
        print_reason(id, HOLDS_PARTLY);
        print_reason(id, HOLDS_NOT);
    }
}

static void change(struct facts *f, size_t setting)
{
    bool *const switches[] = {&f->setuid_helpers, &f->allow_namespaces, &f->sandbox_log};
    if (setting < 3)
        *switches[setting] = true;
    else
        f->isolate_full = false;
}

/* What each setting costs where everything else holds. */
static void print_settings(void)
{
    static const char *const names[] = {"setuid_helpers = yes", "allow_namespaces = yes",
                                        "sandbox_log = yes", "isolate = read-only"};
    printf("| setting | mode | what is lost |");
    print_rule(3);
    for (size_t i = 0; i < 4; i++)
        for (int user = 0; user < 2; user++) {
            const char *separator = "";
            struct facts before = facts_of(&kernels[KERNELS - 1], !user), after = before;
            change(&after, i);
            printf("| `%s` | %s | ", names[i], user ? "user" : "system");
            for (unsigned id = 0; id < GUARANTEES_MAX; id++) {
                struct judgement was, is;
                guarantee_judge((enum guarantee_id)id, &before, &was);
                guarantee_judge((enum guarantee_id)id, &after, &is);
                if (is.holds == was.holds)
                    continue;
                printf("%s%s (%s)", separator, guarantees[id].name, holds_name(is.holds));
                separator = ", ";
            }
            printf(" |\n");
        }
}

int main(void)
{
    print_guarantees();
    printf("\n### Hosts\n\n");
    print_kernels();
    printf("\n### System mode (started as root), token in a file of root:tw-agent\n\n"
           "What is not listed holds on all of them.\n\n");
    print_mode(true);
    printf("\n### User mode (started as a plain user), token in a file of that user\n\n"
           "A token that comes by `--token-fd` from a pipe is unreachable here too.\n\n");
    print_mode(false);
    printf("\nWhere it says less than ok, that means, for example:\n\n");
    print_reasons();
    printf("\n### What settings cost\n\n");
    print_settings();
    return 0;
}
