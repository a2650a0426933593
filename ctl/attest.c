/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/attest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "base/fds.h"
#include "base/log.h"
#include "config/programs.h"
#include "ctl/arguments.h"
#include "ctl/instance.h"
#include "ctl/output.h"

/* The agent gives itself 15 s, and another run may be under way. */
#define ANSWER_MS  35000
#define REPORT     "attest.json"
#define REPORT_MAX 65536

static const struct parameter own[] = {{NULL, NULL, NULL}};
static const enum option_id shared[] = {OPT_CONFIG, OPT_STATE_DIR, OPTIONS};

const struct page attest_page = {
    .name = "attest",
    .arguments = "[OPTIONS] [NAME]",
    .help = "Has the running agent attack itself, and shows what came of it",
    .own = own,
    .shared = shared,
    .positionals = 1,
    .more =
        "NAME is an instance, or an AGENT_CONNECTION_ID; it can be left out where there is one.\n"};

/* A text of the report, or "": in user mode commands can write what they like into the file. */
static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Hexadecimal SHA-256 of a file; false: it cannot be read. */
static bool digest_of(const char *path, char out[2 * EVP_MAX_MD_SIZE + 1])
{
    unsigned char block[16384], bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    ssize_t n = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = fd >= 0 && md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    while (ok && (n = read(fd, block, sizeof block)) > 0)
        ok = EVP_DigestUpdate(md, block, (size_t)n) == 1;
    ok = ok && n == 0 && EVP_DigestFinal_ex(md, bytes, &len) == 1;
    for (unsigned i = 0; ok && i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    EVP_MD_CTX_free(md);
    fds_close(&fd);
    return ok;
}

/* What runs, against what lies beside this program. */
static const char *compare(const json_t *program, const struct programs *installed)
{
    char path[LIMIT_PATH + 64], digest[2 * EVP_MAX_MD_SIZE + 1];
    const char *name = text_of(program, "name"), *running = text_of(program, "sha256");
    bool known = strcmp(name, "tw-agent") == 0;
    for (size_t i = 0; i < PROGRAMS && !known; i++)
        known = strcmp(name, program_names[i]) == 0;
    if (!known || !*running)
        return "";
    if (strcmp(name, "tw-agent") == 0)
        snprintf(path, sizeof path, "%s/../../bin/tw-agent", installed->directory);
    else if (!program_path(path, sizeof path, installed, name))
        return "";
    if (!digest_of(path, digest))
        return "(the installed one cannot be read)";
    return strcmp(digest, running) == 0 ? "as installed here"
                                        : "NOT the one that is installed here: restart the agent";
}

static void print_attempts(const json_t *report)
{
    size_t i;
    const json_t *a;
    json_array_foreach(json_object_get(report, "attempts"), i, a)
    {
        const char *against = text_of(a, "against");
        printf("  ");
        output_escaped(stdout, text_of(a, "outcome"), false);
        putchar('\t');
        output_escaped(stdout, text_of(a, "what"), false);
        if (*against) {
            printf(" (against ");
            output_escaped(stdout, against, false);
            printf("%s)", json_is_true(json_object_get(a, "announced")) ? ", said at start" : "");
        }
        putchar('\n');
    }
}

static void print_text(const json_t *report)
{
    size_t i;
    const json_t *p;
    struct programs installed;
    bool located = programs_locate(&installed);
    printf("Attacks of the agent on itself, ");
    output_escaped(stdout, text_of(report, "mode"), false);
    printf(" mode\n");
    print_attempts(report);
    printf("\nProcesses\n");
    json_array_foreach(json_object_get(report, "processes"), i, p)
    {
        printf("  ");
        output_escaped(stdout, text_of(p, "role"), false);
        printf("\tprocess %lld: Landlock ABI %lld%s, seccomp filter of %lld system calls\n",
               (long long)json_integer_value(json_object_get(p, "pid")),
               (long long)json_integer_value(json_object_get(p, "landlockAbi")),
               json_is_true(json_object_get(p, "landlockScoped")) ? " with scopes" : "",
               (long long)json_integer_value(json_object_get(p, "systemCalls")));
    }
    printf("\nPrograms that run (SHA-256)\n");
    json_array_foreach(json_object_get(report, "programs"), i, p)
    {
        const char *digest = text_of(p, "sha256");
        printf("  ");
        output_escaped(stdout, *digest ? digest : "unknown", false);
        printf("  ");
        output_escaped(stdout, text_of(p, "name"), false);
        printf("  %s\n", located ? compare(p, &installed) : "");
    }
    printf("\nverdict: ");
    output_escaped(stdout, text_of(report, "result"), false);
    printf(", %lld tried, %lld succeeded, %lld could not be tried\n",
           (long long)json_integer_value(json_object_get(report, "tried")),
           (long long)json_integer_value(json_object_get(report, "succeeded")),
           (long long)json_integer_value(json_object_get(report, "untried")));
}

static int show(const struct ctl *ctl, const struct instance *i)
{
    json_error_t error;
    char *text = instance_read(i, REPORT, REPORT_MAX);
    json_t *report = text ? json_loads(text, JSON_REJECT_DUPLICATES, &error) : NULL;
    bool ok = json_is_true(json_object_get(report, "ok"));
    free(text);
    if (!report)
        return log_error(REPORT " is not what the agent writes"), CTL_PROBLEM;
    if (ctl->json) {
        output_json_line(report);
    } else {
        print_text(report);
        json_decref(report);
    }
    return ok ? CTL_WELL : CTL_PROBLEM;
}

int attest_run(const struct ctl *ctl, int argc, char **argv)
{
    static struct options options;
    struct instance i = {-1, -1, -1, 0};
    int code = arguments_take(&options, argc, argv);
    bool help = code == CTL_WELL && options.values[OPT_HELP].text;
    if (code == CTL_WELL && !help && !page_check(&attest_page, &options))
        code = CTL_USAGE;
    if (code == CTL_USAGE)
        page_print_usage(&attest_page, stderr);
    else if (help)
        page_print(&attest_page, stdout);
    else if (code == CTL_WELL)
        code = instance_find(&i, &options) && instance_running(&i) &&
                       instance_ask(&i, SIGUSR2, REPORT, ANSWER_MS)
                   ? show(ctl, &i)
                   : CTL_PROBLEM;
    instance_finish(&i);
    options_finish(&options);
    return code;
}
