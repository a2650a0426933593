/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options: one table gives each its name, letter, environment variables, configuration key,
 * kind and meaning. The command line, the file's keys, the help text, the manual pages, the example
 * file, the completion and the table in docs/configuration.md come from it.
 */
#ifndef TW_CONFIG_OPTIONS_H
#define TW_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes; messages on descriptor 2 name what to do. */
enum exit_code {
    EXIT_OTHER = 1,
    EXIT_USAGE = 2,
    EXIT_CONFIG = 3,
    EXIT_TOKEN = 4,
    EXIT_TOO_OLD = 5,
    EXIT_SANDBOX = 6,
    EXIT_CHILD = 7,
    EXIT_INSTANCE = 8
};

enum option_id {
    OPT_ACCESS_TOKEN,
    OPT_TOKEN_FILE,
    OPT_TOKEN_FD,
    OPT_URL,
    OPT_WORK_DIR,
    OPT_CA_FILE,
    OPT_RUN_AS,
    OPT_CONFIG,
    OPT_CHECK_CONFIG,
    OPT_STATE_DIR,
    OPT_PROXY,
    OPT_PROXY_FILE,
    OPT_PIN_SPKI,
    OPT_HEARTBEAT,
    OPT_MAX_COMMANDS,
    OPT_COMMAND_TIMEOUT,
    OPT_MAX_OUTPUT,
    OPT_ISOLATE,
    OPT_REQUIRE,
    OPT_LOG_LEVEL,
    OPT_LOG_FORMAT,
    OPT_HELP,
    OPT_VERSION,
    OPT_NO_PROXY,
    OPT_CONNECTION_ID,
    OPT_NET_USER,
    OPT_USER_NAME,
    OPT_ENV_FROM,
    OPT_ENV_INIT,
    OPT_SET_ENV,
    OPT_PASS_ENV,
    OPT_UMASK,
    OPT_SETUID_HELPERS,
    OPT_ALLOW_NAMESPACES,
    OPT_SANDBOX_LOG,
    OPT_MAX_RESULTS_MEMORY,
    OPT_MAX_RESULTS_DISK,
    OPT_METRICS_FILE,
    OPT_METRICS_MODE,
    OPTIONS
};

enum option_kind {
    OPTION_FLAG,     /* takes no value */
    OPTION_TEXT,     /* any text */
    OPTION_SECRET,   /* a text that is wiped from the command line once copied */
    OPTION_TOKEN,    /* the token itself: never kept as an option's text */
    OPTION_LIST,     /* texts; may be repeated */
    OPTION_NUMBER,   /* min to max */
    OPTION_OCTAL,    /* min to max, in octal */
    OPTION_DURATION, /* min to max milliseconds; "off" is 0 where min is 0 */
    OPTION_CHOICE,   /* one of choices */
    OPTION_SWITCH    /* yes or no; on the command line its name alone, which is yes */
};

struct option_row {
    const char *name; /* --name; NULL: not on the command line */
    char letter;
    const char *variables[2];
    const char *key; /* NULL: not in the configuration file */
    enum option_kind kind;
    uint64_t min, max;
    const char *choices; /* separated by |; of OPTION_CHOICE the value is the position, of others
                            these are for the shell's completion */
    const char *argument;
    const char *standard; /* what holds when nothing is said; NULL: nothing */
    const char *help;     /* one line for --help */
    const char *more; /* what the other texts say in its place, `code` in backticks; NULL: help */
};

extern const struct option_row option_rows[OPTIONS];

/* What each exit code of tw-agent means, from 0 on; likewise `code` in backticks. */
#define EXIT_CODES (EXIT_INSTANCE + 1)
extern const char *const exit_texts[EXIT_CODES];

/* Who said it: a later one wins. */
enum option_level { LEVEL_DEFAULT, LEVEL_FILE, LEVEL_VARIABLE, LEVEL_OPTION };

struct option_value {
    char *text; /* owned; a list's entries each end in a newline */
    enum option_level level;
    unsigned line;   /* in the configuration file */
    unsigned *lines; /* of a list's entries; owned */
};

struct options {
    struct option_value values[OPTIONS];
    const char *connection_id; /* of the command line; NULL: none */
};

/*
 * Takes one value at this level. A value of a lower level is replaced, one of a higher level stays.
 * False, after an error is logged: given twice, or no memory.
 */
bool options_set(struct options *o, enum option_id id, enum option_level level, unsigned line,
                 const char *text);

/* Takes the token's text from the command line, and wipes it there. */
typedef void options_secret(void *context, char *value);

/*
 * Reads the command line. The token goes straight to take(context) and never into an option; proxy
 * passwords are wiped from argv. 0, or EXIT_USAGE after an error is logged.
 */
int options_read_arguments(struct options *o, options_secret *take, void *context, int argc,
                           char **argv);

/* Reads the environment variables of the table. 0 or EXIT_OTHER. */
int options_read_environment(struct options *o);

/* "--name", or the variable or key of the configuration file: whatever said it, for messages. */
const char *options_origin(const struct options *o, enum option_id id, char *out, size_t size);

/* The same for the entry of a list that at points into. */
const char *options_entry_origin(const struct options *o, enum option_id id, const char *at,
                                 char *out, size_t size);

/* The option's name, or the key, that is spelt most like name; NULL: none is near. */
const char *options_nearest(const char *name, bool key);

/* What stands behind --name: NULL for what takes no value. */
const char *option_argument(const struct option_row *row);

/* The connection ID that counts: the command line's, else the file's; NULL: none is given. */
const char *options_connection_id(const struct options *o);

/* EXIT_USAGE for a bad value on the command line, else EXIT_CONFIG. */
int options_bad(const struct options *o, enum option_id id);

/*
 * Of options that exclude each other, the one that counts, by level; OPTIONS: none is given. False,
 * after an error is logged, when two of one level are given.
 */
bool options_choose(const struct options *o, const enum option_id *ids, size_t n,
                    enum option_id *chosen);

/* The help text and the usage line. */
void options_print_help(void);
void options_print_usage(void);

void options_finish(struct options *o);

#endif
