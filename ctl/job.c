/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/job.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

#define JOB_NAME "nf-selftest"
/* The job ends by itself, should nobody be left to cancel it. */
#define JOB_SECONDS "300"
/* Between two questions; Tower asks about every 12 s. */
#define POLL_MS 1000
/* A job that was just submitted may not be listed at once. */
#define LISTED_MS 20000
/* Quoted it stands in a command several times, which is at most LIMIT_INLINE_TEXT long. */
#define WORK_DIR_MAX 1024
#define TEXT_MAX     (4 * SHELL_WORD_MAX)

static volatile sig_atomic_t interrupted;

void job_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* A command in the job's directory. False: it could not be run, ran too long or ended badly; the
 * step under way ends with what it said. */
static bool command(struct job *j, struct run_result *r, const char *what, const char *text)
{
    static char all[TEXT_MAX];
    snprintf(all, sizeof all, "cd %s && %s", j->word, text);
    if (!runner_run(j->runner, all, r)) {
        step_end_said(j->steps, NULL);
        return false;
    }
    if (r->timed_out)
        step_end(j->steps, STEP_FAILED,
                 "its daemon may hang; Tower's commands would wait as long, or until "
                 "command_timeout",
                 r->output, "%s did not end in %llu s", what,
                 (unsigned long long)j->runner->timeout_ms / 1000);
    else if (r->status != 0)
        step_end(j->steps, STEP_FAILED, NULL, r->output, "%s ended with status %d", what,
                 r->status);
    else
        return true;
    run_result_finish(r);
    return false;
}

static bool make_mark(struct job *j)
{
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(j->mark + 2 * i, 3, "%02x", bytes[i]);
    snprintf(j->directory, sizeof j->directory, "%s/.tw-agent-selftest-%s", j->runner->work_dir,
             j->mark);
    return shell_word(j->word, j->directory);
}

bool job_prepare(struct job *j)
{
    static char text[TEXT_MAX];
    struct run_result r;
    step_begin(j->steps, "files");
    if (strlen(j->runner->work_dir) > WORK_DIR_MAX)
        return step_end(j->steps, STEP_FAILED, NULL, NULL,
                        "the name of the work directory is longer than %d bytes", WORK_DIR_MAX);
    if (!make_mark(j))
        return step_end(j->steps, STEP_FAILED, NULL, NULL, "no random numbers");
    snprintf(text, sizeof text,
             "mkdir -m 0700 %s && cd %s && cat > file <<'END' && cat file && ls\n%s\nEND\n",
             j->word, j->word, j->mark);
    if (!runner_run(j->runner, text, &r))
        return step_end_said(j->steps, NULL);
    bool good = r.status == 0 && strncmp(r.output, j->mark, strlen(j->mark)) == 0 &&
                strcmp(r.output + strlen(j->mark), "\nfile\n") == 0;
    step_end(j->steps, good ? STEP_OK : STEP_FAILED,
             good ? NULL : "see whether that user may write in the work directory",
             good ? NULL : r.output, "%s: %s", j->directory,
             good ? "made, written, read, listed" : "cannot be made, written, read and listed");
    run_result_finish(&r);
    return good;
}

/* Replaces @D, @N and @I. */
static void fill(const struct job *j, char *out, size_t size, const char *pattern)
{
    size_t at = 0;
    for (; *pattern && at + 1 < size; pattern++) {
        const char *value = NULL;
        if (*pattern == '@')
            value = pattern[1] == 'D'   ? j->directory
                    : pattern[1] == 'N' ? JOB_NAME
                    : pattern[1] == 'I' ? j->id
                                        : NULL;
        int n = value ? snprintf(out + at, size - at, "%s", value) : 1;
        if (value)
            pattern++;
        else
            out[at] = *pattern;
        at += n > 0 && (size_t)n < size - at ? (size_t)n : 0;
    }
    out[at] = '\0';
}

