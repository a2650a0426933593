/* SPDX-License-Identifier: Apache-2.0 */
/* Each row of the table holds in full on a good host, and falls by each fact that it rests on. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sandbox/enforce.h"
#include "tests/unit/test.h"

static const struct facts good = {.landlock_abi = 7,
                                  .seccomp = true,
                                  .memfd_secret = true,
                                  .secret_memory = true,
                                  .locked_memory = true,
                                  .split_uid = true,
                                  .token = EXPOSED_TO_NOBODY,
                                  .isolate_full = true,
                                  .user = "labsvc"};

static struct facts plain_user(void)
{
    struct facts f = good;
    f.split_uid = false;
    return f;
}

/* The rows that do not hold in full, one letter each: - full, p partly, n not. */
static const char *row_of(const struct facts *f)
{
    static char row[GUARANTEES_MAX + 1];
    for (unsigned i = 0; i < GUARANTEES_MAX; i++) {
        struct judgement j;
        guarantee_judge((enum guarantee_id)i, f, &j);
        row[i] = "-pn"[j.holds];
        /* One line says what is lost exactly when something is. */
        assert_true((j.holds == HOLDS_FULL) == (j.lost[0] == '\0'));
        assert_null(strpbrk(j.lost, "\n|"));
        assert_true(strlen(j.lost) + 1 < sizeof j.lost && strlen(j.remedy) + 1 < sizeof j.remedy);
    }
    return row;
}

#define BAD(expected, change)                                                                      \
    do {                                                                                           \
        struct facts f = good;                                                                     \
        change;                                                                                    \
        assert_string_equal(row_of(&f), expected);                                                 \
    } while (0)

/* system-calls, no-new-privileges, no-namespaces, agent-files, agent-ports, agent-signals,
 * member-isolation, member-signals, renames, split-uid, secret-memory, token-unreachable. */
static void test_rows(void **state)
{
    (void)state;
    BAD("------------", (void)f);
    BAD("n----n------", f.seccomp = false);
    BAD("---pp-nn----", f.landlock_abi = 0);
    BAD("----p--np---", f.landlock_abi = 1);
    BAD("----p--n----", f.landlock_abi = 3);
    BAD("-------n----", f.landlock_abi = 4);
    BAD("-------n----", f.landlock_abi = 5);
    BAD("------------", f.landlock_abi = 6);
    BAD("----------p-", f.secret_memory = f.memfd_secret = false);
    BAD("----------p-", f.secret_memory = false);
    BAD("----------n-", f.secret_memory = f.memfd_secret = f.locked_memory = false);
    BAD("---------n--", f.split_uid = false);
    BAD("-------p----", f.isolate_full = false);
    BAD("-n----nn----", f.setuid_helpers = true);
    BAD("--n---------", f.allow_namespaces = true);
    BAD("n-----------", f.sandbox_log = true);
    BAD("-----------p", f.token = EXPOSED_TO_GROUP);
    BAD("-----------n", f.token = EXPOSED_TO_ALL);
    BAD("-----------n", f.token = EXPOSED_TO_COMMANDS);
    BAD("-----------n", f.token = EXPOSED_AT_START);
    BAD("-----------n", f.token = EXPOSED_UNKNOWN);
}

static void test_rows_of_a_plain_user(void **state)
{
    struct facts f = plain_user();
    (void)state;
    f.setuid_helpers = true;
    assert_string_equal(row_of(&f), "pn---nnn-n--");
    f.setuid_helpers = false;
    f.sandbox_log = true;
    assert_string_equal(row_of(&f), "n--------n--");
    f.sandbox_log = false;
    f.landlock_abi = 5;
    assert_string_equal(row_of(&f), "-----p-n-n--");
}

static bool met(const char *word, const struct facts *f)
{
    struct requirements r;
    assert_true(requirements_parse(&r, word));
    return requirements_met(&r, f);
}

static void test_demands(void **state)
{
    struct facts f = good, own = plain_user();
    (void)state;
    assert_true(met(requirement_words + strlen("landlock>=N, "), &f));
    assert_true(met("landlock>=7", &f) && !met("landlock>=8", &f));
    assert_true(met("member-isolation seccomp", &own));
    f.setuid_helpers = own.setuid_helpers = true;
    assert_false(met("member-isolation", &f));
    assert_true(met("seccomp", &f));
    assert_true(met("landlock>=6", &f));
    assert_false(met("landlock>=6", &own));
    assert_false(met("seccomp", &own)); /* as a plain user exec has no filter then */
    f = good;
    f.sandbox_log = true;
    assert_false(met("seccomp", &f));
    assert_true(met("member-isolation", &f));
    f = good;
    f.secret_memory = false;
    assert_false(met("secret-memory", &f));
    f.token = EXPOSED_TO_GROUP;
    assert_false(met("token-unreachable", &f));
    assert_false(met("split-uid", &own));
}

/* What the error lists is what is accepted. */
static void test_words(void **state)
{
    struct requirements r;
    size_t listed = 0, words = 0;
    (void)state;
    char *copy = strdup(requirement_words), *rest = NULL;
    for (char *word = strtok_r(copy, ", ", &rest); word; word = strtok_r(NULL, ", ", &rest)) {
        assert_true(strcmp(word, "landlock>=N") == 0 || requirements_parse(&r, word));
        listed++;
    }
    free(copy);
    for (size_t i = 0; i < GUARANTEES_MAX; i++) {
        assert_true(!guarantees[i].word || strstr(requirement_words, guarantees[i].word));
        words += guarantees[i].word != NULL;
    }
    assert_int_equal(listed, words + 1);
    assert_false(requirements_parse(&r, "system-calls"));
    assert_false(requirements_parse(&r, "landlock>=0"));
}

static void count(void *context, enum log_level level, const char *message)
{
    unsigned *n = context;
    assert_int_equal(level, LOG_LEVEL_WARN);
    assert_true(strncmp(message, "not enforced: ", 14) == 0 ||
                strncmp(message, "enforced in part: ", 18) == 0);
    ++*n;
}

static void test_warnings(void **state)
{
    unsigned n = 0;
    struct facts f = good;
    (void)state;
    log_to(count, &n);
    facts_warn(&f);
    assert_int_equal(n, 0);
    f.landlock_abi = 0;
    facts_warn(&f);
    assert_int_equal(n, 1); /* one line for all that Landlock would do */
    log_to(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),     cmocka_unit_test(test_rows_of_a_plain_user),
        cmocka_unit_test(test_demands),  cmocka_unit_test(test_words),
        cmocka_unit_test(test_warnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
