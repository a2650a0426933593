/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "config/state_place.h"
#include "ctl/child.h"

#define STATE   "state-directory"
#define WORK    "work-directory"
#define METRICS "metrics-file"

static void bad_state(struct check *c, const char *remedy, const char *path, const char *why)
{
    findings_add(&c->findings, STATE, FINDING_ERROR, remedy, "%s: %s", path, why);
}

/* The file system of an existing directory; whether something can be written there. */
static bool has_room(struct check *c, const char *path)
{
    struct statvfs v;
    if (statvfs(path, &v) != 0)
        bad_state(c, NULL, path, strerror(errno));
    else if (v.f_flag & ST_RDONLY)
        bad_state(c, "give --state-dir on another one", path, "its file system is read-only");
    else if (v.f_bavail == 0 || (v.f_files > 0 && v.f_favail == 0))
        bad_state(c, "make room", path, "its file system is full");
    else
        return true;
    return false;
}

/* Not there yet: the agent makes a given one itself, of the default one also what is above it. */
static void judge_missing(struct check *c, const char *path, bool given)
{
    char above[LIMIT_PATH + 1];
    struct stat st;
    span_copy(above, sizeof above, span_of(path));
    do {
        size_t len = strlen(above);
        while (len > 1 && above[len - 1] == '/')
            above[--len] = '\0';
        char *slash = strrchr(above, '/');
        if (!slash)
            memcpy(above, ".", 2);
        else
            slash[slash == above ? 1 : 0] = '\0';
    } while (!given && stat(above, &st) != 0 && strcmp(above, "/") != 0 && strcmp(above, ".") != 0);
    if (stat(above, &st) != 0 || faccessat(AT_FDCWD, above, W_OK | X_OK, AT_EACCESS) != 0)
        bad_state(c, "make it, for the agent's user alone, or give another --state-dir", path,
                  errno == ENOENT ? "the directory above it does not exist"
                                  : "it does not exist and cannot be made");
    else if (has_room(c, above))
        findings_add(&c->findings, STATE, FINDING_OK, NULL, "%s will be made", path);
}

static bool judge_existing(struct check *c, const char *path, const struct stat *st)
{
    const char *owner = c->settings.system_mode ? "chown tw-agent and chmod 0700 it"
                                                : "chmod 0700 it, or give another --state-dir";
    if (S_ISLNK(st->st_mode))
        bad_state(c, "name the directory itself", path, "it is a symbolic link");
    else if (!S_ISDIR(st->st_mode))
        bad_state(c, "give another --state-dir", path, "it is not a directory");
    else if (st->st_uid != c->users.agent.uid)
        bad_state(c, owner, path, "it belongs to another user");
    else if (!state_is_private(st, &c->users))
        bad_state(c, owner, path, "others can write there");
    else if ((st->st_mode & S_IRWXU) != S_IRWXU)
        bad_state(c, owner, path, "its owner cannot write there");
    else
        return has_room(c, path);
    return false;
}

/* True when a line of /proc/locks is a lock of this file: taking the lock to see would disturb an
 * agent that starts. */
static bool is_locked(const struct stat *st)
{
    char line[256], wanted[64];
    snprintf(wanted, sizeof wanted, " %02x:%02x:%llu ", major(st->st_dev), minor(st->st_dev),
             (unsigned long long)st->st_ino);
    FILE *locks = fopen("/proc/locks", "re");
    bool found = false;
    while (locks && !found && fgets(line, sizeof line, locks))
        found = strstr(line, " FLOCK ") && strstr(line, wanted);
    if (locks)
        fclose(locks);
    return found;
}

static void look_for_instance(struct check *c, const char *path)
{
    char name[STATE_NAME_MAX], lock[LIMIT_PATH + STATE_NAME_MAX + 8];
    struct stat st;
    if (!c->has_id || !state_instance(c->settings.connection_id, name, sizeof name))
        return;
    snprintf(lock, sizeof lock, "%s/%s/lock", path, name);
    if (lstat(lock, &st) == 0 && is_locked(&st))
        findings_add(&c->findings, "instance", FINDING_NOTE, NULL,
                     "an agent of this connection ID runs on this host");
}

