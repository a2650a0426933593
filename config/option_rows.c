/* SPDX-License-Identifier: Apache-2.0 */
#include "config/options.h"

#include "base/limits.h"

#define DIGITS(x)  DIGITS_(x)
#define DIGITS_(x) #x

/* Below 10 ms heartbeats are a flood, above 49 days they do not fit their message. */
#define HEARTBEAT_MIN 10
#define HEARTBEAT_MAX UINT32_MAX

/* A row is a list of these. */
#define ROW(id, ...)           [id] = {__VA_ARGS__}
#define LONG(text)             .name = text
#define LETTER(character)      .letter = character
#define VARIABLES(...)         .variables = {__VA_ARGS__}
#define KEY(text)              .key = text
#define FLAG                   .kind = OPTION_FLAG
#define TEXT(word)             .kind = OPTION_TEXT, .argument = word
#define SECRET(word)           .kind = OPTION_SECRET, .argument = word
#define TOKEN(word)            .kind = OPTION_TOKEN, .argument = word
#define LIST(word)             .kind = OPTION_LIST, .argument = word
#define NUMBER(from, to, word) .kind = OPTION_NUMBER, .min = from, .max = to, .argument = word
#define OCTAL(to, word)        .kind = OPTION_OCTAL, .max = to, .argument = word
#define DURATION(from, to)     .kind = OPTION_DURATION, .min = from, .max = to, .argument = "DUR"
#define CHOICE(words)          .kind = OPTION_CHOICE, .choices = words, .argument = words
#define SWITCH                 .kind = OPTION_SWITCH, .argument = "yes|no", .standard = "no"
#define COMPLETED_BY(words)    .choices = words
#define DEFAULT(text)          .standard = text
#define HELP(text)             .help = text
#define MORE(text)             .more = text

