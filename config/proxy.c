/* SPDX-License-Identifier: Apache-2.0 */
#include "config/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/span.h"
#include "base/text.h"
#include "config/files.h"
#include "config/settings.h"
#include "config/url.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 section 2.1. A NUL, or what would break a header line, is refused. */
static bool decode(char *out, size_t size, struct span in)
{
    size_t at = 0;
    for (size_t i = 0; i < in.len; i++) {
        int c = (unsigned char)in.data[i];
        if (c == '%') {
            int high = in.len - i > 2 ? hex(in.data[i + 1]) : -1;
            int low = high >= 0 ? hex(in.data[i + 2]) : -1;
            if (low < 0)
                return false;
            c = high << 4 | low;
            i += 2;
        }
        if (c < 0x20 || c == 0x7f || at + 1 >= size)
            return false;
        out[at++] = (char)c;
    }
    out[at] = '\0';
    return text_is_utf8(out, at);
}

const char *proxy_parse(struct proxy *p, const char *text)
{
    char host[LIMIT_HOST + 1];
    uint16_t port = 0;
    const char *rest, *scheme = strstr(text, "://");
    *p = (struct proxy){0};
    if (*text == '\0')
        return NULL;
    if (scheme && strncasecmp(text, "http://", 7) != 0)
        return "only http proxies are supported: give http://[user:password@]host:port";
    if (scheme)
        text = scheme + 3;
    /* The last @ before the path: a password may hold another one by mistake, hosts never. */
    const char *end = text + strcspn(text, "/?#"), *at = memrchr(text, '@', (size_t)(end - text));
    if (at &&
        !decode(p->credentials, sizeof p->credentials, (struct span){text, (size_t)(at - text)}))
        return "user and password are malformed: special characters are given as %HH";
    if (at)
        text = at + 1;
    if (!url_parse_authority(text, host, sizeof host, &port, &rest) || port == 0 ||
        (*rest != '\0' && strcmp(rest, "/") != 0))
        return "not a proxy of the form http://[user:password@]host:port";
    bool v6 = strchr(host, ':');
    snprintf(p->address, sizeof p->address, "http://%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "",
             port);
    return NULL;
}

static bool matches(struct span entry, const char *host, uint16_t port)
{
    char text[LIMIT_HOST + 16], name[LIMIT_HOST + 1];
    const char *rest, *from = text;
    uint16_t only = port;
    if (!span_copy(text, sizeof text, entry))
        return false;
    if (strcmp(text, "*") == 0 || strcasecmp(text, host) == 0)
        return true;
    if (strncmp(from, "*.", 2) == 0)
        from++;
    if (*from == '.')
        from++;
    if (!url_parse_authority(from, name, sizeof name, &only, &rest) || *rest || only != port)
        return false;
    size_t n = strlen(name), m = strlen(host);
    if (strcasecmp(name, host) == 0)
        return true;
    /* An address has no domains: 1.10.0.0.1 is not below 10.0.0.1. */
    bool address = strchr(host, ':') || strspn(host, "0123456789.") == m;
    return !address && m > n && host[m - n - 1] == '.' && strcasecmp(host + m - n, name) == 0;
}

bool proxy_exempt(const char *list, const char *host, uint16_t port)
{
    for (;;) {
        list += strspn(list, ", \t");
        size_t n = strcspn(list, ", \t");
        if (n == 0)
            return false;
        if (matches((struct span){list, n}, host, port))
            return true;
        list += n;
    }
}

static const char *parse_file(struct proxy *p, const char *path)
{
    struct stat st;
    const char *why;
    size_t len;
    char *text = file_read(path, LIMIT_URL_PATH, &len, &st, &why);
    if (!text)
        return why;
    text[strcspn(text, "\r\n")] = '\0';
    why = *text ? proxy_parse(p, text) : "its first line is empty";
    explicit_bzero(text, len);
    free(text);
    return why;
}

int proxy_take(struct proxy *p, const struct options *o, const char *host, uint16_t port)
{
    static const enum option_id ids[] = {OPT_PROXY, OPT_PROXY_FILE};
    enum option_id chosen;
    char origin[512];
    *p = (struct proxy){0};
    if (!options_choose(o, ids, 2, &chosen))
        return options_bad(o, chosen);
    if (chosen == OPTIONS)
        return 0;
    /* NO_PROXY is a variable: it counts unless the command line names a proxy. */
    if (o->values[chosen].level < LEVEL_OPTION &&
        proxy_exempt(settings_text(o, OPT_NO_PROXY), host, port))
        return 0;
    const char *text = o->values[chosen].text;
    const char *why = chosen == OPT_PROXY ? proxy_parse(p, text) : parse_file(p, text);
    if (!why)
        return 0;
    log_error("%s: %s", options_origin(o, chosen, origin, sizeof origin), why);
    return EXIT_CONFIG;
}
