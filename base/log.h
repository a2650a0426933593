/* SPDX-License-Identifier: Apache-2.0 */
/* One line per event on descriptor 2, in one write. Control characters and bidi marks are escaped.
 */
#ifndef TW_BASE_LOG_H
#define TW_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_TRACE
};
/* The journal's: with the level as "<N>" in front; text then without the time, which journald has.
 */
enum log_format {
    LOG_FORMAT_TEXT,
    LOG_FORMAT_JSON,
    LOG_FORMAT_JOURNAL_TEXT,
    LOG_FORMAT_JOURNAL_JSON
};

/* A line, longest: what a pipe takes at once (PIPE_BUF), so lines of several processes never mix.
 */
#define LOG_LINE_MAX 4096

/* Sets this process's role name (static string), threshold and format. Before it, "parent", INFO
 * and text hold. */
void log_init(const char *role, enum log_level level, enum log_format format);

/*
 * Decides once, at the program's start, whether descriptor 2 is the journal's stream, as
 * JOURNAL_STREAM says (systemd.exec(5)), and takes the variable out of the environment. From then
 * on lines have the journal's form. True: they do.
 */
bool log_take_journal(void);

/* The form of lines when this is what is wished: the journal's, if log_take_journal found it. */
enum log_format log_journal_format(enum log_format wished);

/*
 * For a program that shows messages in its own way: from now on the text of each goes to sink,
 * unescaped, and nothing to descriptor 2. NULL: to descriptor 2 again.
 */
typedef void log_sink(void *context, enum log_level level, const char *message);
void log_to(log_sink *sink, void *context);

/*
 * Makes descriptor 2 one of our own that never waits, if it is a terminal or a pipe and can be
 * opened again: that there is room does not mean that there is enough, and whoever shares the
 * inherited one must not find it non-blocking. Called once, before the other programs are started.
 */
void log_never_wait(void);

/* Parses error|warn|warning|info|debug|trace, any case, "off" as error. False: unknown. */
bool log_level_parse(const char *text, enum log_level *level);
bool log_format_parse(const char *text, enum log_format *format);

bool log_enabled(enum log_level level);

/*
 * Logs one line, cut at LOG_LINE_MAX. When the reader of descriptor 2 does not read, the line is
 * dropped rather than waited for. The caller keeps secrets out (core passes what a server chose
 * through policy/redact first).
 */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_trace(...) log_line(LOG_LEVEL_TRACE, __VA_ARGS__)

#endif
