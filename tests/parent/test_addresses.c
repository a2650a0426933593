/* SPDX-License-Identifier: Apache-2.0 */
/* URLs, proxies, NO_PROXY, names in the state directory. */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/proxy.h"
#include "config/settings.h"
#include "config/url.h"

static void test_good_urls(void **state)
{
    static const struct {
        const char *text, *host;
        unsigned port;
        const char *path, *normal;
    } good[] = {
        {"https://api.cloud.seqera.io", "api.cloud.seqera.io", 443, "",
         "https://api.cloud.seqera.io"},
        {"HTTPS://h/api/", "h", 443, "/api", "https://h/api"},
        {"https://h:8443/a/b", "h", 8443, "/a/b", "https://h:8443/a/b"},
        {"https://h:443", "h", 443, "", "https://h"},
        {"https://[::1]:8443/api", "::1", 8443, "/api", "https://[::1]:8443/api"},
        {"https://[2001:db8::1]", "2001:db8::1", 443, "", "https://[2001:db8::1]"},
        {"https://127.0.0.1/%7Eme///", "127.0.0.1", 443, "/%7Eme", "https://127.0.0.1/%7Eme"},
    };
    struct url u;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_null(url_parse(&u, good[i].text));
        assert_string_equal(u.host, good[i].host);
        assert_int_equal(u.port, good[i].port);
        assert_string_equal(u.path, good[i].path);
        assert_string_equal(u.text, good[i].normal);
    }
}

static void test_bad_urls(void **state)
{
    static const char *const bad[] = {
        "",
        "https://",
        "http://h",
        "HTTP://h",
        "ftp://h",
        "h",
        "https:h",
        "https://u@h",
        "https://u:p@h/",
        "https://h?x",
        "https://h/#x",
        "https://h/a?b",
        "https://h:0",
        "https://h:65536",
        "https://h:",
        "https://h:80x",
        "https://h:000443",
        "https://.h",
        "https://a..b",
        "https://-h",
        "https://h h",
        "https://[::1",
        "https://[::g]",
        "https://[::1]x",
        "https://[fe80::1%25lo]",
        "https://h/a b",
        "https://h/\r\nX: y",
        "https://h//a",
        "https://h/a//b",
        "https://h/../a",
        "https://h/a/..",
        "https://h/./a",
        "https://h/%",
        "https://h/%g0",
        "https://h/\xc3\xbc",
        "https://h\\a",
    };
    struct url u;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!url_parse(&u, bad[i]))
            fail_msg("accepted: %s", bad[i]);
    char *long_one = calloc(1, 2000);
    memcpy(long_one, "https://", 8);
    memset(long_one + 8, 'a', 1900);
    assert_non_null(url_parse(&u, long_one));
    memcpy(long_one, "https://h/", 10);
    assert_non_null(url_parse(&u, long_one));
    free(long_one);
}

static void test_proxies(void **state)
{
    static const struct {
        const char *text, *address, *credentials;
    } good[] = {
        {"", "", ""},
        {"proxy:3128", "http://proxy:3128", ""},
        {"http://proxy:3128/", "http://proxy:3128", ""},
        {"HTTP://u:p@proxy:1", "http://proxy:1", "u:p"},
        {"http://u:p%40%3a%25@[::1]:8080", "http://[::1]:8080", "u:p@:%"},
        {"u:p@@proxy:1", "http://proxy:1", "u:p@"},
        {"u@proxy:1", "http://proxy:1", "u"},
    };
    static const char *const bad[] = {"https://p:1",      "socks5://p:1",   "proxy",
                                      "http://p",         "http://p:1/x",   "http://p:0",
                                      "http://u%0a@p:1",  "http://u%0@p:1", "http://u%@p:1",
                                      "http://u%00@p:1",  "p:1?x",          "http://u%ff@p:1",
                                      "http://a b@p:1:2", "://p:1"};
    struct proxy p;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_null(proxy_parse(&p, good[i].text));
        assert_string_equal(p.address, good[i].address);
        assert_string_equal(p.credentials, good[i].credentials);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!proxy_parse(&p, bad[i]))
            fail_msg("accepted: %s", bad[i]);
}

static void test_no_proxy(void **state)
{
    static const char *const yes[] = {"*",
                                      "tower.example.org",
                                      "EXAMPLE.org",
                                      ".example.org",
                                      "x, example.org:443",
                                      "*.example.org",
                                      "org",
                                      "a b tower.example.org"};
    static const char *const no[] = {
        "", "ample.org", "example.org:8443", "tower.example", "x.tower.example.org", "*x"};
    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!proxy_exempt(yes[i], "tower.example.org", 443))
            fail_msg("not exempt: %s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (proxy_exempt(no[i], "tower.example.org", 443))
            fail_msg("exempt: %s", no[i]);
    assert_true(proxy_exempt("::1", "::1", 443));
    assert_true(proxy_exempt("[::1]:443", "::1", 443));
    assert_true(proxy_exempt("10.0.0.1", "10.0.0.1", 443));
    assert_false(proxy_exempt("0.0.1", "10.0.0.1", 443));
}

/* Who says it: --proxy wins over NO_PROXY, NO_PROXY over the variable and the file. */
static void test_who_decides(void **state)
{
    struct options o = {0};
    struct proxy p;
    (void)state;
    assert_true(options_set(&o, OPT_PROXY, LEVEL_FILE, 1, "file:1"));
    assert_int_equal(proxy_take(&p, &o, "h", 443), 0);
    assert_string_equal(p.address, "http://file:1");
    assert_true(options_set(&o, OPT_PROXY, LEVEL_VARIABLE, 0, "variable:1"));
    assert_int_equal(proxy_take(&p, &o, "h", 443), 0);
    assert_string_equal(p.address, "http://variable:1");
    assert_true(options_set(&o, OPT_NO_PROXY, LEVEL_VARIABLE, 0, "h"));
    assert_int_equal(proxy_take(&p, &o, "h", 443), 0);
    assert_string_equal(p.address, "");
    assert_true(options_set(&o, OPT_PROXY, LEVEL_OPTION, 0, "option:1"));
    assert_int_equal(proxy_take(&p, &o, "h", 443), 0);
    assert_string_equal(p.address, "http://option:1");
    assert_true(options_set(&o, OPT_PROXY_FILE, LEVEL_OPTION, 0, "/nowhere"));
    assert_int_equal(proxy_take(&p, &o, "h", 443), EXIT_USAGE);
    options_finish(&o);
}

static void test_state_names(void **state)
{
    char name[4 * LIMIT_CONNECTION_ID], other[4 * LIMIT_CONNECTION_ID], id[LIMIT_CONNECTION_ID + 1];
    (void)state;
    assert_true(text_state_name(name, sizeof name, "../../x", "login1"));
    assert_int_not_equal(name[0], '.');
    assert_null(strchr(name, '/'));
    assert_true(text_state_name(other, sizeof other, "../../x", "login2"));
    assert_string_not_equal(name, other);
    memset(id, '/', LIMIT_CONNECTION_ID);
    id[LIMIT_CONNECTION_ID] = '\0';
    assert_true(text_state_name(name, sizeof name, id, "login1"));
    assert_int_not_equal(name[0], '/');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_urls),   cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_proxies),     cmocka_unit_test(test_no_proxy),
        cmocka_unit_test(test_who_decides), cmocka_unit_test(test_state_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
