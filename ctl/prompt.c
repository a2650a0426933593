/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/limits.h"
#include "base/log.h"
#include "ctl/output.h"

/* What a terminal keeps of a line (n_tty's buffer): more is cut without a word. */
#define LINE_MAX_BYTES 4095

static int open_terminal(void)
{
    return open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

bool prompt_possible(void)
{
    int fd = open_terminal();
    bool possible = fd >= 0;
    fds_close(&fd);
    return possible;
}

static int no_terminal(void)
{
    log_error("there is no terminal to ask on");
    return -1;
}

/* Unbuffered on our side: a write to the terminal is on it before the answer is read. */
static void show(int fd, const char *text, const char *end)
{
    char *line = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&line, &len);
    if (!out)
        return;
    output_escaped(out, text, false);
    fputs(end, out);
    if (fclose(out) == 0)
        fds_write(fd, line, len);
    free(line);
}

/* ---- yes or no ---- */

/* Reads up to the end of the line and keeps what fits. False: the terminal is at its end. */
static bool read_line(int fd, char *out, size_t size)
{
    size_t len = 0;
    char c;
    for (;;) {
        ssize_t n = read(fd, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        if (c == '\n')
            break;
        if (len < size - 1)
            out[len++] = c;
    }
    out[len] = '\0';
    return true;
}

enum prompt_answer prompt_yes(const char *const *lines, const char *question)
{
    char answer[16];
    int fd = open_terminal();
    if (fd < 0)
        return no_terminal(), PROMPT_NONE;
    for (; *lines; lines++)
        show(fd, *lines, "\n");
    /* What was typed before the question was asked does not answer it. */
    tcflush(fd, TCIFLUSH);
    show(fd, question, " [y/N] ");
    bool answered = read_line(fd, answer, sizeof answer);
    fds_close(&fd);
    if (!answered)
        return log_error("no answer"), PROMPT_NONE;
    return strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0 ? PROMPT_YES : PROMPT_NO;
}

/* ---- a secret ---- */

struct silence {
    int fd;      /* the terminal */
    int signals; /* those that would leave it silent */
    sigset_t before;
    struct termios was, silent;
};

static bool silence_begin(struct silence *s)
{
    sigset_t caught;
    sigemptyset(&caught);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGTERM);
    sigaddset(&caught, SIGHUP);
    sigaddset(&caught, SIGQUIT);
    sigaddset(&caught, SIGTSTP);
    if (tcgetattr(s->fd, &s->was) != 0 || sigprocmask(SIG_BLOCK, &caught, &s->before) != 0)
        return false;
    s->signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    s->silent = s->was;
    s->silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    s->silent.c_lflag |= ICANON | ISIG;
    /* What was typed before the question was echoed: it is no secret any more, and dropped. */
    if (s->signals >= 0 && tcsetattr(s->fd, TCSAFLUSH, &s->silent) == 0)
        return true;
    sigprocmask(SIG_SETMASK, &s->before, NULL);
    return false;
}

static void silence_end(struct silence *s)
{
    tcsetattr(s->fd, TCSAFLUSH, &s->was);
    fds_write(s->fd, "\n", 1);
    fds_close(&s->signals);
    sigprocmask(SIG_SETMASK, &s->before, NULL);
}

/* The terminal speaks again while the program is stopped. */
static void pause_for(struct silence *s, const char *question)
{
    sigset_t stop;
    tcsetattr(s->fd, TCSAFLUSH, &s->was);
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &stop, NULL);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    tcsetattr(s->fd, TCSAFLUSH, &s->silent);
    show(s->fd, question, " ");
}

/* A signal's number, which is to end the program, or 0: a line's part can be read. */
static int wait_for_line(struct silence *s, const char *question)
{
    struct pollfd p[] = {{.fd = s->signals, .events = POLLIN}, {.fd = s->fd, .events = POLLIN}};
    struct signalfd_siginfo signal;
    for (;;) {
        if (poll(p, 2, -1) < 0)
            continue;
        if (!(p[0].revents & POLLIN))
            return 0;
        if (read(s->signals, &signal, sizeof signal) != sizeof signal)
            continue;
        if (signal.ssi_signo != SIGTSTP)
            return (int)signal.ssi_signo;
        pause_for(s, question);
    }
}

/* NULL, or what is wrong; *signal is the one that is to end the program. */
static const char *read_secret(struct silence *s, const char *question, struct secret *page,
                               int *signal)
{
    _Static_assert(LINE_MAX_BYTES + 1 <= LIMIT_SECRET_PAGE, "a whole line fits");
    for (;;) {
        *signal = wait_for_line(s, question);
        if (*signal)
            return "interrupted";
        ssize_t n = read(s->fd, page->data + page->len, page->size - page->len);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return strerror(errno);
        if (n == 0)
            return "the terminal gave nothing";
        page->len += (size_t)n;
        if (page->data[page->len - 1] == '\n') {
            page->len--;
            break;
        }
        if (page->len == page->size)
            return "too long";
    }
    return page->len < LINE_MAX_BYTES
               ? NULL
               : "a terminal cuts lines as long as this one: give it in a file instead";
}

int prompt_secret(const char *question, struct secret *page)
{
    struct silence s = {.fd = open_terminal(), .signals = -1};
    const char *why;
    int signal = 0;
    if (s.fd < 0)
        return no_terminal();
    explicit_bzero(page->data, page->size);
    page->len = 0;
    if (silence_begin(&s)) {
        show(s.fd, question, " ");
        why = read_secret(&s, question, page, &signal);
        silence_end(&s);
    } else {
        why = strerror(errno);
    }
    fds_close(&s.fd);
    if (!why)
        return 0;
    explicit_bzero(page->data, page->size);
    page->len = 0;
    if (signal)
        raise(signal);
    log_error("nothing was read from the terminal: %s", why);
    return -1;
}
