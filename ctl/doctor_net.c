/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/ca.h"
#include "config/url.h"
#include "ctl/doctor.h"
#include "ctl/http.h"
#include "ctl/reach.h"
#include "ctl/token.h"

#define API_MAJOR 1
#define API_MINOR 8

/* The host that TCP goes to: the proxy, if there is one. */
static bool first_hop(const struct settings *s, char *host, size_t size, uint16_t *port)
{
    const char *rest, *scheme = strstr(s->proxy.address, "://");
    *port = s->url.port;
    if (scheme)
        return url_parse_authority(scheme + 3, host, size, port, &rest);
    return span_copy(host, size, span_of(s->url.host));
}

static bool resolve(struct doctor *d, struct reach_answer *a)
{
    const struct settings *s = &d->subject.settings;
    char host[LIMIT_HOST + 1], list[1024] = "";
    uint16_t port;
    step_begin(&d->steps, "dns");
    d->code = CTL_UNREACHABLE;
    if (!first_hop(s, host, sizeof host, &port))
        return step_end(&d->steps, STEP_FAILED, NULL, NULL, "the proxy's address is malformed");
    const char *what = *s->proxy.address ? "the proxy " : "";
    if (!reach_resolve(a, &d->subject.users.net, host, port))
        return step_end(&d->steps, STEP_FAILED, "see the name servers in /etc/resolv.conf", NULL,
                        "%s%s: the name service does not answer", what, host);
    for (size_t i = 0; i < a->n; i++) {
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", a->addresses[i].text);
    }
    if (a->n == 0)
        return step_end(&d->steps, STEP_FAILED,
                        "see url, and whether this host resolves names from outside; where it does "
                        "not, a proxy does it: proxy_file",
                        NULL, "%s%s: %s", what, host, *a->why ? a->why : "no address");
    return step_end(&d->steps, STEP_OK, NULL, NULL, "%s%s: %s", what, host, list);
}

static bool connect_tcp(struct doctor *d, struct reach_answer *a)
{
    char list[REACH_ADDRESSES * 128];
    size_t at = 0, good = 0;
    step_begin(&d->steps, "tcp");
    if (!reach_connect(a, &d->subject.users.net))
        return step_end(&d->steps, STEP_FAILED, NULL, NULL, "nothing could be tried");
    for (size_t i = 0; i < a->n && at + 128 < sizeof list; i++) {
        const struct reach_address *to = &a->addresses[i];
        good += to->error == 0;
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s: %s, %u ms", i ? "; " : "",
                               to->text, to->error ? strerror(to->error) : "connected", to->ms);
    }
    if (good == 0)
        return step_end(&d->steps, STEP_FAILED,
                        *d->subject.settings.proxy.address
                            ? "see proxy and proxy_file, and whether the proxy runs"
                            : "open the way out for this host, or name the site's proxy by "
                              "proxy_file",
                        NULL, "%s", list);
    return step_end(&d->steps, good == a->n ? STEP_OK : STEP_NOTE,
                    good == a->n ? NULL : "the agent goes on to the next address by itself", NULL,
                    "%s", list);
}

/* A line for each certificate that the server showed. */
static void list_chain(const struct http_chain *c, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < c->n && at < size; i++) {
        const struct http_certificate *x = &c->certificates[i];
        int n = snprintf(out + at, size - at,
                         "%zu subject %s\n  issuer %s\n  valid from %s to %s\n  pin_spki %s\n", i,
                         x->subject, x->issuer, x->not_before, x->not_after, x->pin);
        at += n > 0 ? (size_t)n : 0;
    }
}

static const char *tls_remedy(const struct http_chain *c, char *out, size_t size)
{
    const struct http_certificate *last = c->n ? &c->certificates[c->n - 1] : NULL;
    char now[32] = "";
    struct tm tm;
    time_t t = time(NULL);
    if (gmtime_r(&t, &tm))
        strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (c->unpinned)
        snprintf(out, size,
                 "if that is Tower's new key, add it to pin_spki; if not, somebody "
                 "stands in between");
    else if (strstr(c->why, "not yet valid") || strstr(c->why, "expired"))
        snprintf(out, size,
                 "this host's clock says %s: is it right? Else the server needs a new certificate",
                 now);
    else if (strstr(c->why, "issuer") || strstr(c->why, "self-signed") ||
             strstr(c->why, "self signed"))
        snprintf(
            out, size,
            "no trusted authority vouches for '%.200s': a private authority, or a proxy of the "
            "site that opens TLS; if it is the site's, name its certificate by ca_file",
            last ? last->issuer : "");
    else if (c->verified)
        snprintf(out, size, "url must name the host as the certificate does");
    else
        snprintf(out, size,
                 "url must name a TLS server; a stricter crypto policy of this host "
                 "(openssl.cnf) may refuse what the server offers");
    return out;
}

static bool end_tls(struct doctor *d, const struct http_result *r)
{
    static char chain[16384];
    const struct settings *s = &d->subject.settings;
    const struct http_certificate *own = &r->chain.certificates[0];
    const char *ca = NULL, *why;
    char remedy[1024];
    size_t len;
    list_chain(&r->chain, chain, sizeof chain);
    d->steps.name = "tls";
    if (!r->secured)
        return step_end(&d->steps, STEP_FAILED,
                        r->failure == HTTP_TIMEOUT
                            ? "something swallows TLS on the way: a firewall?"
                            : tls_remedy(&r->chain, remedy, sizeof remedy),
                        chain, "%s", r->detail);
    free(ca_read(&d->subject.options, &len, &ca, &why));
    return step_end(&d->steps, STEP_OK, NULL, chain,
                    "%s: verified by %s, issuer '%s', valid until %s%s", s->url.host,
                    ca ? ca : "the system", own->issuer, own->not_after,
                    s->pins_len ? ", pinned" : "");
}

