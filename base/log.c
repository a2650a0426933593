/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

/* The only mutable state at file scope in base/: a log line can come from anywhere, so its sink is
 * global. */
static struct {
    const char *role;
    enum log_level level;
    enum log_format format;
    log_sink *taker; /* NULL: descriptor 2 */
    void *context;
} sink = {"parent", LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL, NULL};

static const char *const level_names[] = {"ERROR", "WARN", "INFO", "DEBUG", "TRACE"};

/* syslog(3)'s: error, warning, info (trace is debug, too). */
static const int priorities[] = {3, 4, 6, 7, 7};

void log_init(const char *role, enum log_level level, enum log_format format)
{
    sink.role = role;
    sink.level = level;
    sink.format = format;
}

void log_to(log_sink *taker, void *context)
{
    sink.taker = taker;
    sink.context = context;
}

void log_never_wait(void)
{
    struct stat st;
    if (fstat(STDERR_FILENO, &st) != 0 || !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
        return;
    int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return; /* another user's: emit() still asks first */
    dup2(fd, STDERR_FILENO);
    close(fd);
}

bool log_take_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char own[64];
    if (!stream || fstat(STDERR_FILENO, &st) != 0)
        return false;
    snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    bool found = strcmp(stream, own) == 0;
    unsetenv("JOURNAL_STREAM");
    if (found)
        sink.format = LOG_FORMAT_JOURNAL_TEXT;
    return found;
}

enum log_format log_journal_format(enum log_format wished)
{
    if (sink.format < LOG_FORMAT_JOURNAL_TEXT || wished >= LOG_FORMAT_JOURNAL_TEXT)
        return wished;
    return wished == LOG_FORMAT_JSON ? LOG_FORMAT_JOURNAL_JSON : LOG_FORMAT_JOURNAL_TEXT;
}

bool log_level_parse(const char *text, enum log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++)
        if (strcasecmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    if (strcasecmp(text, "warning") == 0)
        *level = LOG_LEVEL_WARN;
    else if (strcasecmp(text, "off") == 0)
        *level = LOG_LEVEL_ERROR;
    else if (strcasecmp(text, "all") == 0)
        *level = LOG_LEVEL_TRACE;
    else
        return false;
    return true;
}

bool log_format_parse(const char *text, enum log_format *format)
{
    if (strcasecmp(text, "text") == 0)
        *format = LOG_FORMAT_TEXT;
    else if (strcasecmp(text, "json") == 0)
        *format = LOG_FORMAT_JSON;
    else
        return false;
    return true;
}

bool log_enabled(enum log_level level)
{
    return level <= sink.level;
}

static void emit(const char *line, size_t len)
{
    /* A reader that stopped must not stop the agent: a full pipe drops the line. */
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT)) {
        ssize_t n = write(STDERR_FILENO, line, len);
        (void)n;
    }
}

void log_line(enum log_level level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    char message[LOG_LINE_MAX / 2];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (n < 0)
        return;
    size_t len = (size_t)n < sizeof message ? (size_t)n : sizeof message - 1;
    if (sink.taker) {
        sink.taker(sink.context, level, message);
        return;
    }

    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    char stamp[80];
    snprintf(stamp, sizeof stamp, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, now.tv_nsec / 1000000);

    char line[LOG_LINE_MAX];
    size_t at = 0;
    bool json = sink.format == LOG_FORMAT_JSON || sink.format == LOG_FORMAT_JOURNAL_JSON;
    bool journal = sink.format >= LOG_FORMAT_JOURNAL_TEXT;
    if (journal)
        at = (size_t)snprintf(line, sizeof line, "<%d>", priorities[level]);
    if (json)
        at += (size_t)snprintf(
            line + at, sizeof line - at,
            "{\"time\":\"%s\",\"level\":\"%s\",\"role\":\"%s\",\"pid\":%d,\"message\":\"", stamp,
            level_names[level], sink.role, (int)getpid());
    else if (journal)
        at += (size_t)snprintf(line + at, sizeof line - at, "tw-agent[%s]: ", sink.role);
    else
        at = (size_t)snprintf(line, sizeof line, "%s %-5s tw-agent[%s]: ", stamp,
                              level_names[level], sink.role);
    at += text_escape(line + at, sizeof line - at - 4, message, len, json);
    if (json) {
        line[at++] = '"';
        line[at++] = '}';
    }
    line[at++] = '\n';
    emit(line, at);
}