/* The script as Tower has it: directives, then the directory it runs in. */
static void write_script(const struct job *j, char *out, size_t size)
{
    static char directives[4 * WORK_DIR_MAX];
    const struct scheduler *s = j->scheduler;
    fill(j, directives, sizeof directives, s->directives);
    snprintf(out, size,
             "#!/bin/sh\n%s%s%s%s%scd %s && echo \"%s as $(id -un) on $(uname -n)\" > ran.new && "
             "mv ran.new ran\nsleep " JOB_SECONDS "\n",
             directives, *j->options ? s->directive : "", *j->options ? " " : "", j->options,
             *j->options ? "\n" : "", j->word, j->mark);
}

static bool submit(struct job *j)
{
    static char script[TEXT_MAX - 4096], text[TEXT_MAX - 2048];
    const struct scheduler *s = j->scheduler;
    struct run_result r;
    write_script(j, script, sizeof script);
    step_begin(j->steps, "submit");
    if (interrupted)
        return step_end(j->steps, STEP_FAILED, NULL, NULL, "interrupted: nothing is submitted");
    if (s->by_input)
        snprintf(text, sizeof text, "%s <<'END-OF-JOB'\n%sEND-OF-JOB\n", s->submit, script);
    else
        snprintf(text, sizeof text, "cat > %s <<'END-OF-JOB' && %s %s\n%sEND-OF-JOB\n",
                 JOB_NAME ".launcher.sh", s->submit, JOB_NAME ".launcher.sh", script);
    if (!command(j, &r, s->submit, text))
        return false;
    bool good = scheduler_id(s, r.output, j->id, sizeof j->id);
    if (good)
        step_end(j->steps, STEP_OK, NULL, NULL, "%s gives job %s", s->submit, j->id);
    else
        step_end(j->steps, STEP_FAILED,
                 "see whether a job called " JOB_NAME " is there, and cancel it", r.output,
                 "%s ends well, but no job id is in what it says", s->submit);
    run_result_finish(&r);
    return good;
}

/* The job's state; empty: it is not listed. False: the step under way ended. */
static bool poll_state(struct job *j, char state[SCHEDULER_STATE_MAX])
{
    char text[512], arguments[256];
    struct run_result r;
    fill(j, arguments, sizeof arguments, j->scheduler->poll_arguments);
    snprintf(text, sizeof text, "%s %s", j->scheduler->poll, arguments);
    if (!command(j, &r, j->scheduler->poll, text))
        return false;
    if (!scheduler_state(j->scheduler, r.output, j->id, state, SCHEDULER_STATE_MAX))
        state[0] = '\0';
    run_result_finish(&r);
    return true;
}

