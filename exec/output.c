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
    *o = (struct output){.pipe = -1, .memfd = -1, .max = max};
}

static void keep(struct output *o, const char *data, size_t len)
{
    size_t room = o->max - o->size;
    size_t n = len < room ? len : room;
    if (n > 0 && o->memfd < 0)
        o->memfd = memfd_new("output");
    if (n > 0 && (o->memfd < 0 || memfd_write(o->memfd, data, n) != 0)) {
        log_error("a command's output cannot be kept: %s", strerror(errno));
        if (o->memfd >= 0 && ftruncate(o->memfd, (off_t)o->size) != 0)
            fds_close(&o->memfd);
        /* No memory now: what follows would leave a gap. */
        o->max = o->size;
        n = 0;
    }
    o->size += n;
    o->dropped += len - n;
    if (n > 0)
        o->last = data[n - 1];
}

bool output_read(struct output *o, char *scratch, size_t scratch_size)
{
    for (int i = 0; i < READS; i++) {
        ssize_t n = read(o->pipe, scratch, scratch_size);
        if (n > 0)
            keep(o, scratch, (size_t)n);
        else if (n == 0)
            return true;
        else if (errno != EINTR)
            return errno != EAGAIN;
    }
    return false;
}

void output_say(struct output *o, const char *line)
{
    size_t need = strlen(line) + 2;
    if (need > o->max)
        return;
    if (o->size > o->max - need && o->memfd >= 0) {
        size_t cut = o->size - (o->max - need);
        if (ftruncate(o->memfd, (off_t)(o->size - cut)) != 0 || lseek(o->memfd, 0, SEEK_END) < 0)
            return;
        o->size -= cut;
        o->dropped += cut;
        o->last = '\0';
    }
    if (o->size > 0 && o->last != '\n')
        keep(o, "\n", 1);
    keep(o, line, need - 2);
    keep(o, "\n", 1);
}

int output_seal(struct output *o)
{
    if (o->memfd >= 0 && (o->size == 0 || memfd_seal(o->memfd) != 0))
        fds_close(&o->memfd);
    return o->memfd;
}

void output_finish(struct output *o)
{
    fds_close(&o->pipe);
    fds_close(&o->memfd);
}
