/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, variables and the configuration file: what is accepted, and who wins. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/instances.h"
#include "config/settings.h"
#include "parent/token.h"

struct fixture {
    struct options options;
    struct token token;
    char *argv[16];
    int argc;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    clearenv();
    return token_init(&f->token);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    options_finish(&f->options);
    token_finish(&f->token);
    for (int i = 0; i < f->argc; i++)
        free(f->argv[i]);
    free(f);
    return 0;
}

static int read_words(struct fixture *f, const char *const *words)
{
    f->argv[f->argc++] = strdup("tw-agent");
    for (; *words; words++)
        f->argv[f->argc++] = strdup(*words);
    return options_read_arguments(&f->options, token_take_argument, &f->token, f->argc, f->argv);
}

#define READ(f, ...) read_words((f), (const char *const[]){__VA_ARGS__, NULL})

static int read_config(struct fixture *f, const char *text)
{
    char *copy = strdup(text);
    if (!f->options.values[OPT_CONFIG].text)
        options_set(&f->options, OPT_CONFIG, LEVEL_OPTION, 0, "agent.conf");
    int code = config_parse(&f->options, copy, strlen(copy), "agent.conf");
    free(copy);
    return code;
}

static const char *text(struct fixture *f, enum option_id id)
{
    return settings_text(&f->options, id);
}

static void test_both_forms(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        READ(f, "-u", "https://a", "ID", "--work-dir=/w", "--ca-file", "/c", "--state-dir", "-"),
        0);
    assert_string_equal(text(f, OPT_URL), "https://a");
    assert_string_equal(text(f, OPT_WORK_DIR), "/w");
    assert_string_equal(text(f, OPT_CA_FILE), "/c");
    assert_string_equal(text(f, OPT_STATE_DIR), "-");
    assert_string_equal(f->options.connection_id, "ID");
}

static void test_attached_letters(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(READ(f, "-uhttps://a", "-w=/w", "--", "-id"), 0);
    assert_string_equal(text(f, OPT_URL), "https://a");
    assert_string_equal(text(f, OPT_WORK_DIR), "/w");
    assert_string_equal(f->options.connection_id, "-id");
}

static void test_usage_errors(void **state)
{
    static const char *const bad[][4] = {{"--no-such", "ID"},    {"-x", "ID"},
                                         {"ID", "ID"},           {"ID", "--url"},
                                         {"--help=yes", "ID"},   {"--url", "--token-fd", "3"},
                                         {"-u", "a", "-u", "b"}, {"--urll=https://a", "ID"}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *words[5] = {bad[i][0], bad[i][1], bad[i][2], bad[i][3], NULL};
        assert_int_equal(read_words(f, words), EXIT_USAGE);
        teardown(state);
        setup(state);
        f = *state;
    }
}

static void test_precedence(void **state)
{
    struct fixture *f = *state;
    setenv("TOWER_API_ENDPOINT", "https://variable", 1);
    setenv("TW_AGENT_WORK", "/variable", 1);
    assert_int_equal(READ(f, "--url", "https://option", "ID"), 0);
    assert_int_equal(options_read_environment(&f->options), 0);
    assert_int_equal(read_config(f, "url = https://file\nwork_dir = /file\nheartbeat = 7s\n"), 0);
    assert_string_equal(text(f, OPT_URL), "https://option");
    assert_string_equal(text(f, OPT_WORK_DIR), "/variable");
    assert_string_equal(text(f, OPT_HEARTBEAT), "7s");
    assert_string_equal(text(f, OPT_MAX_COMMANDS), "16");
}

static void test_lists(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_config(f, "# comment\nset_env = A=1\n  B=two words\nset_env=C=3\n"
                                    "; comment\n\npass_env = X, Y\n"),
                     0);
    assert_string_equal(text(f, OPT_SET_ENV), "A=1\nB=two words\nC=3\n");
    f->options.connection_id = "ID";
    struct settings s;
    assert_int_equal(settings_take(&s, &f->options), 0);
    assert_int_equal(s.set_env_len, 20);
    assert_memory_equal(s.set_env, "A=1\0B=two words\0C=3", 20);
    assert_memory_equal(s.pass_env, "X\0Y", 4);
}

