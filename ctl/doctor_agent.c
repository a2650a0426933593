/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/state_place.h"
#include "ctl/agent.h"
#include "ctl/doctor.h"
#include "ctl/instance.h"

/* Beyond the time-outs of the agent's own attempts, login shell included. */
#define ONLINE_MS 60000
/* Between two looks at its status file, which does not exist before. */
#define LOOK_MS 200
/* A Tower that does not want this agent says so at once. */
#define STAY_MS 2000
/* It writes its status at every change, at most once a second. */
#define SETTLE_MS  10000
#define STATUS_MAX 65536

struct state {
    char name[32];
    char reason[768];
    char work_dir[LIMIT_PATH + 1];
    long long seconds;
};

static void copy(const json_t *status, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(status, key));
    snprintf(out, size, "%s", text ? text : "");
}

static bool read_state(const struct instance *i, struct state *s)
{
    char *text = instance_read(i, "status.json", STATUS_MAX);
    json_t *status = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    copy(status, "state", s->name, sizeof s->name);
    copy(status, "reason", s->reason, sizeof s->reason);
    copy(status, "workDir", s->work_dir, sizeof s->work_dir);
    s->seconds = json_integer_value(json_object_get(status, "stateSeconds"));
    json_decref(status);
    return *s->name;
}

static bool end_standby(struct doctor *d, const char *reason)
{
    d->code = CTL_OFFLINE;
    return step_end(&d->steps, STEP_FAILED,
                    "if that is this site's other login node, all is well; else stop the other "
                    "agent, or give this one a connection ID of its own",
                    NULL, "standby: another agent holds the connection (%s)", reason);
}

/* Of an agent that is not online. */
static bool end_state(struct doctor *d, const struct state *s, const char *said)
{
    if (strcmp(s->name, "standby") == 0)
        return end_standby(d, s->reason);
    d->code = strcmp(s->name, "token-refused") == 0 ? CTL_TOKEN : CTL_OFFLINE;
    return step_end(&d->steps, STEP_FAILED, "see the agent's log", said, "%s%s%s", s->name,
                    *s->reason ? ": " : "", s->reason);
}

static bool end_info(struct doctor *d, const char *work_dir, const char *how)
{
    d->steps.name = "info";
    if (*work_dir)
        return step_end(&d->steps, STEP_OK, NULL, NULL, "sent: user '%s', work directory %s%s",
                        d->subject.users.reported, work_dir, how);
    d->code = CTL_OFFLINE;
    return step_end(&d->steps, STEP_FAILED, "see the agent's log", NULL,
                    "not sent yet: the work directory or the environment is not ready");
}

/* ---- an agent that runs ---- */

/* Its state; one that is only just online may not have written yet what it told Tower. */
static bool settled_state(const struct instance *i, struct state *s)
{
    uint64_t end = clock_ms() + SETTLE_MS, now;
    struct pollfd p = {.fd = i->watch, .events = POLLIN};
    char events[4096];
    bool known = read_state(i, s);
    while (known && strcmp(s->name, "online") == 0 && !*s->work_dir && (now = clock_ms()) < end) {
        if (poll(&p, 1, (int)(end - now)) > 0 && read(i->watch, events, sizeof events) > 0)
            known = read_state(i, s);
        if (agent_interrupted())
            break;
    }
    return known;
}

static bool look_at(struct doctor *d, const struct instance *i)
{
    struct state s = {.seconds = 0};
    d->code = CTL_OFFLINE;
    if (!settled_state(i, &s))
        return step_end_said(&d->steps, "see the agent's log");
    if (strcmp(s.name, "online") != 0)
        return end_state(d, &s, NULL);
    step_end(&d->steps, STEP_OK, NULL, NULL, "the agent runs (process %d), online since %lld s",
             (int)i->pid, s.seconds);
    return end_info(d, s.work_dir, "");
}

/* ---- one that is started ---- */

static const char *code_meaning(int code)
{
    static const char *const meanings[] = {
        "stopped",
        "other",
        "usage",
        "configuration",
        "the token was refused",
        "the server is too old",
        "the sandbox cannot be enforced",
        "a process of it died",
        "another instance of this connection ID runs on this host"};
    return code >= 0 && (size_t)code < sizeof meanings / sizeof *meanings ? meanings[code]
                                                                          : "unknown";
}

static bool end_ended(struct doctor *d, const struct agent *a)
{
    int code = WIFEXITED(a->status) ? WEXITSTATUS(a->status) : -1;
    d->code = code == EXIT_TOKEN    ? CTL_TOKEN
              : code == EXIT_CONFIG ? CTL_CONFIGURATION
                                    : CTL_OFFLINE;
    if (code < 0)
        return step_end(&d->steps, STEP_FAILED, NULL, a->said, "the agent was ended by signal %d",
                        WTERMSIG(a->status));
    return step_end(&d->steps, STEP_FAILED, "its last lines name what to do", a->said,
                    "the agent ended with code %d: %s", code, code_meaning(code));
}

/* Which status file there is: the one of a run before must not speak for this one. */
struct file_id {
    ino_t inode;
    struct timespec changed;
};

