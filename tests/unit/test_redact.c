/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <string.h>

#include "policy/redact.h"

static void cases(void **state)
{
    static const char *const table[][2] = {
        {"nothing here", "nothing here"},
        {"export TOWER_ACCESS_TOKEN=abc123; x", "export TOWER_ACCESS_TOKEN=[redacted]; x"},
        {"TOWER_ACCESS_TOKEN='abc' y", "TOWER_ACCESS_TOKEN=[redacted]' y"},
        {"Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"},
        {"x: Bearer Bearer abc.def", "x: Bearer Bearer [redacted]"},
        {"GET https://h/ephemeral/s3cr3t now", "GET https://h/ephemeral/[redacted] now"},
        {"http://user:pw@proxy:3128/", "http://[redacted]@proxy:3128/"},
        {"http://user@proxy/", "http://user@proxy/"},
        {"x eyJhbGciOiJIUzI1NiJ9.e30.abc y", "x [redacted] y"},
        {"eyJ short", "eyJ short"},
    };
    char out[256];
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_string_equal(redact(out, sizeof out, span_of(table[i][0])), table[i][1]);
}

static void foreign(void **state)
{
    /* A server that says a token back need not say what it is. */
    static const char *const table[][2] = {
        {"Unauthorized: the agent 'lab' may not connect", NULL},
        {"bad key 0123456789abcdef0123456", NULL}, /* one less */
        {"bad key 0123456789abcdef01234567", "bad key [redacted]"},
        {"token 'Zm9vYmFyK2Jhei9xdXV4PT0=Zm9v'?", "token '[redacted]'?"},
        {"(tw-test-token-4f0c9d1e7ab84c52)", "([redacted])"},
        {"a.b_c~d-e+f/g=h%20a.b_c~d-e+f/g=h", "[redacted]"},
        {"TOWER_ACCESS_TOKEN=abc x", "TOWER_ACCESS_TOKEN=[redacted] x"},
        {"Bearer 0123456789abcdef01234567 y", "Bearer [redacted] y"},
        {"https://tower.example.org/a/b/c", "https:[redacted]"},
    };
    char out[256];
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_string_equal(redact_foreign(out, sizeof out, span_of(table[i][0])),
                            table[i][table[i][1] ? 1 : 0]);
    /* Ours is not a server's: addresses and paths stay. */
    assert_string_equal(redact(out, sizeof out, span_of(table[8][0])), table[8][0]);
}

static void bounds(void **state)
{
    char out[8];
    (void)state;
    assert_string_equal(redact(out, sizeof out, span_of("TOWER_ACCESS_TOKEN=abc")), "TOWER_A");
    assert_string_equal(redact(out, 1, span_of("abc")), "");
    assert_string_equal(redact(out, sizeof out, (struct span){NULL, 0}), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cases), cmocka_unit_test(foreign),
                                       cmocka_unit_test(bounds)};
    return cmocka_run_group_tests_name("redact", tests, NULL, NULL);
}
