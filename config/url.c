/* SPDX-License-Identifier: Apache-2.0 */
#include "config/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/span.h"
#include "base/text.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static bool take_host(const char *text, char *host, size_t size, const char **rest)
{
    struct in6_addr address;
    if (*text == '[') {
        size_t n = strcspn(text + 1, "]");
        *rest = text + n + 2;
        return text[n + 1] == ']' && span_copy(host, size, (struct span){text + 1, n}) &&
               inet_pton(AF_INET6, host, &address) == 1;
    }
    size_t n = strspn(text, LETTERS "-._");
    *rest = text + n;
    /* RFC 1035 section 2.3.4 knows no empty labels. */
    return n > 0 && text[0] != '.' && text[0] != '-' &&
           span_copy(host, size, (struct span){text, n}) && !strstr(host, "..");
}

bool url_parse_authority(const char *text, char *host, size_t size, uint16_t *port,
                         const char **rest)
{
    char digits[6];
    uint64_t number;
    if (!take_host(text, host, size, rest))
        return false;
    if (**rest != ':')
        return true;
    size_t n = strspn(*rest + 1, "0123456789");
    if (!span_copy(digits, sizeof digits, (struct span){*rest + 1, n}) ||
        !text_number(digits, UINT16_MAX, &number) || number == 0)
        return false;
    *port = (uint16_t)number;
    *rest += n + 1;
    return true;
}

/* RFC 3986 section 3.3, without empty and relative segments; it becomes part of a request line. */
static bool take_path(struct url *url, const char *path)
{
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    if (!span_copy(url->path, sizeof url->path, (struct span){path, len}))
        return false;
    for (const char *c = url->path; *c; c++) {
        if (*c == '%' && strspn(c + 1, "0123456789abcdefABCDEF") < 2)
            return false;
        if (!strchr(LETTERS "-._~!$&'()*+,;=:@%/", *c))
            return false;
    }
    char closed[sizeof url->path + 1];
    snprintf(closed, sizeof closed, "%s/", url->path);
    return !strstr(closed, "//") && !strstr(closed, "/./") && !strstr(closed, "/../");
}

const char *url_parse(struct url *url, const char *text)
{
    const char *rest;
    *url = (struct url){.port = 443};
    if (strncasecmp(text, "http://", 7) == 0)
        return "http is refused, since the token would travel in clear: give an https URL";
    if (strncasecmp(text, "https://", 8) != 0)
        return "not a URL that begins with https://";
    text += 8;
    size_t authority = strcspn(text, "/?#");
    if (memchr(text, '@', authority))
        return "a user or password in the URL is refused";
    if (strpbrk(text, "?#"))
        return "a query or fragment in the URL is refused";
    if (!url_parse_authority(text, url->host, sizeof url->host, &url->port, &rest) ||
        (*rest != '\0' && *rest != '/'))
        return "not a URL of the form https://HOST[:PORT][/PATH]: host or port is malformed";
    if (!take_path(url, rest))
        return "not a URL of the form https://HOST[:PORT][/PATH]: the path is malformed";
    bool v6 = strchr(url->host, ':');
    char port[8] = "";
    if (url->port != 443)
        snprintf(port, sizeof port, ":%u", url->port);
    snprintf(url->text, sizeof url->text, "https://%s%s%s%s%s", v6 ? "[" : "", url->host,
             v6 ? "]" : "", port, url->path);
    return NULL;
}
