/* SPDX-License-Identifier: Apache-2.0 */
/* A page's own options out of a command line, and words for a shell. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "ctl/page.h"
#include "ctl/shell.h"

static const struct parameter own[] = {
    {"name", "NAME", ""}, {"wait", "[DUR]", ""}, {"yes", NULL, ""}, {NULL, NULL, NULL}};
static const enum option_id shared[] = {OPT_URL, OPTIONS};
static const struct page page = {"test", "", "", own, shared, 0, NULL};

enum { NAME, WAIT, YES };

struct line {
    char *argv[12];
    int argc;
    const char *values[PAGE_OWN_MAX];
    char error[256];
};

static void keep(void *context, enum log_level level, const char *message)
{
    struct line *l = context;
    (void)level;
    snprintf(l->error, sizeof l->error, "%s", message);
}

/* Words separated by blanks. */
static bool take(struct line *l, char *words)
{
    *l = (struct line){.argv = {words}, .argc = 1};
    for (char *at = strtok_r(words, " ", &words); at; at = strtok_r(NULL, " ", &words))
        l->argv[l->argc++] = at;
    log_to(keep, l);
    bool ok = page_take(&page, l->values, &l->argc, l->argv);
    log_to(NULL, NULL);
    return ok;
}

#define TAKE(l, text) take(l, (char[]){text})

static void test_own_options_are_taken_out(void **state)
{
    struct line l;
    (void)state;
    assert_true(TAKE(&l, "--url u --name n x --yes --names --wait"));
    assert_string_equal(l.values[NAME], "n");
    assert_string_equal(l.values[YES], "");
    assert_string_equal(l.values[WAIT], "");
    assert_int_equal(l.argc, 5);
    assert_string_equal(l.argv[1], "--url");
    assert_string_equal(l.argv[3], "x");
    assert_string_equal(l.argv[4], "--names"); /* another option */
    assert_null(l.argv[5]);
}

static void test_values(void **state)
{
    struct line l;
    (void)state;
    assert_true(TAKE(&l, "--name= --wait=5s"));
    assert_string_equal(l.values[NAME], "");
    assert_string_equal(l.values[WAIT], "5s");
    assert_true(TAKE(&l, "--wait 5s --name=-n"));
    assert_string_equal(l.values[WAIT], "5s");
    assert_string_equal(l.values[NAME], "-n");
    assert_true(TAKE(&l, "--wait --yes"));
    assert_string_equal(l.values[WAIT], "");
    assert_true(TAKE(&l, "-- --name --yes"));
    assert_null(l.values[NAME]);
    assert_int_equal(l.argc, 4);
}

static void test_refused(void **state)
{
    struct line l;
    (void)state;
    assert_false(TAKE(&l, "--name"));
    assert_string_equal(l.error, "option --name needs a value");
    assert_false(TAKE(&l, "--name --yes"));
    assert_false(TAKE(&l, "--name -n"));
    assert_false(TAKE(&l, "--yes=1"));
    assert_string_equal(l.error, "option --yes takes no value");
    assert_false(TAKE(&l, "--name a --name=b"));
    assert_string_equal(l.error, "option --name is given twice");
}

static void test_shared_options(void **state)
{
    struct options o = {0};
    struct line l = {.argc = 0};
    (void)state;
    log_to(keep, &l);
    assert_true(options_set(&o, OPT_URL, LEVEL_OPTION, 0, "u"));
    assert_true(options_set(&o, OPT_HEARTBEAT, LEVEL_VARIABLE, 0, "1s"));
    assert_true(page_check(&page, &o));
    o.connection_id = "x";
    assert_false(page_check(&page, &o));
    o.connection_id = NULL;
    assert_true(options_set(&o, OPT_RUN_AS, LEVEL_OPTION, 0, "me"));
    assert_false(page_check(&page, &o));
    assert_string_equal(l.error, "tw-agentctl test has no option --run-as");
    log_to(NULL, NULL);
    options_finish(&o);
}

/* What a shell makes of the word is the text again. */
static void test_shell_words(void **state)
{
    static const char *const texts[] = {"",    "plain-1.2/x", "a b",  "it's", "$(id)`id`\\\"",
                                        "'''", "\t\n*?[~#&;", "-x=é%"};
    static char word[SHELL_WORD_MAX], command[SHELL_WORD_MAX + 32], back[64];
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_true(shell_word(word, texts[i]));
        snprintf(command, sizeof command, "printf %%s %s", word);
        FILE *shell = popen(command, "r");
        assert_non_null(shell);
        size_t n = fread(back, 1, sizeof back - 1, shell);
        back[n] = '\0';
        pclose(shell);
        assert_string_equal(back, texts[i]);
    }
    char *longest = malloc(LIMIT_PATH + 2);
    assert_non_null(longest);
    memset(longest, '\'', LIMIT_PATH + 1);
    longest[LIMIT_PATH + 1] = '\0';
    assert_false(shell_word(word, longest));
    assert_true(shell_word(word, longest + 1));
    assert_int_equal(strlen(word), 4 * LIMIT_PATH + 2);
    free(longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_options_are_taken_out), cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_shared_options),
        cmocka_unit_test(test_shell_words)};
    return cmocka_run_group_tests_name("ctl_page", tests, NULL, NULL);
}
