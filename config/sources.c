/* SPDX-License-Identifier: Apache-2.0 */
#include "config/sources.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "ipc/memfd.h"
#include "config/ca.h"

_Static_assert(RLIM_NLIMITS == START_LIMITS, "every limit is saved");
_Static_assert(RLIM_INFINITY == UINT64_MAX, "unlimited as exec_limit has it");

int start_state_record(struct start_state *s)
{
    sigset_t blocked;
    *s = (struct start_state){0};
    for (int i = 0; i < START_LIMITS; i++) {
        struct rlimit r;
        if (getrlimit((__rlimit_resource_t)i, &r) != 0)
            return -1;
        s->limits[i] = (struct exec_limit){.soft = r.rlim_cur, .hard = r.rlim_max};
    }
    if (sigprocmask(SIG_BLOCK, NULL, &blocked) != 0)
        return -1;
    for (int n = 1; n <= 64; n++) {
        struct sigaction now;
        if (sigaction(n, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
            s->ignored |= UINT64_C(1) << (n - 1);
        if (sigismember(&blocked, n) == 1)
            s->blocked |= UINT64_C(1) << (n - 1);
    }
    s->umask = umask(077);
    return 0;
}

int ca_bundle(const struct options *o)
{
    const char *path, *why;
    char origin[512];
    size_t len;
    char *pem = ca_read(o, &len, &path, &why);
    if (!pem && o->values[OPT_CA_FILE].text)
        log_error("%s: the CA certificates in %s are not usable: %s",
                  options_origin(o, OPT_CA_FILE, origin, sizeof origin), path, why);
    else if (!pem && path)
        log_error("the CA certificates in %s are not usable: %s", path, why);
    else if (!pem)
        log_error("%s", why);
    if (!pem)
        return -1;
    int fd = memfd_of("ca", pem, len);
    if (fd < 0)
        log_error("the CA certificates cannot be passed on: %s", strerror(errno));
    free(pem);
    return fd;
}

static bool is_service_variable(const char *entry)
{
    static const char *const names[] = {"TOWER_ACCESS_TOKEN=",
                                        "NOTIFY_SOCKET=",
                                        "WATCHDOG_PID=",
                                        "WATCHDOG_USEC=",
                                        "CREDENTIALS_DIRECTORY=",
                                        "LISTEN_FDS=",
                                        "LISTEN_PID=",
                                        "LISTEN_FDNAMES=",
                                        "FDSTORE=",
                                        "MAINPID="};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

int environment_memfd(char *const *environment)
{
    struct buf all;
    int fd = -1;
    buf_init(&all, LIMIT_ENVIRONMENT);
    bool ok = true;
    for (char *const *entry = environment; *entry && ok; entry++)
        if (!is_service_variable(*entry))
            ok = buf_append(&all, *entry, strlen(*entry) + 1);
    if (ok)
        fd = memfd_of("environment", buf_len(&all) ? buf_data(&all) : "", buf_len(&all));
    if (fd < 0)
        log_error("the environment cannot be passed on: %s", ok ? strerror(errno) : "too large");
    buf_finish(&all);
    return fd;
}
