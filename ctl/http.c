/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/heap.h"
#include "base/log.h"
#include "config/ca.h"
#include "ctl/http_answer.h"

#define BEARER    "Authorization: Bearer "
#define LINES_MAX 16
/* Bytes of a request's body. */
#define BODY_MAX 65536

struct http {
    CURL *easy;
    const struct settings *settings;
    const char *ca;
    const struct secret *token;
    struct secret header; /* the line with the token, during a request */
    uint64_t timeout_ms;
    char error[CURL_ERROR_SIZE];
    struct http_tls tls;
    struct answer answer;
    bool connected; /* a socket that was, before libcurl closed it */
};

/* ---- what libcurl is told once ---- */

/* CURLINFO_CONNECT_TIME_T counts tunnel and handshake in, so the kernel is asked. */
static int close_socket(void *context, curl_socket_t socket)
{
    struct http *h = context;
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    h->connected = h->connected || getpeername(socket, (struct sockaddr *)&peer, &len) == 0;
    return close(socket);
}

static bool set_protocol(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK;
#else
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS) == CURLE_OK;
#endif
}

static bool set_proxy(CURL *easy, const struct proxy *p)
{
    char credentials[sizeof p->credentials];
    /* Both are set even when empty, so that no variable is asked. */
    if (curl_easy_setopt(easy, CURLOPT_PROXY, p->address) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "") != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE) != CURLE_OK)
        return false;
    if (p->credentials[0] == '\0')
        return true;
    /* Separately: a password may hold what a combined string would take for its end. */
    memcpy(credentials, p->credentials, sizeof credentials);
    char *colon = strchr(credentials, ':');
    if (colon)
        *colon = '\0';
    bool ok = curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, credentials) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, colon ? colon + 1 : "") == CURLE_OK;
    explicit_bzero(credentials, sizeof credentials);
    return ok;
}

static bool set_tls(struct http *h)
{
    CURL *easy = h->easy;
    /* No directory of further certificates, and no chain that ends before a root, as the agent. */
    return curl_easy_setopt(easy, CURLOPT_CAINFO, h->ca) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_OPTIONS, (long)CURLSSLOPT_NO_PARTIALCHAIN) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, http_tls_prepare) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, &h->tls) == CURLE_OK;
}

static bool set_rules(struct http *h)
{
    CURL *easy = h->easy;
    return set_protocol(easy) &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "tw-agentctl/" TW_VERSION) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, h->error) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, h) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, answer_take_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, &h->answer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, answer_take_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, &h->answer) == CURLE_OK;
}

/* The file's path; it is read by libcurl, but judged here, where the message is a better one. */
static const char *find_ca(const struct options *o)
{
    const char *path, *why;
    size_t len;
    char *pem = ca_read(o, &len, &path, &why);
    if (!pem && path)
        log_error("the CA certificates in %s are not usable: %s", path, why);
    else if (!pem)
        log_error("%s", why);
    bool found = pem;
    free(pem);
    return found ? path : NULL;
}

/*
 * One handle, one request: what libcurl sent last stays in its buffers, the token among it, until a
 * handle is released. Nor is a request ever sent again since a kept connection was dead.
 */
static bool begin(struct http *h)
{
    h->easy = curl_easy_init();
    return h->easy && set_rules(h) && set_proxy(h->easy, &h->settings->proxy) && set_tls(h);
}

static void end(struct http *h)
{
    curl_easy_cleanup(h->easy);
    h->easy = NULL;
    explicit_bzero(h->header.data, h->header.size);
}

struct http *http_new(const struct settings *s, const struct options *o, const struct secret *token)
{
    const char *ca = find_ca(o);
    struct http *h = ca ? calloc(1, sizeof *h) : NULL;
    if (!ca)
        return NULL;
    if (!h || secret_init(&h->header) != 0) {
        free(h);
        log_error("no memory");
        return NULL;
    }
    /* Not in main: a token in argv is wiped before this takes its time. */
    bool well = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, heap_free, heap_realloc, strdup,
                                     calloc) == CURLE_OK;
    h->settings = s;
    h->ca = ca;
    h->token = token;
    h->timeout_ms = HTTP_TIMEOUT_MS;
    h->tls = (struct http_tls){.pins = s->pins, .pins_len = s->pins_len};
    buf_init(&h->answer.body, HTTP_ANSWER_MAX);
    well = well && begin(h);
    end(h);
    if (well)
        return h;
    http_free(h);
    log_error("libcurl cannot be set up: it must be one with OpenSSL");
    return NULL;
}

void http_set_timeout(struct http *h, uint64_t milliseconds)
{
    h->timeout_ms = milliseconds;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    secret_finish(&h->header);
    buf_finish(&h->answer.body);
    curl_global_cleanup();
    free(h);
}

/* ---- one request ---- */

/* Entries that libcurl only reads: the line with the token stays in its page. */
struct lines {
    struct curl_slist entries[LINES_MAX];
    size_t n;
};

static bool add_line(struct lines *l, const char *text)
{
    if (l->n == LINES_MAX)
        return false;
    struct curl_slist *entry = &l->entries[l->n];
    /* libcurl's type has no const, though it changes nothing. */
    union {
        const char *given;
        char *wanted;
    } data = {text};
    *entry = (struct curl_slist){data.wanted, NULL};
    if (l->n++ > 0)
        entry[-1].next = entry;
    return true;
}