static void test_list_of_higher_level_replaces(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(READ(f, "--require", "seccomp", "--require=landlock>=2,split-uid", "ID"), 0);
    assert_int_equal(read_config(f, "require = secret-memory\n"), 0);
    struct settings s;
    assert_int_equal(settings_take(&s, &f->options), 0);
    assert_true(s.requirements.demanded[GUARANTEE_SYSTEM_CALLS]);
    assert_true(s.requirements.demanded[GUARANTEE_SPLIT_UID]);
    assert_int_equal(s.requirements.landlock, 2);
    assert_false(s.requirements.demanded[GUARANTEE_SECRET_MEMORY]);
}

static void test_bad_config(void **state)
{
    static const char *const bad[] = {"no_such = 1\n",        "url\n",
                                      "[section]\n",          "url = https://a\nurl = https://b\n",
                                      "  indented\n",         "url = https://a\n  continued\n",
                                      "access_token = abc\n", "config = x\n",
                                      "help = yes\n",         "url = \xff\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fixture *f = *state;
        assert_int_equal(read_config(f, bad[i]), EXIT_CONFIG);
        teardown(state);
        setup(state);
    }
    struct fixture *f = *state;
    char nul[] = "url = https://a\0b\n";
    assert_int_equal(config_parse(&f->options, nul, sizeof nul - 1, "agent.conf"), EXIT_CONFIG);
}

static int take_config(void **state, const char *config)
{
    struct fixture *f = *state;
    struct settings s;
    assert_int_equal(read_config(f, config), 0);
    f->options.connection_id = "ID";
    int code = settings_take(&s, &f->options);
    teardown(state);
    setup(state);
    return code;
}

static void test_bad_values_of_the_file(void **state)
{
    static const char *const bad[] = {"heartbeat = soon", "heartbeat = 0",
                                      "max_commands = 0", "max_commands = 65",
                                      "umask = 8",        "umask = 1000",
                                      "isolate = half",   "setuid_helpers = 1",
                                      "log_level = loud", "allow_namespaces = on",
                                      "require = magic",  "require = landlock>=0",
                                      "pin_spki = abc",   "pass_env = A=B",
                                      "set_env = A",      "env_init = x\nenv_from = y",
                                      "url = http://a",   "proxy = https://a:1",
                                      "max_output = 1e6", "token_fd = x",
                                      "pin_spki =",       "set_env = 1A=b",
                                      "log_format = xml", "max_results_memory = 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(take_config(state, bad[i]), EXIT_CONFIG);
    assert_int_equal(take_config(state, "umask = 0027\nsetuid_helpers = no\n"), 0);
    assert_int_equal(take_config(state, "sandbox_log = yes\nallow_namespaces = yes\n"), 0);
    assert_int_equal(take_config(state, "command_timeout = off\nlog_level = TRACE\n"), 0);
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"45s", 45000},   {"2m", 120000}, {"1500ms", 1500},
                {"PT45S", 45000}, {"45", 45000},  {"1h", 3600000}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct fixture *f = *state;
        struct settings s;
        assert_int_equal(READ(f, "--heartbeat", good[i].text, "ID"), 0);
        assert_int_equal(settings_take(&s, &f->options), 0);
        assert_int_equal(s.numbers[OPT_HEARTBEAT], good[i].ms);
        teardown(state);
        setup(state);
    }
    struct fixture *f = *state;
    struct settings s;
    assert_int_equal(READ(f, "--heartbeat=45x", "ID"), 0);
    assert_int_equal(settings_take(&s, &f->options), EXIT_USAGE);
}

static void test_pins(void **state)
{
    struct fixture *f = *state;
    struct settings s;
    const char *one = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    char two[140];
    snprintf(two, sizeof two, "%s,%s", one, one);
    assert_int_equal(READ(f, "--pin-spki", two, "--pin-spki", one, "ID"), 0);
    assert_int_equal(settings_take(&s, &f->options), 0);
    assert_int_equal(s.pins_len, 96);
    for (unsigned i = 0; i < 96; i++)
        assert_int_equal((unsigned char)s.pins[i], i % 32);
}

