/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoint's URL, a proxy's address, NO_PROXY and durations. What is accepted has a host, a
 * port and nothing that could break a request line, and is the same when it is read again; whoever
 * is exempt stays so whatever else the list holds; a duration says the same in another unit.
 *
 * Input: four lines: URL, proxy, list, duration.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/text.h"
#include "config/proxy.h"
#include "config/url.h"
#include "tests/fuzz/fuzz.h"

#define DAY_MS (UINT64_C(24) * 3600 * 1000)

/* A name, or an IPv6 address: nothing that ends a host elsewhere. */
static void check_host(const char *host, bool v6)
{
    CHECK(host[0] && strlen(host) <= LIMIT_HOST);
    for (const char *c = host; *c; c++)
        CHECK(isalnum((unsigned char)*c) || strchr(v6 ? ":." : "-._", *c));
    CHECK(v6 || (host[0] != '.' && host[0] != '-' && !strstr(host, "..")));
}

static void check_path(const char *path)
{
    CHECK(path[0] == '\0' || path[0] == '/');
    for (const char *c = path; *c; c++)
        CHECK((unsigned char)*c > 0x20 && (unsigned char)*c < 0x7f && !strchr("?#\\\"<>", *c));
    CHECK(!strstr(path, "//") && !strstr(path, "/../") && !strstr(path, "/./"));
}

static bool check_url(const char *text, struct url *url)
{
    struct url again;
    const char *why = url_parse(url, text);
    if (why)
        return false;
    bool v6 = strchr(url->host, ':');
    check_host(url->host, v6);
    check_path(url->path);
    CHECK(url->port > 0 && strncmp(url->text, "https://", 8) == 0);
    CHECK(!strchr(text, '@') || strchr(text, '@') > strchr(text + 8, '/'));
    CHECK(url_parse(&again, url->text) == NULL && strcmp(again.text, url->text) == 0);
    CHECK(strcmp(again.host, url->host) == 0 && strcmp(again.path, url->path) == 0);
    CHECK(again.port == url->port);
    return true;
}

static void check_proxy(const char *text)
{
    struct proxy p, again;
    if (proxy_parse(&p, text))
        return;
    if (!*text) {
        CHECK(!p.address[0] && !p.credentials[0]);
        return;
    }
    /* The address repeats nothing but host and port. */
    CHECK(strncmp(p.address, "http://", 7) == 0 && !strchr(p.address, '@'));
    CHECK(proxy_parse(&again, p.address) == NULL && !again.credentials[0]);
    CHECK(strcmp(again.address, p.address) == 0);
    CHECK(text_is_utf8(p.credentials, strlen(p.credentials)));
    for (const char *c = p.credentials; *c; c++)
        CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
}

/* Whether an entry names the host, or a domain that it is in; ports are passed over. */
static bool names_host(const char *entry, size_t len, const char *host)
{
    size_t n = strlen(host);
    if ((len == 1 && entry[0] == '*') || (len == n && strncasecmp(entry, host, n) == 0))
        return true;
    const char *colon = len ? memrchr(entry, ':', len) : NULL;
    if (colon && strspn(colon + 1, "0123456789") >= (size_t)(entry + len - colon - 1))
        len = (size_t)(colon - entry);
    for (size_t i = 0; i < 2 && len && strchr("*.", entry[0]); i++)
        entry++, len--;
    if (len && entry[0] == '[')
        entry++, len -= 2;
    if (len == 0 || len > n || strncasecmp(entry, host + n - len, len) != 0)
        return false;
    return len == n ||
           (host[n - len - 1] == '.' && !strchr(host, ':') && strspn(host, "0123456789.") < n);
}

static bool listed(const char *list, const char *host)
{
    for (size_t n; *list; list += n) {
        list += strspn(list, ", \t");
        n = strcspn(list, ", \t");
        if (names_host(list, n, host))
            return true;
    }
    return false;
}

static void check_no_proxy(const char *list, const char *host, uint16_t port)
{
    size_t len = strlen(list);
    char *more = malloc(len + 64 + LIMIT_HOST);
    CHECK(more);
    bool exempt = proxy_exempt(list, host, port);
    snprintf(more, len + 64, "other.invalid:1, %s", list);
    CHECK(proxy_exempt(more, host, port) == exempt || strcasestr(host, "other.invalid"));
    snprintf(more, len + 64 + LIMIT_HOST, "%s %s", list, host);
    CHECK(proxy_exempt(more, host, port) || len > SIZE_MAX / 2);
    CHECK(!exempt || listed(list, host));
    free(more);
}

static void check_duration(const char *text)
{
    uint64_t ms, again;
    char other[40];
    if (!duration_parse(text, &ms))
        return;
    CHECK(ms <= 3650 * DAY_MS);
    /* 3650 days are 12 digits of milliseconds: no number before the point has more. */
    for (const char *c = text, *end; *c; c = end) {
        end = c + strspn(c, "0123456789");
        const char *first = c + strspn(c, "0");
        CHECK(end <= first + 12 || (c > text && c[-1] == '.'));
        end += end == c;
    }
    for (const char *c = text; *c; c++)
        CHECK(isalnum((unsigned char)*c) || *c == '.');
    static const struct {
        const char *before, *behind;
        uint64_t unit;
    } units[] = {{"", "ms", 1},        {"", "s", 1000},    {"", "", 1000},
                 {"", "m", 60000},     {"PT", "M", 60000}, {"", "h", 3600000},
                 {"pt", "h", 3600000}, {"", "d", DAY_MS},  {"P", "D", DAY_MS}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        uint64_t n = ms / units[i].unit;
        snprintf(other, sizeof other, "%s%llu%s", units[i].before, (unsigned long long)n,
                 units[i].behind);
        CHECK(duration_parse(other, &again) && again == n * units[i].unit);
    }
    snprintf(other, sizeof other, "PT%llu.%03lluS", (unsigned long long)(ms / 1000),
             (unsigned long long)(ms % 1000));
    CHECK(duration_parse(other, &again) && again == ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct url url;
    char *lines[4];
    for (size_t i = 0; i < 4; i++)
        CHECK((lines[i] = span_dup(input_line(&in))));
    check_proxy(lines[1]);
    if (check_url(lines[0], &url))
        check_no_proxy(lines[2], url.host, url.port);
    else
        check_no_proxy(lines[2], "tower.example.org", 443);
    check_duration(lines[3]);
    for (size_t i = 0; i < 4; i++)
        free(lines[i]);
    return 0;
}