/* Until the next question. False: the time is over. */
static bool pause_until(uint64_t deadline)
{
    const struct timespec pause = {.tv_sec = POLL_MS / 1000};
    if (clock_ms() >= deadline)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

/* The same, unless nobody wants to know any more. */
static bool pause_unless_interrupted(uint64_t deadline)
{
    return !interrupted && pause_until(deadline);
}

static bool see_it_listed(struct job *j)
{
    char state[SCHEDULER_STATE_MAX];
    uint64_t deadline = clock_ms() + LISTED_MS;
    step_begin(j->steps, "poll");
    do
        if (!poll_state(j, state))
            return false;
    while (!*state && pause_unless_interrupted(deadline));
    if (*state)
        return step_end(j->steps, STEP_OK, NULL, NULL, "%s lists job %s in state %s",
                        j->scheduler->poll, j->id, state);
    return step_end(j->steps, STEP_FAILED, NULL, NULL, "%s does not list job %s%s",
                    j->scheduler->poll, j->id, interrupted ? " (interrupted)" : "");
}

static bool job_failed(struct job *j, const char *state)
{
    static char text[TEXT_MAX];
    struct run_result r = {0};
    snprintf(text, sizeof text, "cat %s/" JOB_NAME ".log", j->word);
    bool ran = runner_run(j->runner, text, &r);
    step_end(j->steps, STEP_FAILED,
             "see the scheduler's own record of it; the work directory must be the same on its "
             "nodes",
             ran && r.status == 0 ? r.output : NULL,
             "job %s ended (%s) without having written into the work directory", j->id,
             *state ? state : "not listed any more");
    if (ran)
        run_result_finish(&r);
    return false;
}

/* What it wrote, or, as long as it waits, nothing. */
static bool look(struct job *j, bool *written)
{
    struct run_result r;
    /* Listing first: file servers' clients remember for a while that a file was not there. */
    if (!command(j, &r, "reading", "ls > /dev/null; cat ran 2> /dev/null; :"))
        return false;
    *written = strncmp(r.output, j->mark, strlen(j->mark)) == 0;
    if (*written)
        step_end(j->steps, STEP_OK, NULL, NULL, "the job ran%.*s",
                 (int)strcspn(r.output + strlen(j->mark), "\n"), r.output + strlen(j->mark));
    run_result_finish(&r);
    return true;
}

static bool read_it(struct job *j)
{
    char state[SCHEDULER_STATE_MAX] = "";
    uint64_t deadline = clock_ms() + j->wait_ms, lost = 0;
    bool written = false;
    step_begin(j->steps, "read");
    do {
        if (!look(j, &written))
            return false;
        if (written)
            return true;
        if (!poll_state(j, state))
            return false;
        /* What an ended job wrote may take a little to be seen here. */
        bool ended = !*state || scheduler_ended(j->scheduler, state);
        lost = !ended ? 0 : lost ? lost : clock_ms();
        if (lost && clock_ms() > lost + LISTED_MS)
            return job_failed(j, state);
    } while (pause_unless_interrupted(deadline));
    if (lost)
        return job_failed(j, state);
    return step_end(j->steps, STEP_FAILED,
                    "wait longer by --wait, or name a quicker queue by --submit-options", NULL,
                    "job %s is still in state %s after %llu s%s", j->id, state,
                    (unsigned long long)j->wait_ms / 1000, interrupted ? " (interrupted)" : "");
}

static void cancel(struct job *j)
{
    char text[256], state[SCHEDULER_STATE_MAX];
    struct run_result r;
    /* Ending takes a scheduler a moment, for which whoever interrupted this waits as well. */
    bool brief = interrupted || j->wait_ms < LISTED_MS;
    uint64_t deadline = clock_ms() + (brief ? LISTED_MS : j->wait_ms);
    step_begin(j->steps, "cancel");
    snprintf(text, sizeof text, "%s '%s'", j->scheduler->cancel, j->id);
    if (!command(j, &r, j->scheduler->cancel, text))
        return;
    run_result_finish(&r);
    do {
        if (!poll_state(j, state))
            return;
        if (!*state || scheduler_ended(j->scheduler, state)) {
            step_end(j->steps, STEP_OK, NULL, NULL, "job %s is gone%s%s", j->id,
                     *state ? ", state " : "", state);
            return;
        }
    } while (pause_until(deadline));
    step_end(j->steps, STEP_FAILED, "cancel it by hand", NULL,
             "job %s is still in state %s after %s", j->id, state, j->scheduler->cancel);
}

void job_run(struct job *j)
{
    if (!submit(j))
        return;
    if (see_it_listed(j))
        read_it(j);
    cancel(j);
}

void job_clean(struct job *j)
{
    static char text[TEXT_MAX];
    struct run_result r;
    step_begin(j->steps, "clean-up");
    snprintf(text, sizeof text, "rm -rf %s", j->word);
    if (!runner_run(j->runner, text, &r)) {
        step_end_said(j->steps, NULL);
        return;
    }
    step_end(j->steps, r.status == 0 ? STEP_OK : STEP_FAILED, NULL, r.output, "%s: %s",
             j->directory, r.status == 0 ? "removed" : "cannot be removed");
    run_result_finish(&r);
}
