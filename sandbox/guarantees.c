/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/guarantees.h"

#include <stdarg.h>
#include <stdio.h>

/* Landlock's ABIs: what came when. */
#define ABI_NO_REFER 1
#define ABI_TCP      4
#define ABI_SCOPES   6

static void remedy(struct judgement *j, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void lost(struct judgement *j, enum holds holds, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void lost(struct judgement *j, enum holds holds, const char *format, ...)
{
    va_list args;
    j->holds = holds;
    va_start(args, format);
    vsnprintf(j->lost, sizeof j->lost, format, args);
    va_end(args);
}

static void remedy(struct judgement *j, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(j->remedy, sizeof j->remedy, format, args);
    va_end(args);
}

/* One line that several rows share is said once at start. */
static const char no_landlock[] =
    "this kernel has no Landlock, so one member's command can read another's environment and "
    "memory and signal it, and the agent's own processes are confined by their filters alone";
static const char use_landlock[] = "use a kernel with Landlock (5.13 on), enabled in lsm=";
static const char no_setuid[] = "set setuid_helpers = no";

enum commands_are facts_commands(const struct facts *f)
{
    if (f->setuid_helpers)
        return f->split_uid ? COMMANDS_SHARED : COMMANDS_OPEN;
    return f->landlock_abi > 0 ? COMMANDS_SEPARATE : COMMANDS_SHARED;
}

/* What setuid_helpers takes from the rows about commands. */
static void lost_by_setuid(const struct facts *f, struct judgement *j, enum holds holds)
{
    bool open = facts_commands(f) == COMMANDS_OPEN;
    lost(j, holds, "setuid_helpers = yes, so %s",
         open ? "tw-agent-exec and all commands run in no sandbox: a command can read another's "
                "environment and memory, and end the agent"
              : "one member's command can read another's environment, memory and descriptors, and "
                "signal it");
    remedy(j, "%s%s", no_setuid, open ? ", or start the agent as root" : "");
}

static void judge_system_calls(const struct facts *f, struct judgement *j)
{
    if (!f->seccomp) {
        lost(j, HOLDS_NOT,
             "this kernel has no seccomp filters: the agent's processes cannot be "
             "confined, and it does not start");
        remedy(j, "use a kernel with CONFIG_SECCOMP_FILTER");
    } else if (f->sandbox_log) {
        lost(j, HOLDS_NOT,
             "sandbox_log = yes, so filters of the agent's processes refuse nothing; "
             "what they would refuse is in the kernel's log (auditd, or dmesg: "
             "\"type=1326\"), where comm= tells the process. For developers");
        remedy(j, "set sandbox_log = no");
    } else if (facts_commands(f) == COMMANDS_OPEN) {
        lost_by_setuid(f, j, HOLDS_PARTLY);
    }
}

static void judge_privileges(const struct facts *f, struct judgement *j)
{
    if (!f->setuid_helpers)
        return;
    lost(j, HOLDS_NOT,
         "setuid_helpers = yes, so commands can gain privileges by every setuid "
         "program of this host, and by its flaws");
    remedy(j, "%s unless the scheduler's clients need it", no_setuid);
}

static void judge_namespaces(const struct facts *f, struct judgement *j)
{
    if (!f->allow_namespaces)
        return;
    bool no_mounts = f->landlock_abi > 0 && f->landlock_abi < ABI_SCOPES;
    lost(j, HOLDS_NOT,
         "allow_namespaces = yes, so commands have all capabilities in namespaces of their own, "
         "and with them more of the kernel within reach%s",
         no_mounts ? "; mounts in them still fail: the domains of commands deny these before "
                     "Landlock ABI 6"
                   : "");
    remedy(j, "set allow_namespaces = no unless apptainer or bubblewrap need it");
}

static void judge_files(const struct facts *f, struct judgement *j)
{
    if (f->landlock_abi > 0)
        return;
    lost(j, HOLDS_PARTLY, "%s", no_landlock);
    remedy(j, "%s", use_landlock);
}

static void judge_ports(const struct facts *f, struct judgement *j)
{
    if (f->landlock_abi == 0) {
        judge_files(f, j);
    } else if (f->landlock_abi < ABI_TCP) {
        lost(j, HOLDS_PARTLY,
             "Landlock ABI %u does not restrict TCP ports (%d does): the connector could connect "
             "to others",
             f->landlock_abi, ABI_TCP);
        remedy(j, "use a kernel from 6.7 on");
    }
}

static void judge_signals(const struct facts *f, struct judgement *j)
{
    if (!f->seccomp) {
        judge_system_calls(f, j);
    } else if (facts_commands(f) == COMMANDS_OPEN) {
        lost_by_setuid(f, j, HOLDS_NOT);
    } else if (f->landlock_abi < ABI_SCOPES && !f->split_uid) {
        lost(j, HOLDS_PARTLY,
             "without Landlock's scopes (ABI %d) commands can end the agent's network connections "
             "by signals; it connects again",
             ABI_SCOPES);
        remedy(j, "start the agent as root, or use a kernel from 6.12 on");
    }
}

static void judge_members(const struct facts *f, struct judgement *j)
{
    if (f->setuid_helpers) {
        lost_by_setuid(f, j, HOLDS_NOT);
    } else if (f->landlock_abi == 0) {
        lost(j, HOLDS_NOT, "%s", no_landlock);
        remedy(j, "%s", use_landlock);
    }
}

static void judge_sockets(const struct facts *f, struct judgement *j)
{
    if (f->setuid_helpers) {
        lost_by_setuid(f, j, HOLDS_NOT);
    } else if (f->landlock_abi == 0) {
        lost(j, HOLDS_NOT, "%s", no_landlock);
        remedy(j, "%s", use_landlock);
    } else if (f->landlock_abi < ABI_SCOPES) {
        lost(j, HOLDS_NOT,
             "Landlock ABI %u has no scopes (%d has), so commands can signal each other and use "
             "each other's abstract sockets",
             f->landlock_abi, ABI_SCOPES);
        remedy(j, "use a kernel from 6.12 on");
    } else if (!f->isolate_full) {
        lost(j, HOLDS_PARTLY, "isolate = read-only, so commands can signal each other");
        remedy(j, "set isolate = full");
    }
}

static void judge_renames(const struct facts *f, struct judgement *j)
{
    if (f->landlock_abi != ABI_NO_REFER || f->setuid_helpers)
        return;
    lost(j, HOLDS_PARTLY,
         "Landlock ABI 1 lets no command rename or link files from one directory "
         "to another (EXDEV): mv copies, ln fails");
    remedy(j, "use a kernel from 5.19 on");
}

static void judge_split_uid(const struct facts *f, struct judgement *j)
{
    if (f->split_uid)
        return;
    lost(j, HOLDS_NOT,
         "all processes have one UID (started as a plain user), so commands can "
         "change the agent's own files");
    remedy(j, "start the agent as root: it gives root up and uses several users");
}

static void judge_secret_memory(const struct facts *f, struct judgement *j)
{
    if (f->secret_memory)
        return;
    lost(j, f->locked_memory ? HOLDS_PARTLY : HOLDS_NOT,
         "%s; the access token is in memory that %s",
         f->memfd_secret ? "the limit of locked memory is too low for memfd_secret"
                         : "this kernel has no memfd_secret",
         f->locked_memory ? "is locked, but root can read" : "can be swapped out");
    if (f->memfd_secret || !f->locked_memory)
        remedy(j, "raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=) to 64 KiB or more");
    else
        remedy(j, "use a kernel from 6.5 on, or boot with secretmem.enable=1 from 5.14 on");
}

static void judge_token(const struct facts *f, struct judgement *j)
{
    switch (f->token) {
    case EXPOSED_TO_NOBODY:
        return;
    case EXPOSED_TO_GROUP:
        lost(j, HOLDS_PARTLY, "%s can read the file of the access token",
             f->token_reader ? f->token_reader : "a further group");
        break;
    case EXPOSED_TO_ALL:
        lost(j, HOLDS_NOT, "every user of this host can read the file of the access token");
        break;
    case EXPOSED_TO_COMMANDS:
        lost(j, HOLDS_NOT,
             "user '%s', as whom commands run, can read the file of the access token, and so can "
             "the jobs",
             f->user ? f->user : "?");
        break;
    case EXPOSED_AT_START:
        lost(j, HOLDS_NOT,
             "the access token was readable by others at start, since it came by "
             "environment or command line; it is wiped there now");
        remedy(j, "use --token-file");
        return;
    case EXPOSED_UNKNOWN:
        lost(j, HOLDS_NOT, "nothing is known of the access token's source");
        remedy(j, "name one that is usable, by --token-file FILE");
        return;
    }
    if (f->split_uid)
        remedy(j, "give the file to root:tw-agent with mode 0640");
    else
        remedy(j, "give it by --token-fd from a pipe, or start the agent as root; mode 0600 in any "
                  "case");
}

const struct guarantee guarantees[GUARANTEES_MAX] = {
    [GUARANTEE_SYSTEM_CALLS] = {"system-calls", "P2", "seccomp", true,
                                "the agent's processes and commands make no system call that their "
                                "filter refuses",
                                judge_system_calls},
    [GUARANTEE_PRIVILEGES] = {"no-new-privileges", "P2", NULL, false,
                              "commands gain no privileges by setuid programs", judge_privileges},
    [GUARANTEE_NAMESPACES] = {"no-namespaces", "P2", NULL, false,
                              "commands make no user namespaces", judge_namespaces},
    [GUARANTEE_FILES] = {"agent-files", "P2", NULL, false,
                         "the agent's processes reach no files but their own", judge_files},
    [GUARANTEE_PORTS] = {"agent-ports", "P4", NULL, false,
                         "the network programs connect to the one port alone", judge_ports},
    [GUARANTEE_SIGNALS] = {"agent-signals", "P6", NULL, false,
                           "commands neither signal nor slow the agent's processes", judge_signals},
    [GUARANTEE_MEMBERS] = {"member-isolation", "P3", "member-isolation", false,
                           "a command cannot read another's text, environment, memory, descriptors",
                           judge_members},
    [GUARANTEE_SOCKETS] =
        {"member-signals", "P3", NULL, false,
         "commands neither signal each other nor use each other's abstract sockets", judge_sockets},
    [GUARANTEE_RENAMES] = {"renames", "P9", NULL, false,
                           "commands rename and link files across directories", judge_renames},
    [GUARANTEE_SPLIT_UID] = {"split-uid", "P1", "split-uid", false,
                             "agent, network and commands run as different users", judge_split_uid},
    [GUARANTEE_SECRET_MEMORY] = {"secret-memory", "P1", "secret-memory", false,
                                 "not even root reads the access token through /proc",
                                 judge_secret_memory},
    [GUARANTEE_TOKEN] =
        {"token-unreachable", "P1", "token-unreachable", true,
         "neither the commands' user nor others can read the token where it comes from",
         judge_token},
};

void guarantee_judge(enum guarantee_id id, const struct facts *f, struct judgement *j)
{
    *j = (struct judgement){.holds = HOLDS_FULL};
    guarantees[id].judge(f, j);
}

const char *holds_name(enum holds holds)
{
    static const char *const names[] = {"ok", "partly", "no"};
    return names[holds];
}