/* Whether TLS began: false when the road ended before it. */
static bool came_to_tls(const struct http_result *r)
{
    return r->secured || r->chain.seen || r->failure == HTTP_TLS || r->failure == HTTP_PIN ||
           (r->failure == HTTP_TIMEOUT && r->connected);
}

static bool end_proxy(struct doctor *d, const struct http_result *r)
{
    const struct proxy *p = &d->subject.settings.proxy;
    bool proxied = *p->address;
    if (!proxied && came_to_tls(r))
        return true;
    if (!came_to_tls(r))
        return step_end(&d->steps, STEP_FAILED,
                        r->proxy_status == 407 || r->proxy_status == 401
                            ? "the proxy wants a user and password: give them in proxy_file"
                        : r->proxy_status
                            ? "ask who runs the proxy to let CONNECT to this host pass"
                            : NULL,
                        NULL, "%s", r->detail);
    return step_end(&d->steps, STEP_OK, NULL, NULL, "%s lets through to %s:%u%s", p->address,
                    d->subject.settings.url.host, d->subject.settings.url.port,
                    *p->credentials ? ", by a password" : "");
}

static bool is_new_enough(const char *version)
{
    unsigned major = 0, minor = 0;
    int n = sscanf(version, "%5u.%5u", &major, &minor);
    return n > 0 && (major > API_MAJOR || (major == API_MAJOR && minor >= API_MINOR));
}

static bool end_service_info(struct doctor *d, const struct http_result *r)
{
    const char *url = d->subject.settings.url.text, *api, *version;
    size_t len = strlen(url);
    bool has_api = len >= 4 && strcmp(url + len - 4, "/api") == 0;
    d->steps.name = "service-info";
    const json_t *info = json_object_get(r->json, "serviceInfo");
    api = json_string_value(json_object_get(info, "apiVersion"));
    version = json_string_value(json_object_get(info, "version"));
    if (r->failure != HTTP_NONE)
        return step_end(&d->steps, STEP_FAILED,
                        r->failure == HTTP_TIMEOUT || r->status >= 500
                            ? "Tower is there, but not well: see its operators"
                        : has_api ? "url must be the API endpoint, as users of Tower know it"
                                  : "did you mean url with /api at its end?",
                        NULL, "%s", r->detail);
    if (!api)
        return step_end(&d->steps, STEP_FAILED,
                        has_api ? "url must be Tower's API endpoint"
                                : "did you mean url with /api at its end?",
                        NULL, "%s: what answers there is not a Tower", url);
    if (!is_new_enough(api))
        return step_end(&d->steps, STEP_FAILED, "Tower must be upgraded", NULL,
                        "API version %.60s is too old: %d.%d is needed", api, API_MAJOR, API_MINOR);
    return step_end(&d->steps, STEP_OK, NULL, NULL, "Tower %.60s, API version %.60s",
                    version ? version : "of an unknown version", api);
}

static bool ask_version(struct doctor *d, struct http *h)
{
    const struct http_request request = {
        .method = "GET", .path = "/service-info", .anonymous = true};
    struct http_result r;
    /* One request, and the steps that it took. */
    step_begin(&d->steps, *d->subject.settings.proxy.address ? "proxy" : "tls");
    http_perform(h, &request, &r);
    bool ok = end_proxy(d, &r) && end_tls(d, &r) && end_service_info(d, &r);
    http_result_finish(&r);
    return ok;
}

static bool end_token(struct doctor *d, const struct http_result *r)
{
    const char *name =
        json_string_value(json_object_get(json_object_get(r->json, "user"), "userName"));
    bool refused = r->status == 401 || r->status == 403;
    d->code = http_exit_code(r);
    if (r->failure == HTTP_NONE)
        return step_end(&d->steps, STEP_OK, NULL, NULL, "accepted, as that of user '%.100s'",
                        name ? name : "?");
    return step_end(&d->steps, STEP_FAILED,
                    refused ? "make a new token in Tower (Your tokens), and put it into the file"
                            : "the token was not judged: Tower is not well; see its operators",
                    NULL, "%s", r->detail);
}

static bool ask_user(struct doctor *d, struct http *h)
{
    const struct http_request request = {.method = "GET", .path = "/user"};
    struct http_result r;
    step_begin(&d->steps, "token");
    d->code = (enum ctl_exit)token_obtain(&d->token, &d->subject.options,
                                          *d->token_file ? d->token_file : NULL);
    if (d->code != CTL_WELL)
        return step_end_said(&d->steps, "tw-agentctl setup writes it, for the agent alone");
    http_perform(h, &request, &r);
    bool ok = end_token(d, &r);
    http_result_finish(&r);
    return ok;
}

bool doctor_network(struct doctor *d)
{
    struct reach_answer a;
    if (!resolve(d, &a) || !connect_tcp(d, &a))
        return false;
    d->code = CTL_UNREACHABLE;
    struct http *h = http_new(&d->subject.settings, &d->subject.options, &d->token);
    if (!h) {
        step_begin(&d->steps, "tls");
        d->code = CTL_CONFIGURATION;
        return step_end_said(&d->steps, NULL);
    }
    bool ok = ask_version(d, h) && ask_user(d, h);
    http_free(h);
    return ok;
}
