/* SPDX-License-Identifier: Apache-2.0 */
/* What is printed from tw-agent's option table. */
#ifndef TW_PAGES_OPTIONS_H
#define TW_PAGES_OPTIONS_H

/* tw-agent(1): options, variables, exit codes. */
void options_scd(void);
void options_scd_variables(void);
void options_scd_exit_codes(void);

/* tw-agent.conf(5): keys. */
void options_scd_keys(void);

/* docs/configuration.md: the table of options, and the one of exit codes. */
void options_md(void);
void options_md_exit_codes(void);

/* packaging/tw-agent.conf.example: every key, commented out. */
void options_example(void);

/* Bash: the options' names, and for "case $option in" how each one's value is completed. */
void options_completion_names(void);
void options_completion_values(void);

/* For tests: one line a row, tabs between name, key, kind, least, most, choices, argument and
 * default. */
void options_rows(void);

#endif