static bool add_token(struct http *h, struct lines *l)
{
    const size_t prefix = sizeof BEARER - 1;
    if (!h->token || h->token->len > h->header.size - prefix - 1)
        return false;
    memcpy(h->header.data, BEARER, prefix);
    memcpy(h->header.data + prefix, h->token->data, h->token->len);
    h->header.data[prefix + h->token->len] = '\0';
    return add_line(l, h->header.data);
}

static bool set_lines(struct http *h, const struct http_request *r, struct lines *l)
{
    bool ok = add_line(l, "Accept: application/json") && add_line(l, "Accept-Version: 1") &&
              add_line(l, "Expect:") && (!r->body || add_line(l, "Content-Type: application/json"));
    for (size_t i = 0; ok && r->headers && r->headers[i]; i++)
        ok = add_line(l, r->headers[i]);
    /* What goes wrong with the token must not become a request without it. */
    ok = ok && (r->anonymous || !h->token || add_token(h, l));
    return ok && curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, l->entries) == CURLE_OK;
}

static bool set_body(CURL *easy, const char *method, const char *body)
{
    curl_off_t len = body ? (curl_off_t)strlen(body) : 0;
    if (body && (curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, len) != CURLE_OK ||
                 curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body) != CURLE_OK))
        return false;
    return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK;
}

static bool prepare(struct http *h, const struct http_request *r, const char *body,
                    struct lines *lines)
{
    char url[sizeof h->settings->url.text + 4 * LIMIT_CONNECTION_ID + 256];
    long ms = h->timeout_ms < INT32_MAX ? (long)h->timeout_ms : INT32_MAX;
    int n = snprintf(url, sizeof url, "%s%s", h->settings->url.text, r->path);
    return n > 0 && (size_t)n < sizeof url &&
           curl_easy_setopt(h->easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(h->easy, CURLOPT_TIMEOUT_MS, ms) == CURLE_OK &&
           curl_easy_setopt(h->easy, CURLOPT_CONNECTTIMEOUT_MS, ms) == CURLE_OK &&
           set_body(h->easy, r->method, body) && set_lines(h, r, lines);
}

static void collect(struct http *h, struct http_result *r)
{
    char *address = NULL;
    long os_error = 0;
    curl_off_t resolved = 0, connected = 0, secured = 0, sent = 0, later = 0;
    curl_easy_getinfo(h->easy, CURLINFO_OS_ERRNO, &os_error);
    curl_easy_getinfo(h->easy, CURLINFO_HTTP_CONNECTCODE, &r->proxy_status);
    curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &r->status);
    curl_easy_getinfo(h->easy, CURLINFO_PRIMARY_IP, &address);
    curl_easy_getinfo(h->easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
    curl_easy_getinfo(h->easy, CURLINFO_CONNECT_TIME_T, &connected);
    curl_easy_getinfo(h->easy, CURLINFO_APPCONNECT_TIME_T, &secured);
    curl_easy_getinfo(h->easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
    curl_easy_getinfo(h->easy, CURLINFO_RETRY_AFTER, &later);
    r->os_error = (int)os_error;
    r->resolved = resolved > 0;
    r->connected = connected > 0 || h->connected;
    r->secured = secured > 0 || sent > 0;
    r->sent = sent > 0;
    r->retry_after = later > 0 && later < 3600 ? (unsigned)later : 0;
    snprintf(r->address, sizeof r->address, "%s", address ? address : "");
    r->chain = h->tls.chain;
}

void http_perform(struct http *h, const struct http_request *request, struct http_result *result)
{
    struct lines lines = {.n = 0};
    char *body = request->body ? json_dumps(request->body, JSON_COMPACT) : NULL;
    *result = (struct http_result){.failure = HTTP_INTERNAL, .code = CURLE_FAILED_INIT};
    answer_begin(&h->answer, request->upgrade);
    h->tls.chain = (struct http_chain){0};
    h->error[0] = '\0';
    h->connected = false;
    bool ready = (body || !request->body) && (!body || strlen(body) <= BODY_MAX) && begin(h) &&
                 prepare(h, request, body, &lines);
    if (ready) {
        result->code = (int)curl_easy_perform(h->easy);
        collect(h, result);
    }
    end(h);
    free(body);
    const struct answer_way way = {.host = h->settings->url.host,
                                   .port = h->settings->url.port,
                                   .proxy = h->settings->proxy.address,
                                   .url = h->settings->url.text,
                                   .timeout_ms = h->timeout_ms,
                                   .error = h->error,
                                   .token = h->token};
    answer_judge(&h->answer, &way, result);
    buf_finish(&h->answer.body);
}

void http_result_finish(struct http_result *r)
{
    json_decref(r->json);
    *r = (struct http_result){0};
}

enum ctl_exit http_exit_code(const struct http_result *r)
{
    switch (r->failure) {
    case HTTP_NONE:
        return CTL_WELL;
    case HTTP_RESOLVE:
    case HTTP_CONNECT:
    case HTTP_PROXY:
    case HTTP_TLS:
    case HTTP_PIN:
    case HTTP_TIMEOUT:
        return CTL_UNREACHABLE;
    case HTTP_STATUS:
        break;
    default:
        return CTL_PROBLEM;
    }
    switch (r->status) {
    case 401:
    case 403:
        return CTL_TOKEN;
    case 404:
        return CTL_NOT_FOUND;
    case 409:
        return CTL_CONFLICT;
    default:
        return CTL_PROBLEM;
    }
}