const struct option_row option_rows[OPTIONS] = {
    ROW(OPT_ACCESS_TOKEN, LONG("access-token"), LETTER('t'), VARIABLES("TOWER_ACCESS_TOKEN"),
        TOKEN("TOKEN"),
        HELP("the access token; other users can read it at start: better in a file"),
        MORE("the access token; wiped from the command line and environment at once, but readable "
             "by others until then: better in a file")),
    ROW(OPT_TOKEN_FILE, LONG("token-file"), KEY("token_file"), TEXT("FILE"),
        HELP("the file that holds the access token; read again on SIGHUP"),
        MORE("the file that holds the access token; read again on SIGHUP, and when Tower refuses "
             "the token. A regular file, no symbolic link; as root `root:tw-agent`, mode 0640")),
    ROW(OPT_TOKEN_FD, LONG("token-fd"), KEY("token_fd"), NUMBER(0, 1048576, "N"),
        HELP("the open descriptor (a pipe or file) that the access token is read from"),
        MORE("the open descriptor, a pipe or a regular file, that the access token is read from")),
    ROW(OPT_URL, LONG("url"), LETTER('u'), VARIABLES("TOWER_API_ENDPOINT"), KEY("url"), TEXT("URL"),
        DEFAULT("https://api.cloud.seqera.io"),
        HELP("the API endpoint; on-premises https://HOST/api"),
        MORE("the API endpoint; on-premises `https://HOST/api`. Only https; no user, query or "
             "fragment")),
    ROW(OPT_WORK_DIR, LONG("work-dir"), LETTER('w'), VARIABLES("TW_AGENT_WORK"), KEY("work_dir"),
        TEXT("DIR"), DEFAULT("~/work"), HELP("where commands run; it must exist"),
        MORE("where commands run; it must exist. A leading `~` is the home of the commands' user")),
    ROW(OPT_CA_FILE, LONG("ca-file"), KEY("ca_file"), TEXT("FILE"),
        HELP("the CA certificates to trust, in PEM, instead of the system's")),
    ROW(OPT_RUN_AS, LONG("run-as"), KEY("run_as"), TEXT("USER"),
        HELP("whom commands run as; needed when started as root"),
        MORE("whom commands run as; needed when started as root. Not root, not the agent's own "
             "user, and in none of its groups")),
    ROW(OPT_CONFIG, LONG("config"), TEXT("FILE"), HELP("a configuration file")),
    ROW(OPT_CHECK_CONFIG, LONG("check-config"), FLAG,
        HELP("judge options and configuration file as a start would, and end"),
        MORE("judge options, configuration file, users and CA certificates as a start would, say "
             "all that is wrong and end")),
    ROW(OPT_STATE_DIR, LONG("state-dir"), KEY("state_dir"), TEXT("DIR"),
        HELP("the state directory: /var/lib/tw-agent as root, else $XDG_STATE_HOME/tw-agent or "
             "~/.local/state/tw-agent"),
        MORE("the state directory: `/var/lib/tw-agent` as root, else `$XDG_STATE_HOME/tw-agent` or "
             "`~/.local/state/tw-agent`")),
    ROW(OPT_PROXY, LONG("proxy"), VARIABLES("HTTPS_PROXY", "https_proxy"), KEY("proxy"),
        SECRET("URL"), HELP("the HTTP proxy, http://[user:password@]host:port; empty: none"),
        MORE("the HTTP proxy, `http://[user:password@]host:port` or `host:port`; empty: none. "
             "Special characters as `%HH`")),
    ROW(OPT_PROXY_FILE, LONG("proxy-file"), KEY("proxy_file"), TEXT("FILE"),
        HELP("the file that holds the proxy's URL"),
        MORE("the file whose first line is the proxy's URL: a password is then in no command "
             "line")),
    ROW(OPT_PIN_SPKI, LONG("pin-spki"), KEY("pin_spki"), LIST("HEX"),
        HELP("SHA-256 of a public key that the server must have; repeatable, or comma separated"),
        MORE("SHA-256 of a public key that the server must have, 64 hexadecimal digits; repeatable "
             "or comma separated, at most 8")),
    ROW(OPT_HEARTBEAT, LONG("heartbeat"), VARIABLES("TOWER_AGENT_HEARTBEAT"), KEY("heartbeat"),
        DURATION(HEARTBEAT_MIN, HEARTBEAT_MAX), DEFAULT("45s"),
        HELP("the time between heartbeats, such as 45s, 2m, 1500ms, PT45S, 45"),
        MORE("the time between heartbeats, 10 ms or more")),
    ROW(OPT_MAX_COMMANDS, LONG("max-commands"), KEY("max_commands"), NUMBER(1, LIMIT_COMMANDS, "N"),
        DEFAULT("16"), HELP("commands that run at a time"),
        MORE("commands that run at a time, 1 to " DIGITS(LIMIT_COMMANDS) "; others wait")),
    ROW(OPT_COMMAND_TIMEOUT, LONG("command-timeout"), KEY("command_timeout"),
        DURATION(0, UINT64_MAX), DEFAULT("off"), HELP("the time that a command may take"),
        MORE("the time that a command may take; then its processes are ended, and Tower gets "
             "status 124")),
    ROW(OPT_MAX_OUTPUT, LONG("max-output"), KEY("max_output"), NUMBER(1, LIMIT_OUTPUT, "BYTES"),
        DEFAULT(DIGITS(LIMIT_OUTPUT_DEFAULT)), HELP("what is kept of a command's output"),
        MORE("what is kept of a command's output, at most " DIGITS(LIMIT_OUTPUT))),
    ROW(OPT_ISOLATE, LONG("isolate"), KEY("isolate"), CHOICE("full|read-only"), DEFAULT("full"),
        HELP("how commands are kept apart; read-only: they may signal each other"),
        MORE("how commands are kept apart; `read-only`: they may signal each other")),
    ROW(OPT_REQUIRE, LONG("require"), KEY("require"), LIST("LIST"),
        HELP("refuse to run without: landlock>=N, seccomp, split-uid, secret-memory, "
             "token-unreachable, member-isolation"),
        MORE("refuse to run (code 6) without these: `landlock>=N`, `seccomp`, `split-uid`, "
             "`secret-memory`, `token-unreachable`, `member-isolation`; repeatable or comma "
             "separated")),
    ROW(OPT_LOG_LEVEL, LONG("log-level"), VARIABLES("LOGGER_LEVELS_IO_SEQERA_TOWER_AGENT"),
        KEY("log_level"), TEXT("L"), COMPLETED_BY("error|warn|info|debug|trace"), DEFAULT("info"),
        HELP("error, warn, info, debug or trace"),
        MORE("`error`, `warn`, `info`, `debug` or `trace`, in any case")),
    ROW(OPT_LOG_FORMAT, LONG("log-format"), KEY("log_format"), CHOICE("text|json"), DEFAULT("text"),
        HELP("how log lines are written")),
    ROW(OPT_HELP, LONG("help"), LETTER('h'), FLAG, HELP("print this and end"),
        MORE("print all this in short and end")),
    ROW(OPT_VERSION, LONG("version"), LETTER('V'), FLAG, HELP("print the version and end")),
    ROW(OPT_NO_PROXY, VARIABLES("NO_PROXY", "no_proxy"), TEXT("LIST"),
        HELP("hosts that are reached without the proxy, unless --proxy names one"),
        MORE("hosts that are reached without the proxy, unless `--proxy` or `--proxy-file` is on "
             "the command line: `*`, `host`, `domain` (with all below it), each with `:port` or "
             "without; addresses literally")),
    ROW(OPT_CONNECTION_ID, KEY("connection_id"), TEXT("ID"),
        HELP("the connection ID, unless AGENT_CONNECTION_ID is on the command line"),
        MORE("the connection ID, unless `AGENT_CONNECTION_ID` is on the command line")),
    ROW(OPT_NET_USER, KEY("net_user"), TEXT("USER"), DEFAULT("tw-agent-net"),
        HELP("the user of the network programs; only when started as root")),
    ROW(OPT_USER_NAME, KEY("user_name"), TEXT("NAME"),
        HELP("the user name that Tower is told; else run_as, or USER as a plain user"),
        MORE("the user name that Tower is told; else `run_as` as root, `USER` or the password "
             "database as a plain user")),
    ROW(OPT_ENV_FROM, KEY("env_from"), TEXT("login|file:PATH|none"),
        HELP("the environment of commands when started as root; login if nothing is said"),
        MORE("where the environment of commands comes from, only when started as root: `login` "
             "(default; the login shell of `run_as`), `file:/absolute/path` or `none`. As a plain "
             "user it is the agent's own")),
    ROW(OPT_ENV_INIT, KEY("env_init"), TEXT("LINE"),
        HELP("a shell line that prepares the environment, such as module load slurm"),
        MORE("a shell line that prepares the environment, such as `module load slurm`")),
    ROW(OPT_SET_ENV, KEY("set_env"), LIST("NAME=VALUE"),
        HELP("a variable set for commands; repeatable"),
        MORE("`NAME=VALUE` set for commands; repeatable")),
    ROW(OPT_PASS_ENV, KEY("pass_env"), LIST("NAME"),
        HELP("variables of the agent passed to commands; repeatable, or comma separated"),
        MORE("names of the agent's own variables passed to commands; repeatable or comma "
             "separated")),
    ROW(OPT_UMASK, KEY("umask"), OCTAL(0777, "OCTAL"),
        HELP("the umask of commands; else the one at the agent's start"),
        MORE("the umask of commands in octal; else what the login shell or `env_init` sets, else "
             "the one at the agent's start")),
    ROW(OPT_SETUID_HELPERS, KEY("setuid_helpers"), SWITCH,
        HELP("commands may start programs that gain privileges (pbs_iff, sudo), and are not kept "
             "apart"),
        MORE("`yes`: commands may start programs that gain privileges (`pbs_iff` of PBS, `eauth` "
             "of LSF, `sudo`), and are not kept apart from each other")),
    ROW(OPT_ALLOW_NAMESPACES, KEY("allow_namespaces"), SWITCH,
        HELP("commands may make user namespaces (bubblewrap, apptainer)"),
        MORE("`yes`: commands may make user namespaces (bubblewrap, apptainer without its setuid "
             "part)")),
    ROW(OPT_SANDBOX_LOG, LONG("sandbox-log"), KEY("sandbox_log"), SWITCH,
        HELP("for developers: the kernel logs what the filters would refuse"),
        MORE("for developers: the filters of the agent's own processes refuse nothing, the kernel "
             "logs what they would refuse")),
    ROW(OPT_MAX_RESULTS_MEMORY, KEY("max_results_memory"),
        NUMBER(1048576, UINT64_C(1) << 40, "BYTES"), DEFAULT("268435456"),
        HELP("results in memory that wait; beyond, no command starts"),
        MORE("bytes of results in memory that may wait for delivery; beyond, no further command "
             "starts")),
    ROW(OPT_MAX_RESULTS_DISK, KEY("max_results_disk"), NUMBER(0, UINT64_C(1) << 40, "BYTES"),
        DEFAULT("1073741824"), HELP("large results kept on disk"),
        MORE("bytes of results over 16 KiB in the state directory; beyond, they stay in memory "
             "(smaller ones are in the journal, and count as memory)")),
    ROW(OPT_METRICS_FILE, KEY("metrics_file"), TEXT("FILE"),
        HELP("the file of metrics for Prometheus; else metrics.prom in the part of the state "
             "directory that is this connection ID's"),
        MORE("the absolute path of the file of metrics for Prometheus, in a directory where the "
             "agent's "
             "user may write; else `metrics.prom` in the part of the state directory that is this "
             "connection ID's")),
    ROW(OPT_METRICS_MODE, KEY("metrics_mode"), OCTAL(0644, "OCTAL"), DEFAULT("0600"),
        HELP("the mode of that file: 0600, 0640 or 0644"),
        MORE("the mode of that file: `0600`, `0640` or `0644`")),
};

const char *const exit_texts[EXIT_CODES] = {
    "stopped as asked",
    "other",
    "usage",
    "configuration, the token's source and programs that others could change included",
    "Tower refused the token",
    "the server is too old",
    "the sandbox, or something demanded, cannot be enforced",
    "a process of the agent died; the service manager should start the agent again",
    "another instance of this connection ID runs on this host",
};
