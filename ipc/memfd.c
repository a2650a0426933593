/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fds.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3; sites with vm.memfd_noexec=2 demand it */
#endif
#define SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

int memfd_new(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

int memfd_seal(int fd)
{
    return fcntl(fd, F_ADD_SEALS, SEALS);
}

int memfd_of(const char *name, const void *data, size_t len)
{
    int fd = memfd_new(name);
    if (fd < 0)
        return -1;
    if (fds_write(fd, data, len) != 0 || memfd_seal(fd) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

bool memfd_check(int fd, size_t max, size_t *size)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) != 0)
        return false;
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || (unsigned long long)st.st_size > max)
        return false;
    *size = (size_t)st.st_size;
    return true;
}

int memfd_map(struct memfd_map *map, int fd, size_t max)
{
    size_t size;
    *map = (struct memfd_map){{NULL, 0}, NULL};
    if (!memfd_check(fd, max, &size)) {
        errno = EINVAL;
        return -1;
    }
    if (size == 0)
        return 0;
    void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return -1;
    map->bytes = (struct span){p, size};
    map->address = p;
    return 0;
}

void memfd_unmap(struct memfd_map *map)
{
    if (map->address)
        munmap(map->address, map->bytes.len);
    *map = (struct memfd_map){{NULL, 0}, NULL};
}
