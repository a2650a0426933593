/* SPDX-License-Identifier: Apache-2.0 */
/* The token's sources: taken, wiped where it was, judged, read again. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "config/options.h"
#include "parent/release.h"
#include "parent/token.h"

#define SECRET "tw-test-token-0123456789"

struct fixture {
    struct token token;
    struct options options;
    char directory[64], path[128];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    unsetenv("CREDENTIALS_DIRECTORY");
    snprintf(f->directory, sizeof f->directory, "/tmp/tw-unit-XXXXXX");
    if (!mkdtemp(f->directory))
        return -1;
    snprintf(f->path, sizeof f->path, "%s/token", f->directory);
    return token_init(&f->token);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    rmdir(f->directory);
    token_finish(&f->token);
    options_finish(&f->options);
    free(f);
    return 0;
}

static void write_token(struct fixture *f, const char *text, size_t len)
{
    unlink(f->path);
    int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
}

static bool holds(const struct fixture *f, const char *text)
{
    return span_is(token_bytes(&f->token), text);
}

static int find_file(struct fixture *f)
{
    options_set(&f->options, OPT_TOKEN_FILE, LEVEL_OPTION, 0, f->path);
    return token_find(&f->token, &f->options, 0);
}

static void test_environment_is_scrubbed(void **state)
{
    struct fixture *f = *state;
    char a[] = "A=1", t[] = "TOWER_ACCESS_TOKEN=" SECRET, x[] = "TOWER_ACCESS_TOKENX=keep",
         b[] = "B=2";
    char *environment[] = {a, t, x, b, NULL};
    assert_true(token_take_environment(&f->token, environment));
    assert_ptr_equal(environment[0], a);
    assert_ptr_equal(environment[1], x);
    assert_ptr_equal(environment[2], b);
    assert_null(environment[3]);
    for (size_t i = sizeof "TOWER_ACCESS_TOKEN=" - 1; i < sizeof t; i++)
        assert_int_equal(t[i], 0);
    assert_true(holds(f, SECRET));
    assert_false(token_take_environment(&f->token, environment));
}

/* Every form in which the public agent takes it. */
static void test_arguments_are_scrubbed(void **state)
{
    static const char *const forms[][2] = {{"-t", SECRET},
                                           {"-t" SECRET, NULL},
                                           {"-t=" SECRET, NULL},
                                           {"--access-token", SECRET},
                                           {"--access-token=" SECRET, NULL}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct fixture *f = *state;
        char words[5][64] = {"tw-agent"};
        char *argv[5] = {words[0]};
        int argc = 1;
        for (size_t k = 0; k < 2 && forms[i][k]; k++, argc++)
            argv[argc] = strcpy(words[argc], forms[i][k]);
        argv[argc] = strcpy(words[argc], "ID");
        argc++;
        assert_int_equal(
            options_read_arguments(&f->options, token_take_argument, &f->token, argc, argv), 0);
        assert_null(memmem(words, sizeof words, SECRET, 4));
        assert_string_equal(f->options.connection_id, "ID");
        assert_true(holds(f, SECRET));
        assert_int_equal(token_find(&f->token, &f->options, 0), 0);
        teardown(state);
        setup(state);
    }
}

static void test_proxy_password_is_scrubbed(void **state)
{
    struct fixture *f = *state;
    char option[] = "--proxy=http://u:password@p:1", program[] = "tw-agent";
    char *argv[] = {program, option, NULL};
    assert_int_equal(options_read_arguments(&f->options, token_take_argument, &f->token, 2, argv),
                     0);
    assert_null(memmem(option, sizeof option, "password", 8));
    assert_string_equal(f->options.values[OPT_PROXY].text, "http://u:password@p:1");
}

