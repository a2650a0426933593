/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447 /* Linux 5.14, all architectures */
#endif
#define SECRET_CLOEXEC 02000000 /* O_CLOEXEC, the one flag memfd_secret takes */

static bool map_memfd_secret(struct secret *s)
{
    int fd = (int)syscall(SYS_memfd_secret, SECRET_CLOEXEC);
    if (fd < 0)
        return false;
    void *p = MAP_FAILED;
    if (ftruncate(fd, LIMIT_SECRET_PAGE) == 0)
        p = mmap(NULL, LIMIT_SECRET_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED)
        return false;
    /* A forked child must not inherit it: WIPEONFORK is refused for shared mappings, DONTFORK
     * works. */
    if (madvise(p, LIMIT_SECRET_PAGE, MADV_DONTFORK) != 0) {
        munmap(p, LIMIT_SECRET_PAGE);
        return false;
    }
    *s = (struct secret){.data = p, .size = LIMIT_SECRET_PAGE, .memfd = true, .locked = true};
    return true;
}

int secret_init(struct secret *s)
{
    *s = (struct secret){0};
    if (map_memfd_secret(s))
        return 0;
    void *p =
        mmap(NULL, LIMIT_SECRET_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -1;
    if (madvise(p, LIMIT_SECRET_PAGE, MADV_DONTDUMP) != 0 ||
        madvise(p, LIMIT_SECRET_PAGE, MADV_WIPEONFORK) != 0) {
        munmap(p, LIMIT_SECRET_PAGE);
        return -1;
    }
    *s = (struct secret){
        .data = p, .size = LIMIT_SECRET_PAGE, .locked = mlock(p, LIMIT_SECRET_PAGE) == 0};
    return 0;
}

void secret_finish(struct secret *s)
{
    if (!s->data)
        return;
    explicit_bzero(s->data, s->size);
    munmap(s->data, s->size);
    *s = (struct secret){0};
}
