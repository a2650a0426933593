/* SPDX-License-Identifier: Apache-2.0 */
#include "net/connect/attempt.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fds.h"

/*
 * libcurl's own deadline lies behind ours: reaching it, libcurl waits for the thread that resolves,
 * and a name service may take much longer than the attempt may.
 */
#define CURL_LATER_MS 1000
/* Between an address that did not answer and the next one libcurl (7.88) waits for a call, and sets
 * no timer for it: without one the next address would never be tried. */
#define CURL_CALL_MS 250
/* Bytes that may wait in the kernel before they are sent: 2 s at 64 KB/s. */
#define UNSENT_MAX 131072

struct attempt {
    CURLM *multi;
    CURL *easy;
    uint64_t deadline;
    int newest; /* the socket that libcurl made last, or -1 */
};

bool attempt_load(void)
{
    return curl_global_init(CURL_GLOBAL_NOTHING) == CURLE_OK;
}

static size_t discard(char *data, size_t size, size_t n, void *context)
{
    (void)data;
    (void)context;
    return size * n;
}

static int note_socket(void *context, curl_socket_t socket, curlsocktype purpose)
{
    struct attempt *a = context;
    (void)purpose;
    a->newest = socket;
    return CURL_SOCKOPT_OK;
}

static bool set_protocol(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK;
#else
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTP) == CURLE_OK;
#endif
}

static bool set_proxy(CURL *easy, const struct target *t)
{
    /* Both are set even when empty, so that no variable is asked. */
    if (curl_easy_setopt(easy, CURLOPT_PROXY, t->proxy) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "") != CURLE_OK)
        return false;
    if (t->proxy[0] == '\0')
        return true;
    if (curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L) != CURLE_OK)
        return false;
    /* Separately: a password may hold what a combined string would take for its end. */
    return !t->user || (curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, t->user) == CURLE_OK &&
                        curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, t->password) == CURLE_OK);
}

static bool prepare(struct attempt *a, const struct target *t)
{
    a->multi = curl_multi_init();
    a->easy = curl_easy_init();
    long curl_ms =
        t->timeout_ms < INT32_MAX - CURL_LATER_MS ? (long)t->timeout_ms + CURL_LATER_MS : INT32_MAX;
    return a->multi && a->easy && set_protocol(a->easy) && set_proxy(a->easy, t) &&
           curl_easy_setopt(a->easy, CURLOPT_URL, t->url) == CURLE_OK &&
           curl_easy_setopt(a->easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
           curl_easy_setopt(a->easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(a->easy, CURLOPT_CONNECTTIMEOUT_MS, curl_ms) == CURLE_OK &&
           curl_easy_setopt(a->easy, CURLOPT_TIMEOUT_MS, curl_ms) == CURLE_OK &&
           curl_easy_setopt(a->easy, CURLOPT_WRITEFUNCTION, discard) == CURLE_OK &&
           curl_easy_setopt(a->easy, CURLOPT_SOCKOPTFUNCTION, note_socket) == CURLE_OK &&
           curl_easy_setopt(a->easy, CURLOPT_SOCKOPTDATA, a) == CURLE_OK &&
           curl_easy_setopt(a->easy, CURLOPT_USERAGENT, "tw-agent/" TW_VERSION) == CURLE_OK &&
           curl_multi_add_handle(a->multi, a->easy) == CURLM_OK;
}

enum step { STEP_DONE, STEP_TIMEOUT, STEP_ABANDONED };

/* Drives libcurl; *result is valid on STEP_DONE. */
static enum step drive(struct attempt *a, int waiter, CURLcode *result)
{
    for (;;) {
        int running = 0, left = 0;
        if (curl_multi_perform(a->multi, &running) != CURLM_OK)
            return STEP_DONE;
        CURLMsg *message = curl_multi_info_read(a->multi, &left);
        if (message && message->msg == CURLMSG_DONE) {
            *result = message->data.result;
            return STEP_DONE;
        }
        uint64_t now = clock_ms();
        if (now >= a->deadline)
            return STEP_TIMEOUT;
        uint64_t wait = a->deadline - now;
        struct curl_waitfd gone = {.fd = waiter, .events = CURL_WAIT_POLLIN};
        if (curl_multi_poll(a->multi, &gone, 1, wait < CURL_CALL_MS ? (int)wait : CURL_CALL_MS,
                            NULL) != CURLM_OK)
            return STEP_DONE;
        if (gone.revents)
            return STEP_ABANDONED;
    }
}

static void collect(struct attempt *a, struct attempt_facts *facts)
{
    long os_error = 0;
    curl_off_t resolved = 0;
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    curl_easy_getinfo(a->easy, CURLINFO_OS_ERRNO, &os_error);
    curl_easy_getinfo(a->easy, CURLINFO_HTTP_CONNECTCODE, &facts->proxy_status);
    curl_easy_getinfo(a->easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
    facts->os_error = (int)os_error;
    facts->resolved = resolved > 0;
    /* CURLINFO_CONNECT_TIME_T counts the tunnel in, so the kernel is asked. */
    facts->connected = getpeername(a->newest, (struct sockaddr *)&peer, &len) == 0;
}

/* The socket, out of libcurl's hands and as the session wants it; -1 with errno. */
static int take_socket(struct attempt *a)
{
    curl_socket_t active = CURL_SOCKET_BAD;
    int on = 1;
    if (curl_easy_getinfo(a->easy, CURLINFO_ACTIVESOCKET, &active) != CURLE_OK ||
        active == CURL_SOCKET_BAD) {
        errno = ENOTCONN;
        return -1;
    }
    int fd = fcntl(active, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* A full send buffer must not stand for progress: what is written is soon on its way. */
    int unsent = UNSENT_MAX;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0 ||
        fds_set_nonblocking(fd, true) != 0) {
        fds_close(&fd);
        return -1;
    }
    return fd;
}

enum attempt_outcome attempt_run(const struct target *t, int waiter, int *socket,
                                 struct failure *failure)
{
    struct attempt a = {.deadline = clock_ms() + t->timeout_ms, .newest = -1};
    struct attempt_facts facts = {.result = CURLE_FAILED_INIT};
    CURLcode result = CURLE_FAILED_INIT;
    enum step step = prepare(&a, t) ? drive(&a, waiter, &result) : STEP_DONE;
    if (step == STEP_ABANDONED)
        return ATTEMPT_ABANDONED;
    if (step == STEP_DONE && result == CURLE_OK) {
        *socket = take_socket(&a);
        if (*socket >= 0)
            return ATTEMPT_CONNECTED;
        *failure = (struct failure){.stage = STAGE_INTERNAL, .code = (unsigned)errno};
        snprintf(failure->detail, sizeof failure->detail, "the connected socket: %s",
                 strerror(errno));
        return ATTEMPT_FAILED;
    }
    if (a.easy)
        collect(&a, &facts);
    facts.timed_out = step == STEP_TIMEOUT;
    facts.result = (int)result;
    failure_describe(failure, t, &facts);
    return ATTEMPT_FAILED;
}
