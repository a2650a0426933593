/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is printed from tw-agentctl's tables, as its --help and that of each subcommand say them
 * (pages/ctl_help keeps these in a directory): a new row of ctl/main.c appears by itself.
 */
#ifndef TW_PAGES_CTL_H
#define TW_PAGES_CTL_H

/* tw-agentctl(1): a section for each subcommand, with the text that texts/NAME.scd has about it,
 * and the exit codes. */
void ctl_scd(const char *help, const char *texts);
void ctl_scd_exit_codes(const char *help);

/* Bash: the subcommands' names, and for "case $subcommand in" the words of each one's own help. */
void ctl_completion_names(const char *help);
void ctl_completion_words(const char *help);

#endif
