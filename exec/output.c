/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "ipc/memfd.h"

/* Reads before the loop's other events get their turn; more than any pipe holds. */
#define READS 20

void output_init(struct output *o, size_t max)
{
    o->pipe = o->memfd = -1;
    o->max = max;
    o->size = 0;
    o->dropped = 0;
    o->lost = 0;
    o->sealed = false;
    o->last = '\0';
}

/* What is held moves to a memfd. */
static bool make_memfd(struct output *o)
{
    int fd = memfd_new("output");
    if (fd < 0)
        return false;
    if (fds_write(fd, o->held, o->size) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return false;
    }
    o->memfd = fd;
    return true;
}

static bool put(struct output *o, const char *data, size_t n)
{
    if (o->memfd >= 0)
        return fds_write(o->memfd, data, n) == 0;
    memcpy(o->held + o->size, data, n);
    return true;
}

static void keep(struct output *o, const char *data, size_t len)
{
    size_t room = o->max - o->size;
    size_t n = len < room ? len : room;
    if (n > 0 && !put(o, data, n)) {
        o->lost = errno;
        log_error("a command's output cannot be kept: %s", strerror(errno));
        if (ftruncate(o->memfd, (off_t)o->size) != 0 || lseek(o->memfd, 0, SEEK_END) < 0)
            log_error("what was kept of it is damaged: %s", strerror(errno));
        /* What follows would leave a gap. */
        o->max = o->size;
        return;
    }
    o->size += n;
    if (!o->lost)
        o->dropped += len - n;
    if (n > 0)
        o->last = data[n - 1];
}

/* Where the next read goes: into what can be kept whatever happens. 0: nowhere now. */
static size_t may_read(struct output *o, size_t scratch_size)
{
    if (o->memfd >= 0 || o->size == o->max)
        return scratch_size;
    if (o->size < OUTPUT_HELD)
        return OUTPUT_HELD - o->size;
    return make_memfd(o) ? scratch_size : 0;
}

enum output_state output_read(struct output *o, char *scratch, size_t scratch_size)
{
    for (int i = 0; i < READS; i++) {
        size_t most = may_read(o, scratch_size);
        if (most == 0)
            return OUTPUT_STUCK;
        ssize_t n = read(o->pipe, scratch, most);
        if (n > 0)
            keep(o, scratch, (size_t)n);
        else if (n == 0)
            return OUTPUT_END;
        else if (errno != EINTR)
            return errno == EAGAIN ? OUTPUT_OPEN : OUTPUT_END;
    }
    return OUTPUT_OPEN;
}

/* Makes room for n bytes more below max. */
static bool cut(struct output *o, size_t n)
{
    if (o->size <= o->max - n)
        return true;
    size_t to = o->max - n;
    if (o->memfd >= 0 && (ftruncate(o->memfd, (off_t)to) != 0 || lseek(o->memfd, 0, SEEK_END) < 0))
        return false;
    o->dropped += o->size - to;
    o->size = to;
    o->last = '\0';
    return true;
}

void output_say(struct output *o, const char *line)
{
    size_t need = strlen(line) + 2;
    if (need > o->max || (o->memfd < 0 && o->size + need > sizeof o->held) || !cut(o, need))
        return;
    if (o->size > 0 && o->last != '\n')
        keep(o, "\n", 1);
    keep(o, line, need - 2);
    keep(o, "\n", 1);
}

bool output_seal(struct output *o)
{
    if (o->sealed)
        return true;
    if (o->size == 0)
        fds_close(&o->memfd);
    else if ((o->memfd < 0 && !make_memfd(o)) || memfd_seal(o->memfd) != 0)
        return false;
    o->sealed = true;
    return true;
}

void output_finish(struct output *o)
{
    fds_close(&o->pipe);
    fds_close(&o->memfd);
}
