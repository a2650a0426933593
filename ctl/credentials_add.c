/* SPDX-License-Identifier: Apache-2.0 */
/* add, and what Tower says while the agent is not online. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/text.h"
#include "ctl/credentials.h"
#include "ctl/shell.h"

#define WORK_DIR_STANDARD "$TW_AGENT_WORK"

/* --wait without a duration, and how often Tower is asked meanwhile: far below the 20 requests a
 * second that its API allows. */
#define WAIT_MS      300000
#define INTERVAL_MS  500
#define INTERVAL_MAX 5000

bool credentials_check_work_dir(const char *text)
{
    size_t len = text ? strlen(text) : 1;
    bool plain = len > 0 && len <= LIMIT_PATH && (!text || text_is_utf8(text, len));
    for (size_t i = 0; text && i < len; i++)
        plain = plain && (unsigned char)text[i] >= 0x20 && text[i] != 0x7f;
    if (!plain)
        log_error("--work-dir is not a text of 1 to %d bytes without control characters",
                  LIMIT_PATH);
    return plain;
}

/* Tower's words are the only sign; the status is that of any bad request. */
static bool is_offline(const struct http_result *r)
{
    return r->failure == HTTP_STATUS && (r->status == 400 || r->status == 409) &&
           strcasestr(tower_text(r->json, "message"), "not online");
}

/* Nothing was changed, and it may be otherwise in a moment. */
static bool may_pass(const struct http_result *r)
{
    return is_offline(r) || (r->failure == HTTP_STATUS && (r->status == 429 || r->status == 503)) ||
           (!r->sent && (r->failure == HTTP_RESOLVE || r->failure == HTTP_CONNECT ||
                         r->failure == HTTP_TIMEOUT));
}

static void pause_ms(uint64_t ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* The command that starts the agent, as far as is known. */
static void say_start(const struct credentials *c)
{
    const struct tower *t = &c->tower;
    char id[SHELL_WORD_MAX], config[SHELL_WORD_MAX];
    const char *path = t->options.values[OPT_CONFIG].text;
    if (*t->instance)
        log_error("start it: systemctl %senable --now tw-agent@%s    (without systemd: tw-agent "
                  "--config %s)",
                  geteuid() == 0 ? "" : "--user ", t->instance, path);
    else if (path && shell_word(config, path))
        log_error("start it: tw-agent --config %s", config);
    else if (t->has_id && shell_word(id, t->settings.connection_id))
        log_error("start it: tw-agent --token-file FILE --url %s %s%s", t->settings.url.text,
                  *t->settings.connection_id == '-' ? "-- " : "", id);
    if (!tower_value(t, "wait"))
        log_error("or let --wait wait for it");
}

/* One attempt. CTL_WELL with *json; else *again says whether a later one may succeed. */
static int attempt(struct credentials *c, const struct http_request *request, json_t **json,
                   bool *again, struct http_result *r)
{
    http_perform(c->tower.http, request, r);
    *again = may_pass(r);
    if (r->failure == HTTP_NONE && json)
        *json = json_incref(r->json);
    return r->failure == HTTP_NONE ? CTL_WELL
           : is_offline(r)         ? CTL_OFFLINE
                                   : (int)http_exit_code(r);
}

/* What is sent may have been done, though no answer came. */
static bool is_doubtful(const struct http_result *r)
{
    bool gateway = r->failure == HTTP_STATUS && (r->status == 502 || r->status == 504);
    return r->sent && (gateway || r->failure == HTTP_TIMEOUT || r->failure == HTTP_ANSWER);
}

int credentials_submit(struct credentials *c, const char *method, const char *path,
                       const json_t *body, json_t **json)
{
    const struct http_request request = {.method = method, .path = path, .body = body};
    const uint64_t end = clock_ms() + c->wait_ms;
    uint64_t interval = INTERVAL_MS;
    for (bool said = false;; said = true) {
        struct http_result r;
        bool again;
        int code = attempt(c, &request, json, &again, &r);
        uint64_t now = clock_ms(), left = now < end ? end - now : 0;
        uint64_t wait = r.retry_after > 0 ? r.retry_after * UINT64_C(1000) : interval;
        again = again && left > 0;
        if (again && !said)
            log_info("%s", r.detail);
        else if (!again && code != CTL_WELL)
            tower_failed(&r);
        if (!again && is_doubtful(&r))
            log_error("whether Tower did it is not known: look at it by credentials list");
        http_result_finish(&r);
        if (!again && code == CTL_OFFLINE)
            say_start(c);
        if (!again)
            return code;
        if (!said)
            log_info("waiting for it, %" PRIu64 " s at most", (c->wait_ms + 999) / 1000);
        pause_ms(wait < left ? wait : left);
        interval = 2 * interval < INTERVAL_MAX ? 2 * interval : INTERVAL_MAX;
    }
}

bool credentials_take_wait(struct credentials *c)
{
    const char *text = tower_value(&c->tower, "wait");
    c->wait_ms = text ? WAIT_MS : 0;
    if (!text || !*text || duration_parse(text, &c->wait_ms))
        return true;
    log_error("--wait: not a duration, such as 90s or 10m");
    return false;
}

static bool check_add(struct credentials *c)
{
    const struct tower *t = &c->tower;
    const char *name = tower_value(t, "name");
    if (!name) {
        log_error("give the credential a name by --name");
        return false;
    }
    if (!t->has_id) {
        log_error("give the agent's connection ID by --connection-id, or its instance by --for");
        return false;
    }
    return credentials_check_name(name) && credentials_check_work_dir(tower_value(t, "work-dir")) &&
           credentials_take_wait(c) &&
           (!tower_value(t, "shared") || credentials_can_agree(c, "--shared"));
}

static int post(struct credentials *c)
{
    const struct tower *t = &c->tower;
    char path[TOWER_PATH_MAX], sentence[LIMIT_CONNECTION_ID + 800];
    const char *name = tower_value(t, "name"), *work_dir = tower_value(t, "work-dir");
    const char *id = t->settings.connection_id;
    bool shared = tower_value(t, "shared");
    json_t *answer = NULL;
    json_t *keys = json_pack("{s:s, s:s, s:b}", "connectionId", id, "workDir",
                             work_dir ? work_dir : WORK_DIR_STANDARD, "shared", (int)shared);
    json_t *body = json_pack("{s:{s:s, s:s, s:O}}", "credentials", "name", name, "provider",
                             CREDENTIALS_PROVIDER, "keys", keys);
    credentials_path(c, path, sizeof path, NULL);
    int code = credentials_submit(c, "POST", path, body, &answer);
    if (code == CTL_WELL) {
        const char *made = tower_text(answer, "credentialsId");
        snprintf(sentence, sizeof sentence,
                 "added credential '%s' (%.64s) to %s for the agent '%s'%s", name,
                 *made ? made : "no ID", c->workspace.words, id,
                 shared ? ", shared with all members" : "");
        credentials_report(
            c, "add",
            json_pack("{s:s, s:s, s:O}", "credentialsId", made, "name", name, "keys", keys),
            sentence);
    }
    json_decref(keys);
    json_decref(body);
    json_decref(answer);
    return code;
}

int credentials_add(struct credentials *c)
{
    if (!check_add(c))
        return CTL_USAGE;
    int code = credentials_connect(c);
    if (code == CTL_WELL)
        code = credentials_check_free(c, tower_value(&c->tower, "name"));
    if (code == CTL_WELL && tower_value(&c->tower, "shared"))
        code = credentials_agree_to_share(c, c->tower.settings.connection_id);
    return code == CTL_WELL ? post(c) : code;
}
