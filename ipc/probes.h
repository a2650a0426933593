/* SPDX-License-Identifier: Apache-2.0 */
/* The table of probes.def, and how tw-agent-probe is started and answers. */
#ifndef TW_IPC_PROBES_H
#define TW_IPC_PROBES_H

#define PROBE_PROGRAM "tw-agent-probe"

/*
 * Core runs two commands side by side, each a text for the shell as any other:
 *   tw-agent-probe member PAIR                                               is looked at
 *   tw-agent-probe try PAIR MODE ISOLATION PARENT CORE EXEC NET TOKENFILE    looks
 * PAIR: a word by which the two find each other. MODE: system or user. ISOLATION: full or
 * read-only. Then process ids; TOKENFILE may be empty.
 * exec has room for them beside --max-commands.
 */
#define PROBE_COMMANDS 2

/* In the text of the command that is looked at, and nowhere in its arguments. */
#define PROBE_MARK "tw-agent-attestation-text"

/* The answer: this, one character for each PROBE, a line end. */
#define PROBE_ANSWER "tw-agent-probe 1 "

/* A character of the answer; any letter of PROBE_TARGETS: it succeeded, against that one. */
#define PROBE_DENIED  '.'
#define PROBE_SKIPPED '-' /* means nothing in this mode */
#define PROBE_UNTRIED '?' /* could not be tried */

/* parent, core, exec, net (the launcher and its children), another command, the host itself. */
#define PROBE_TARGETS "pcenmh"

#define TRIAL(name, meaning)
#define PROBE(name, meaning) PROBE_##name,
enum probe {
#include "ipc/probes.def"
    PROBES
};
#undef PROBE
#undef TRIAL

#define PROBE(name, meaning)
#define TRIAL(name, meaning) TRIAL_##name,
enum trial {
#include "ipc/probes.def"
    TRIALS
};
#undef TRIAL
#undef PROBE

#endif