static void test_judge(void **state)
{
    static const struct {
        const char *text;
        size_t kept; /* 0: refused */
    } cases[] = {{"abc", 3},  {"abc\n", 3}, {"abc\r\n", 3}, {"abc\n\n", 3},   {"a~!", 3},
                 {"", 0},     {"\n", 0},    {"a b", 0},     {" abc", 0},      {"abc ", 0},
                 {"a\tb", 0}, {"a\nb", 0},  {"a\x7f", 0},   {"a\xc3\xbc", 0}, {"a\x01", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t len = strlen(cases[i].text);
        assert_true(!token_judge(cases[i].text, &len) == (cases[i].kept > 0));
        if (cases[i].kept)
            assert_int_equal(len, cases[i].kept);
    }
    char *text = malloc(LIMIT_TOKEN + 1);
    memset(text, 'a', LIMIT_TOKEN + 1);
    size_t longest = LIMIT_TOKEN, longer = LIMIT_TOKEN + 1;
    assert_null(token_judge(text, &longest));
    assert_non_null(token_judge(text, &longer));
    free(text);
}

static void test_file(void **state)
{
    struct fixture *f = *state;
    write_token(f, SECRET "\r\n", sizeof SECRET + 1);
    assert_int_equal(find_file(f), 0);
    assert_int_equal(token_load(&f->token), 0);
    assert_true(holds(f, SECRET));
    assert_true(search_found(&f->token.search, span_of("x" SECRET "y")));
    struct users u = {.commands.uid = getuid(), .commands.gid = getgid()};
    assert_int_equal(token_source_exposure(&f->token.source, &u), EXPOSED_TO_COMMANDS);
    u.commands.uid++;
    u.commands.gid++;
    assert_int_equal(token_source_exposure(&f->token.source, &u), EXPOSED_TO_NOBODY);
}

/* Agent 10 of group 20, commands 30 of groups 40 and 41; the file as it stands there. */
static void test_exposure(void **state)
{
    static const struct {
        uid_t owner;
        gid_t group;
        mode_t mode;
        enum token_exposure expected;
    } cases[] = {{0, 20, 0640, EXPOSED_TO_NOBODY},    {0, 0, 0600, EXPOSED_TO_NOBODY},
                 {0, 0, 0640, EXPOSED_TO_NOBODY},     {10, 20, 0600, EXPOSED_TO_NOBODY},
                 {0, 50, 0640, EXPOSED_TO_GROUP},     {0, 50, 0600, EXPOSED_TO_NOBODY},
                 {0, 40, 0640, EXPOSED_TO_COMMANDS},  {0, 41, 0640, EXPOSED_TO_COMMANDS},
                 {0, 41, 0600, EXPOSED_TO_NOBODY},    {30, 20, 0640, EXPOSED_TO_COMMANDS},
                 {30, 20, 0000, EXPOSED_TO_COMMANDS}, /* its owner can change that */
                 {0, 20, 0644, EXPOSED_TO_ALL},       {0, 50, 0644, EXPOSED_TO_ALL}};
    gid_t groups[] = {40, 41};
    struct users u = {.agent = {.uid = 10, .gid = 20},
                      .commands = {.uid = 30, .gid = 40, .groups = groups, .n_groups = 2}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct token_source s = {.kind = TOKEN_FILE,
                                 .owner = cases[i].owner,
                                 .group = cases[i].group,
                                 .mode = S_IFREG | cases[i].mode};
        assert_int_equal(token_source_exposure(&s, &u), cases[i].expected);
    }
    struct token_source s = {.kind = TOKEN_ARGUMENT};
    assert_int_equal(token_source_exposure(&s, &u), EXPOSED_AT_START);
}

/* One more entry in a list beside those of owner, group, mask and others. */
static enum token_exposure with_entry(unsigned char tag, unsigned char permissions,
                                      unsigned char id)
{
    gid_t groups[] = {40, 41};
    struct users u = {.agent = {.uid = 10, .gid = 20},
                      .commands = {.uid = 30, .gid = 40, .groups = groups, .n_groups = 2}};
    const char list[] = {
        2, 0,        0, 0, 1, 0,  6, 0, -1, -1, -1, -1, (char)tag, 0, (char)permissions,
        0, (char)id, 0, 0, 0, 16, 0, 4, 0,  -1, -1, -1, -1};
    struct token_source s = {
        .kind = TOKEN_FILE, .group = 20, .mode = S_IFREG | 0640, .acl_len = sizeof list};
    memcpy(s.acl, list, sizeof list);
    return token_source_exposure(&s, &u);
}

static void test_access_control_lists(void **state)
{
    (void)state;
    assert_int_equal(with_entry(0x02, 4, 30), EXPOSED_TO_COMMANDS);
    assert_int_equal(with_entry(0x02, 2, 30), EXPOSED_TO_NOBODY);
    assert_int_equal(with_entry(0x02, 4, 31), EXPOSED_TO_GROUP);
    assert_int_equal(with_entry(0x02, 4, 10), EXPOSED_TO_NOBODY);
    assert_int_equal(with_entry(0x08, 6, 41), EXPOSED_TO_COMMANDS);
    assert_int_equal(with_entry(0x08, 4, 42), EXPOSED_TO_GROUP);
    assert_int_equal(with_entry(0x08, 4, 20), EXPOSED_TO_NOBODY);
    gid_t none[1];
    struct users u = {.commands = {.uid = 30, .groups = none}};
    struct token_source longer = {.kind = TOKEN_FILE, .mode = S_IFREG | 0600, .acl_len = -1};
    assert_int_equal(token_source_exposure(&longer, &u), EXPOSED_TO_GROUP);
}

static void test_unusable_files(void **state)
{
    struct fixture *f = *state;
    char big[LIMIT_TOKEN + 100];
    memset(big, 'a', sizeof big);
    assert_int_equal(find_file(f), 0);
    assert_int_equal(token_load(&f->token), EXIT_CONFIG); /* missing */
    write_token(f, big, sizeof big);
    assert_int_equal(token_load(&f->token), EXIT_CONFIG);
    write_token(f, "a\0b", 3);
    assert_int_equal(token_load(&f->token), EXIT_CONFIG);
    unlink(f->path);
    assert_int_equal(symlink("/etc/hostname", f->path), 0);
    assert_int_equal(token_load(&f->token), EXIT_CONFIG);
    unlink(f->path);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_int_equal(token_load(&f->token), EXIT_CONFIG); /* and does not wait for a writer */
}

static void test_rotation(void **state)
{
    struct fixture *f = *state;
    write_token(f, SECRET "\n", sizeof SECRET);
    assert_int_equal(find_file(f), 0);
    assert_int_equal(token_load(&f->token), 0);
    assert_int_equal(token_reload(&f->token), TOKEN_UNCHANGED);
    write_token(f, "new-token-9876543210", 20);
    assert_int_equal(token_reload(&f->token), TOKEN_REPLACED);
    assert_true(holds(f, "new-token-9876543210"));
    assert_false(search_found(&f->token.search, span_of(SECRET)));
    /* The page that is not in use holds nothing. */
    const struct secret *spare = &f->token.pages[!f->token.used];
    for (size_t i = 0; i < spare->size; i++)
        assert_int_equal(spare->data[i], 0);
    write_token(f, "bad token", 9);
    assert_int_equal(token_reload(&f->token), TOKEN_KEPT);
    unlink(f->path);
    assert_int_equal(token_reload(&f->token), TOKEN_KEPT);
    assert_true(holds(f, "new-token-9876543210"));
}

static void test_descriptor(void **state)
{
    struct fixture *f = *state;
    int pair[2];
    assert_int_equal(pipe(pair), 0);
    assert_int_equal(write(pair[1], SECRET "\n", sizeof SECRET), sizeof SECRET);
    close(pair[1]);
    options_set(&f->options, OPT_TOKEN_FD, LEVEL_OPTION, 0, "x");
    assert_int_equal(token_find(&f->token, &f->options, pair[0]), 0);
    close(pair[0]);
    assert_int_equal(token_load(&f->token), 0);
    assert_true(holds(f, SECRET));
    struct users u = {.commands.uid = getuid()};
    assert_int_equal(token_source_exposure(&f->token.source, &u), EXPOSED_TO_NOBODY);
    assert_int_equal(token_reload(&f->token), TOKEN_NOT_READABLE_AGAIN);
}

static void test_descriptor_of_another_kind(void **state)
{
    struct fixture *f = *state;
    int null = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    options_set(&f->options, OPT_TOKEN_FD, LEVEL_OPTION, 0, "x");
    assert_int_equal(token_find(&f->token, &f->options, null), 0);
    assert_int_equal(token_load(&f->token), EXIT_CONFIG);
    close(null);
    assert_int_equal(token_find(&f->token, &f->options, null), EXIT_CONFIG); /* closed */
}

static void test_sources_exclude_each_other(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(token_find(&f->token, &f->options, 0), EXIT_CONFIG); /* none */
    setenv("CREDENTIALS_DIRECTORY", f->directory, 1);
    write_token(f, SECRET, sizeof SECRET - 1);
    assert_int_equal(token_find(&f->token, &f->options, 0), 0);
    assert_int_equal(f->token.source.kind, TOKEN_CREDENTIAL);
    options_set(&f->options, OPT_TOKEN_FD, LEVEL_OPTION, 0, "3");
    options_set(&f->options, OPT_TOKEN_FILE, LEVEL_OPTION, 0, f->path);
    assert_int_equal(token_find(&f->token, &f->options, 0), EXIT_USAGE);
}

static void test_bucket(void **state)
{
    struct bucket b = {.interval_ms = 100, .burst = 10};
    unsigned given = 0;
    (void)state;
    for (uint64_t now = 5000; now < 6000; now++)
        given += bucket_take(&b, now);
    assert_in_range(given, 19, 20);
    for (unsigned i = 0; i < 20; i++)
        given += bucket_take(&b, 60000);
    assert_in_range(given, 29, 30);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_environment_is_scrubbed),
        T(test_arguments_are_scrubbed),
        T(test_proxy_password_is_scrubbed),
        T(test_judge),
        T(test_file),
        T(test_exposure),
        T(test_access_control_lists),
        T(test_unusable_files),
        T(test_rotation),
        T(test_descriptor),
        T(test_descriptor_of_another_kind),
        T(test_sources_exclude_each_other),
        cmocka_unit_test(test_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
