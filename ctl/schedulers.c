/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/schedulers.h"

#include <stdio.h>
#include <string.h>

#include "base/span.h"

/*
 * The first whose submitting client is there: Slurm's wrappers for other syntaxes stand beside its
 * own clients, and Moab beside the resource manager below it. Where a job's output is written at
 * its end, it goes nowhere: the job is cancelled.
 */
const struct scheduler schedulers[SCHEDULERS] = {
    {"slurm", "Slurm", "sbatch", "squeue", "scancel", "sbatch --version", "#SBATCH",
     "#SBATCH -D @D\n#SBATCH -J @N\n#SBATCH -o @D/@N.log\n#SBATCH --no-requeue\n", false,
     "Submitted batch job ", "--noheader -o %i\\ %t -t all -u \"$(id -un)\"", 2,
     " BF CA CD DL F NF OOM PR RV TO "},
    {"lsf", "LSF", "bsub", "bjobs", "bkill", "bsub -V", "#BSUB",
     "#BSUB -cwd @D\n#BSUB -J @N\n#BSUB -o /dev/null\n", true, "Job <", "-w @I", 3, " DONE EXIT "},
    {"moab", "Moab", "msub", "showq", "canceljob", "msub --version", "#MSUB",
     "#MSUB -N @N\n#MSUB -j oe\n#MSUB -o /dev/null\n#MSUB -S /bin/sh\n", false, NULL, "", 3,
     " Completed Removed Vacated "},
    {"gridengine", "Grid Engine", "qsub", "qstat", "qdel", "qstat -help", "#$",
     "#$ -wd @D\n#$ -N @N\n#$ -o @D/@N.log\n#$ -j y\n#$ -S /bin/sh\n", false, "Your job ", "", 5,
     ""},
    {"pbs", "PBS", "qsub", "qstat", "qdel", "qstat --version", "#PBS",
     "#PBS -N @N\n#PBS -j oe\n#PBS -o /dev/null\n#PBS -S /bin/sh\n", false, NULL, "", 5, " C F X "},
};

const struct scheduler *scheduler_named(const char *key)
{
    for (size_t i = 0; i < SCHEDULERS; i++)
        if (strcmp(schedulers[i].key, key) == 0)
            return &schedulers[i];
    return NULL;
}

/* qconf tells Grid Engine's qsub from that of PBS. */
static const char question[] =
    "for c in sbatch squeue scancel bsub bjobs bkill msub showq canceljob qsub qstat qdel qconf; "
    "do p=$(command -v $c) && echo \"$c=$p\"; done; :";

/* The value of name=… in the answer's lines; an empty span: none. */
static struct span value_of(const char *answer, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = answer; *line;) {
        size_t n = strcspn(line, "\n");
        if (n > len && strncmp(line, name, len) == 0 && line[len] == '=')
            return (struct span){line + len + 1, n - len - 1};
        line += n + (line[n] == '\n');
    }
    return (struct span){NULL, 0};
}

static bool is_here(const char *answer, const struct scheduler *s)
{
    bool grid_engine = value_of(answer, "qconf").len > 0;
    if (strcmp(s->submit, "qsub") == 0 && grid_engine != (strcmp(s->key, "gridengine") == 0))
        return false;
    return value_of(answer, s->submit).len > 0;
}

static void append(char *out, size_t size, struct span text)
{
    size_t at = strlen(out);
    snprintf(out + at, size - at, "%s%.*s", at ? ", " : "", (int)text.len, text.data);
}

static void understand(struct scheduler_found *f, const char *answer)
{
    for (size_t i = 0; i < SCHEDULERS && !f->scheduler; i++)
        if (is_here(answer, &schedulers[i]))
            f->scheduler = &schedulers[i];
    if (!f->scheduler)
        return;
    const char *names[] = {f->scheduler->submit, f->scheduler->poll, f->scheduler->cancel};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct span path = value_of(answer, names[i]);
        if (path.len > 0)
            append(f->clients, sizeof f->clients, path);
        else
            append(f->missing, sizeof f->missing, span_of(names[i]));
    }
}

bool scheduler_find(struct scheduler_found *f, struct runner *r, const struct scheduler *wanted)
{
    struct run_result result;
    *f = (struct scheduler_found){.scheduler = wanted};
    if (!runner_run(r, question, &result))
        return false;
    understand(f, result.output);
    run_result_finish(&result);
    if (!f->scheduler || *f->missing)
        return true;
    if (!runner_run(r, f->scheduler->version, &result))
        return false;
    if (result.status == 0)
        append(f->version, sizeof f->version,
               (struct span){result.output, strcspn(result.output, "\n")});
    run_result_finish(&result);
    return true;
}

static size_t id_length(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-[]");
}

/* The last line that is not empty, if it is one word. */
static const char *last_word(const char *answer)
{
    const char *last = NULL;
    for (const char *line = answer; *line;) {
        size_t n = strcspn(line, "\n");
        const char *word = line + strspn(line, " \t\r");
        if (word < line + n)
            last = word;
        line += n + (line[n] == '\n');
    }
    if (!last)
        return NULL;
    size_t n = id_length(last);
    return last[n + strspn(last + n, " \t\r")] == '\n' || last[n] == '\0' ? last : NULL;
}

bool scheduler_id(const struct scheduler *s, const char *answer, char *id, size_t size)
{
    const char *at = s->before_id ? strstr(answer, s->before_id) : last_word(answer);
    if (!at)
        return false;
    at += s->before_id ? strlen(s->before_id) : 0;
    size_t n = id_length(at);
    /* All of them have a digit in it, which words of an error message seldom have. */
    return n > 0 && strcspn(at, "0123456789") < n && at[0] != '-' &&
           span_copy(id, size, (struct span){at, n});
}

/* PBS cuts long ids behind the dot when it lists them. */
static bool same_id(const struct scheduler *s, struct span seen, const char *id)
{
    size_t n = strlen(id);
    if (strcmp(s->key, "pbs") == 0) {
        n = strcspn(id, ".");
        const char *dot = memchr(seen.data, '.', seen.len);
        seen.len = dot ? (size_t)(dot - seen.data) : seen.len;
    }
    return seen.len == n && strncmp(seen.data, id, n) == 0;
}

static struct span column(const char *line, size_t len, unsigned number)
{
    for (const char *end = line + len, *at = line;;) {
        while (at < end && strchr(" \t\r", *at))
            at++;
        size_t n = 0;
        while (at + n < end && !strchr(" \t\r", at[n]))
            n++;
        if (n == 0 || --number == 0)
            return (struct span){at, n};
        at += n;
    }
}

bool scheduler_state(const struct scheduler *s, const char *answer, const char *id, char *state,
                     size_t size)
{
    for (const char *line = answer; *line;) {
        size_t n = strcspn(line, "\n");
        if (same_id(s, column(line, n, 1), id))
            return span_copy(state, size, column(line, n, s->state_column)) && *state;
        line += n + (line[n] == '\n');
    }
    return false;
}

bool scheduler_ended(const struct scheduler *s, const char *state)
{
    char word[SCHEDULER_STATE_MAX + 2];
    snprintf(word, sizeof word, " %s ", state);
    return strstr(s->ended, word);
}