void check_state(struct check *c)
{
    char path[LIMIT_PATH + 1];
    struct stat st;
    const char *given = settings_text(&c->options, OPT_STATE_DIR);
    if (!c->has_users)
        return;
    if (!state_place(&c->options, &c->settings, &c->users, path, sizeof path)) {
        bad_state(c, "give --state-dir DIR", "state", "there is no place for it");
        return;
    }
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT)
            judge_missing(c, path, *given);
        else
            bad_state(c, NULL, path, strerror(errno));
        return;
    }
    if (judge_existing(c, path, &st))
        findings_add(&c->findings, STATE, FINDING_OK, NULL, "%s", path);
    look_for_instance(c, path);
}

static void look_at_work(const void *context, void *answer)
{
    const char *path = context;
    struct work_answer *a = answer;
    struct stat st;
    if (stat(path, &st) != 0)
        a->error = errno;
    else if (!S_ISDIR(st.st_mode))
        a->error = ENOTDIR;
    else if (chdir(path) != 0)
        a->error = errno;
    else
        a->writable = faccessat(AT_FDCWD, ".", W_OK, AT_EACCESS) == 0;
}

enum child_outcome work_dir_look(const struct users *u, const struct options *o, char *path,
                                 struct work_answer *a)
{
    *a = (struct work_answer){0};
    users_work_dir(u, o, path, LIMIT_PATH + 1);
    return child_look(&u->commands, look_at_work, path, a, sizeof *a, CHECK_DEADLINE_MS);
}

void check_work_dir(struct check *c)
{
    struct findings *f = &c->findings;
    char path[LIMIT_PATH + 1];
    struct work_answer a;
    if (!c->has_users)
        return;
    enum child_outcome outcome = work_dir_look(&c->users, &c->options, path, &a);
    if (outcome == CHILD_TIMEOUT)
        findings_add(f, WORK, FINDING_ERROR, "look at its file server", "%s: no answer in %d s",
                     path, CHECK_DEADLINE_MS / 1000);
    else if (outcome == CHILD_FAILED)
        findings_add(f, WORK, FINDING_ERROR, NULL, "%s: nothing could be tried as user '%s'", path,
                     c->users.name);
    else if (a.error == ENOENT && c->before_setup && !c->options.values[OPT_WORK_DIR].text)
        findings_add(f, WORK, FINDING_NOTE, "tw-agentctl setup makes it", "%s does not exist yet",
                     path);
    else if (a.error != 0)
        findings_add(f, WORK, FINDING_ERROR, "make it for that user, or give another --work-dir",
                     "%s: user '%s' cannot enter it: %s", path, c->users.name, strerror(a.error));
    else if (!a.writable)
        findings_add(f, WORK, FINDING_WARNING, "chown it to that user",
                     "%s: user '%s' cannot write there", path, c->users.name);
    else
        findings_add(f, WORK, FINDING_OK, NULL, "%s", path);
}

static void look_at_directory(const void *context, void *answer)
{
    int *error = answer;
    int fd = open(context, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *error = fd < 0 || faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) != 0 ? errno : 0;
}

/* As core, which has no further groups. */
void check_metrics(struct check *c)
{
    char directory[LIMIT_PATH + 1];
    const char *path = settings_text(&c->options, OPT_METRICS_FILE), *slash = strrchr(path, '/');
    struct identity as = {c->users.agent.uid, c->users.agent.gid, NULL, 0};
    int error = 0;
    if (!c->has_users || !slash)
        return;
    span_copy(directory, sizeof directory,
              (struct span){path, slash == path ? 1 : (size_t)(slash - path)});
    if (child_look(&as, look_at_directory, directory, &error, sizeof error, CHECK_DEADLINE_MS) !=
        CHILD_ANSWERED)
        findings_add(&c->findings, METRICS, FINDING_ERROR, "look at its file server",
                     "%s: no answer in %d s", path, CHECK_DEADLINE_MS / 1000);
    else if (error)
        findings_add(&c->findings, METRICS, FINDING_ERROR,
                     "make the directory, and let the agent's user list it and write in it",
                     "%s: %s", path, strerror(error));
    else
        findings_add(&c->findings, METRICS, FINDING_OK, NULL, "%s", path);
}
