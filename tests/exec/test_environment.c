/* SPDX-License-Identifier: Apache-2.0 */
/* Composition of the commands' environment, files of assignments, shells' command lines. */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "exec/environment.h"
#include "exec/login.h"

/* A block from a literal; the final NUL is not part of it. */
#define BLOCK(text) ((struct span){(text), sizeof(text) - 1})

static void expect(const struct environment_parts *parts, const char *const *entries, size_t n)
{
    struct environment e = {NULL, NULL};
    assert_int_equal(environment_compose(&e, parts), 0);
    for (size_t i = 0; i < n; i++) {
        assert_non_null(e.vector[i]);
        assert_string_equal(e.vector[i], entries[i]);
    }
    assert_null(e.vector[n]);
    environment_finish(&e);
}

#define EXPECT(parts, ...)                                                                         \
    do {                                                                                           \
        static const char *const entries[] = {__VA_ARGS__};                                        \
        expect(parts, entries, sizeof entries / sizeof *entries);                                  \
    } while (0)

static void layers(void **state)
{
    (void)state;
    struct environment_parts parts = {.defaults = BLOCK("PATH=/bin\0HOME=/\0"),
                                      .base = BLOCK("HOME=/home/x\0A=1\0B=2\0"),
                                      .agent = BLOCK("B=3\0C=4\0D=5\0"),
                                      .pass = BLOCK("B\0C\0MISSING"),
                                      .set = BLOCK("C=6\0E=7\0"),
                                      .work_dir = "/work"};
    EXPECT(&parts, "PATH=/bin", "HOME=/home/x", "A=1", "B=3", "C=6", "E=7", "TW_AGENT_WORK=/work",
           "PWD=/work");
    /* What is ours nobody sets otherwise. */
    parts = (struct environment_parts){.base = BLOCK("PWD=/old\0TW_AGENT_WORK=/old"),
                                       .set = BLOCK("TW_AGENT_WORK=/set"),
                                       .work_dir = "/w"};
    EXPECT(&parts, "TW_AGENT_WORK=/w", "PWD=/w");
}

static void odd_entries(void **state)
{
    (void)state;
    struct environment_parts parts = {
        .base = BLOCK("\0\0A=\0=x\0BASH_FUNC_f%%=() { echo \"=\"\n}\0NOEQUALS\0A=2\0A=3\0AB=4\0"),
    };
    EXPECT(&parts, "BASH_FUNC_f%%=() { echo \"=\"\n}", "NOEQUALS", "A=3", "AB=4");
    parts = (struct environment_parts){.work_dir = "/"};
    EXPECT(&parts, "TW_AGENT_WORK=/", "PWD=/");
}

static void withheld(void **state)
{
    static const char *const gone[] = {"TOWER_ACCESS_TOKEN=x",
                                       "TOWER_ACCESS_TOKEN=",
                                       "NOTIFY_SOCKET=/run/x",
                                       "LISTEN_FDS=1",
                                       "LISTEN_PID=1",
                                       "LISTEN_FDNAMES=x",
                                       "CREDENTIALS_DIRECTORY=/run/c",
                                       "WATCHDOG_USEC=1",
                                       "WATCHDOG_PID=1",
                                       "INVOCATION_ID=1",
                                       "JOURNAL_STREAM=1:2",
                                       "MAINPID=1",
                                       "https_proxy=http://u:p@h:1",
                                       "HTTPS_PROXY=http://u:p@h:1",
                                       "ALL_PROXY=socks5://u@h",
                                       "http_proxy=u:p@h"};
    static const char *const kept[] = {"TOWER_API_ENDPOINT=x",   "TOWER_ACCESS_TOKEN_FILE=x",
                                       "https_proxy=http://h:1", "no_proxy=a,b",
                                       "LD_LIBRARY_PATH=/x",     "LD_PRELOAD=/x",
                                       "MY_PROXY_USER=a@b",      "https_proxy",
                                       "SLURM_CONF=/x"};
    (void)state;
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        assert_true(environment_withheld(span_of(gone[i])));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_false(environment_withheld(span_of(kept[i])));
    /* From every layer. */
    struct environment_parts parts = {.defaults = BLOCK("NOTIFY_SOCKET=1"),
                                      .base = BLOCK("TOWER_ACCESS_TOKEN=1\0https_proxy=u:p@h"),
                                      .agent = BLOCK("LISTEN_FDS=1"),
                                      .pass = BLOCK("LISTEN_FDS"),
                                      .set = BLOCK("TOWER_ACCESS_TOKEN=2\0OK=1")};
    EXPECT(&parts, "OK=1");
}

static void files(void **state)
{
    struct buf block;
    (void)state;
    buf_init(&block, 4096);
    assert_true(environment_append_file(
        &block, BLOCK("# comment\n\nA=1\n  B = spaced\nC=\"quoted # $x\"\r\nD='one'\nE='\nF=\n"
                      "1BAD=x\nno assignment\nexport G=1\nH=a=b\nN=\0x\nlast=yes")));
    static const char expected[] = "A=1\0C=quoted # $x\0D=one\0E='\0F=\0H=a=b\0last=yes";
    assert_int_equal(buf_len(&block), sizeof expected);
    assert_memory_equal(buf_data(&block), expected, sizeof expected);
    buf_finish(&block);
    buf_init(&block, 4);
    assert_false(environment_append_file(&block, BLOCK("LONG=value")));
    buf_finish(&block);
}

static void lookup(void **state)
{
    (void)state;
    struct span block = BLOCK("AB=1\0A=2\0A=3");
    assert_true(span_is(environment_get(block, "A"), "2"));
    assert_null(environment_get(block, "B").data);
    assert_null(environment_get((struct span){NULL, 0}, "A").data);
}

static void shells(void **state)
{
    struct login_shell s;
    (void)state;
    assert_true(login_shell_init(&s, "/bin/bash", "", true));
    assert_string_equal(s.path, "/bin/bash");
    assert_string_equal(s.argv[0], "-bash");
    assert_string_equal(s.argv[1], "-l");
    assert_string_equal(s.argv[2], "-c");
    assert_null(s.argv[4]);
    assert_int_equal(s.answer_fd, 3);
    login_shell_finish(&s);
    assert_true(login_shell_init(&s, "/bin/bash", "module load x", false));
    assert_string_equal(s.argv[0], "bash");
    assert_string_equal(s.argv[1], "-c");
    assert_int_equal(strncmp(s.argv[2], "module load x\n", 14), 0);
    login_shell_finish(&s);
    assert_true(login_shell_init(&s, "/usr/sbin/nologin", "", true));
    assert_string_equal(s.path, "/bin/sh");
    login_shell_finish(&s);
    assert_true(login_shell_init(&s, "", "", true));
    assert_string_equal(s.path, "/bin/sh");
    login_shell_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers), cmocka_unit_test(odd_entries), cmocka_unit_test(withheld),
        cmocka_unit_test(files),  cmocka_unit_test(lookup),      cmocka_unit_test(shells),
    };
    return cmocka_run_group_tests_name("exec.environment", tests, NULL, NULL);
}