/* One option, many lines: its entries have no lines of the file (a sanitizer looks). */
static void test_lists_with_line_breaks(void **state)
{
    struct fixture *f = *state;
    struct settings s;
    assert_int_equal(READ(f, "--pin-spki", "\n\n\n\n\n\n\n\n\n\n\n\nbad", "--require",
                          "\n\n\n\n\n\n\n\n\n\n\n\nbad", "ID"),
                     0);
    assert_int_equal(settings_take(&s, &f->options), EXIT_USAGE);
}

static void test_connection_ids(void **state)
{
    static const struct {
        const char *id;
        int code;
    } cases[] = {{"lab", 0},           {"two words", 0},     {"Zürich ✓", 0},   {"", EXIT_USAGE},
                 {"a\nb", EXIT_USAGE}, {"\xff", EXIT_USAGE}, {NULL, EXIT_USAGE}};
    struct fixture *f = *state;
    struct settings s;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        f->options.connection_id = cases[i].id;
        assert_int_equal(settings_take(&s, &f->options), cases[i].code);
    }
    f->options.connection_id = NULL;
    assert_true(options_set(&f->options, OPT_CONNECTION_ID, LEVEL_FILE, 1, "of the file"));
    assert_int_equal(settings_take(&s, &f->options), 0);
    assert_string_equal(s.connection_id, "of the file");
    f->options.connection_id = "lab";
    assert_int_equal(settings_take(&s, &f->options), 0);
    assert_string_equal(s.connection_id, "lab");
}

static void test_bad_connection_id_of_the_file(void **state)
{
    struct fixture *f = *state;
    struct settings s;
    assert_true(options_set(&f->options, OPT_CONFIG, LEVEL_OPTION, 0, "f.conf"));
    assert_true(options_set(&f->options, OPT_CONNECTION_ID, LEVEL_FILE, 1, ""));
    assert_int_equal(settings_take(&s, &f->options), EXIT_CONFIG);
}

static void test_instances(void **state)
{
    static const char *const bad[] = {"", ".x", "-x", "a/b", "a b", "..", "ä"};
    char path[256], xdg[] = "/x/config";
    (void)state;
    assert_true(instance_file("lab-1.b_C", ".conf", true, path, sizeof path));
    assert_string_equal(path, "/etc/tw-agent/lab-1.b_C.conf");
    setenv("HOME", "/h", 1);
    unsetenv("XDG_CONFIG_HOME");
    assert_true(instance_file("lab", ".token", false, path, sizeof path));
    assert_string_equal(path, "/h/.config/tw-agent/lab.token");
    setenv("XDG_CONFIG_HOME", xdg, 1);
    assert_true(instance_directory(false, path, sizeof path));
    assert_string_equal(path, "/x/config/tw-agent");
    assert_false(instance_file("lab", ".conf", false, path, 10));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(instance_name_valid(bad[i]));
    assert_false(
        instance_name_valid("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
}

static void test_requirements(void **state)
{
    struct facts f = {.landlock_abi = 3, .seccomp = true};
    struct requirements r;
    (void)state;
    assert_true(requirements_parse(&r, "landlock>=3, seccomp\nmember-isolation\n"));
    assert_true(requirements_met(&r, &f));
    assert_true(requirements_parse(&r, "landlock>=4"));
    assert_false(requirements_met(&r, &f));
    f.token = EXPOSED_TO_COMMANDS;
    assert_true(requirements_parse(&r, "token-unreachable"));
    assert_false(requirements_met(&r, &f));
    assert_true(requirements_parse(&r, ""));
    assert_true(requirements_met(&r, &f));
    assert_false(requirements_parse(&r, "landlock"));
    assert_false(requirements_parse(&r, "seccomp,landlock>=x"));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_both_forms),
        T(test_attached_letters),
        T(test_usage_errors),
        T(test_precedence),
        T(test_lists),
        T(test_list_of_higher_level_replaces),
        T(test_bad_config),
        T(test_bad_values_of_the_file),
        T(test_durations),
        T(test_pins),
        T(test_connection_ids),
        T(test_bad_connection_id_of_the_file),
        T(test_instances),
        T(test_requirements),
        T(test_lists_with_line_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
