/* SPDX-License-Identifier: Apache-2.0 */
#include "core/content.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/limits.h"
#include "base/siphash.h"

bool content_of_span(struct content *c, struct span s)
{
    *c = content_empty();
    if (s.len == 0)
        return true;
    c->bytes = span_dup(s);
    c->len = c->bytes ? s.len : 0;
    return c->bytes != NULL;
}

void content_take(struct content *c, int *fd, size_t len)
{
    *c = (struct content){.fd = *fd, .len = len};
    *fd = -1;
}

void content_settle(struct content *c, size_t max)
{
    struct memfd_map map;
    if (c->fd < 0 || c->len > max || memfd_map(&map, c->fd, LIMIT_OUTPUT) != 0)
        return;
    char *bytes = span_dup(map.bytes);
    memfd_unmap(&map);
    if (!bytes)
        return;
    c->bytes = bytes;
    fds_close(&c->fd);
}

int content_fd(const struct content *c, int *made, bool *failed)
{
    *made = -1;
    *failed = false;
    if (c->fd >= 0 || c->len == 0)
        return c->fd;
    *made = memfd_of("content", c->bytes, c->len);
    *failed = *made < 0;
    return *made;
}

bool content_view(const struct content *c, struct memfd_map *view)
{
    *view = (struct memfd_map){{c->bytes, c->bytes ? c->len : 0}, NULL};
    return c->fd < 0 || memfd_map(view, c->fd, LIMIT_OUTPUT) == 0;
}

bool content_hash(const struct content *c, const uint64_t key[2], uint64_t *hash)
{
    struct memfd_map view;
    if (!content_view(c, &view))
        return false;
    *hash = siphash(key, view.bytes.data, view.bytes.len);
    memfd_unmap(&view);
    return true;
}

void content_leave(struct content *c)
{
    if (c->bytes)
        explicit_bzero(c->bytes, c->len);
    free(c->bytes);
    c->bytes = NULL;
    fds_close(&c->fd);
}

void content_finish(struct content *c)
{
    content_leave(c);
    *c = content_empty();
}