static void identify(const struct instance *i, struct file_id *id)
{
    struct stat st;
    *id = (struct file_id){.inode = 0};
    if (i->dirfd >= 0 && fstatat(i->dirfd, "status.json", &st, AT_SYMLINK_NOFOLLOW) == 0)
        *id = (struct file_id){st.st_ino, st.st_ctim};
}

/* The instance's state directory, if there is one yet; nothing is logged. */
static bool open_state(const struct doctor *d, struct instance *i)
{
    const struct subject *s = &d->subject;
    char top[LIMIT_PATH + 1], name[STATE_NAME_MAX], path[LIMIT_PATH + STATE_NAME_MAX + 2];
    *i = (struct instance){-1, -1, -1, 0};
    if (!state_place(&s->options, &s->settings, &s->users, top, sizeof top) ||
        !state_instance(s->settings.connection_id, name, sizeof name))
        return false;
    snprintf(path, sizeof path, "%s/%s", top, name);
    return instance_open(i, path);
}

static void identify_old(const struct doctor *d, struct file_id *id)
{
    struct instance i;
    open_state(d, &i);
    identify(&i, id);
    instance_finish(&i);
}

/* Whether it is this process that took the lock. The lock itself is not tried: an agent that starts
 * must find it free. */
static bool has_lock(const struct instance *i, pid_t pid)
{
    const char *why;
    char *text = instance_load(i, "lock", 16, &why);
    bool has = text && strtol(text, NULL, 10) == pid;
    free(text);
    return has;
}

/* Its state, once there is one of this very run. */
static bool find_state(struct doctor *d, const struct agent *a, const struct file_id *old,
                       struct state *s)
{
    struct instance i;
    struct file_id now = *old;
    bool found = open_state(d, &i) && has_lock(&i, a->pid);
    if (found)
        identify(&i, &now);
    found = found &&
            (now.inode != old->inode || now.changed.tv_sec != old->changed.tv_sec ||
             now.changed.tv_nsec != old->changed.tv_nsec) &&
            read_state(&i, s);
    instance_finish(&i);
    d->steps.said[0] = '\0';
    return found;
}

static bool follow(struct doctor *d, struct agent *a, const struct file_id *old, struct state *s)
{
    uint64_t end = clock_ms() + ONLINE_MS;
    while (!agent_wait(a, LOOK_MS)) {
        if (!find_state(d, a, old, s))
            *s = (struct state){.name = "starting"};
        if (strcmp(s->name, "online") == 0 && *s->work_dir)
            return true;
        if (strcmp(s->name, "standby") == 0 || strcmp(s->name, "token-refused") == 0 ||
            clock_ms() >= end)
            return end_state(d, s, a->said);
        if (agent_interrupted())
            return step_end(&d->steps, STEP_FAILED, NULL, a->said, "interrupted");
    }
    return end_ended(d, a);
}

static bool try_agent(struct doctor *d, struct agent *a, const struct file_id *old)
{
    struct state s = {.seconds = 0};
    if (!follow(d, a, old, &s))
        return false;
    step_end(&d->steps, STEP_OK, NULL, NULL,
             "the agent was started for this: online; commands that Tower sends now are run");
    step_begin(&d->steps, "info");
    if (agent_wait(a, STAY_MS))
        return end_ended(d, a);
    if (!find_state(d, a, old, &s) || strcmp(s.name, "online") != 0)
        return end_state(d, &s, a->said);
    return end_info(d, s.work_dir, ", and the connection stays; the agent is stopped again");
}

static bool start_agent(struct doctor *d)
{
    const struct options *o = &d->subject.options;
    const char *argv[8] = {"tw-agent", "--config", o->values[OPT_CONFIG].text};
    size_t n = 3;
    struct agent a;
    struct file_id old;
    if (o->values[OPT_STATE_DIR].level == LEVEL_OPTION) {
        argv[n++] = "--state-dir";
        argv[n++] = o->values[OPT_STATE_DIR].text;
    }
    if (*d->token_file && !o->values[OPT_TOKEN_FILE].text) {
        argv[n++] = "--token-file";
        argv[n++] = d->token_file;
    }
    d->code = CTL_OFFLINE;
    if (agent_interrupted())
        return step_end(&d->steps, STEP_FAILED, NULL, NULL, "interrupted: no agent is started");
    identify_old(d, &old);
    bool ok = agent_start(&a, &d->subject, argv) ? try_agent(d, &a, &old)
                                                 : step_end_said(&d->steps, NULL);
    agent_finish(&a);
    return ok;
}

bool doctor_agent(struct doctor *d)
{
    struct instance i;
    step_begin(&d->steps, "upgrade");
    bool runs = open_state(d, &i) && instance_running(&i);
    d->steps.said[0] = '\0'; /* that none runs is no news */
    bool ok = true;
    if (runs)
        ok = look_at(d, &i);
    else if (d->no_start)
        step_end(&d->steps, STEP_NOTE, "leave --no-start out to have one started for it", NULL,
                 "not tried: the agent does not run");
    instance_finish(&i);
    return runs || d->no_start ? ok : start_agent(d);
}
