/* SPDX-License-Identifier: Apache-2.0 */
#include "net/session/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/fds.h"
#include "ipc/birth.h"
#include "ipc/probes.h"
#include "net/session/session.h"

/* A program or configuration file beyond this is none of ours. */
#define FILE_MAX (256 * 1024 * 1024)

/* 32 bytes, or 0: cannot be read. */
static unsigned digest(int fd, unsigned char out[EVP_MAX_MD_SIZE])
{
    char block[16384];
    unsigned len = 0;
    off_t at = 0;
    ssize_t n = -1;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    while (ok && at < FILE_MAX && (n = pread(fd, block, sizeof block, at)) > 0) {
        ok = EVP_DigestUpdate(md, block, (size_t)n) == 1;
        at += n;
    }
    if (!ok || n != 0 || EVP_DigestFinal_ex(md, out, &len) != 1)
        len = 0;
    EVP_MD_CTX_free(md);
    return len;
}

/* What the parent queued behind the configuration. It is read here and now: nothing else comes on
 * that channel for a trial. */
enum verdict trial_digest(void *context, const struct msg_digest *m, int *fd)
{
    struct session *s = context;
    struct packet p;
    const char *why;
    unsigned char bytes[EVP_MAX_MD_SIZE];
    (void)m;
    (void)fd;
    if (s->purpose != PURPOSE_TRIAL || fds_set_nonblocking(BIRTH_FD_FIRST, true) != 0)
        return VERDICT_HOSTILE;
    while (packet_receive(BIRTH_FD_FIRST, &p, PARENT_TO_SESSION, PHASE_RUN, &why) == PACKET_OK) {
        struct msg_digested answer = {.name = p.message.program.name,
                                      .sha256 = {(const char *)bytes, digest(p.fd, bytes)}};
        bool sent = p.type == MSG_program && send_digested(s->core, &answer, -1) == 0;
        fds_close(&p.fd);
        if (!sent)
            return VERDICT_HOSTILE;
    }
    return VERDICT_OK;
}

static long attempt(enum trial what)
{
    char *const none[] = {NULL};
    switch (what) {
    case TRIAL_open:
        /* The launcher's domain, which is ours too, lets it pass. */
        return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    case TRIAL_socket:
        return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    case TRIAL_execute:
        /* A directory: it comes back, and whatever it comes back with, the sandbox let it pass. */
        return execve("/", none, none);
    case TRIAL_fork: {
        long pid = syscall(SYS_clone, SIGCHLD, 0L, 0L, 0L, 0L);
        if (pid == 0)
            _exit(0);
        return pid;
    }
    case TRIALS:
        break;
    }
    errno = EINVAL;
    return -1;
}

enum verdict trial_try(void *context, const struct msg_trial *m, int *fd)
{
    struct session *s = context;
    (void)fd;
    if (s->purpose != PURPOSE_TRIAL || m->what >= TRIALS)
        return VERDICT_HOSTILE;
    /* The line that names a violation is for those that are not meant. */
    close(STDERR_FILENO);
    struct msg_survived answer = {.error = attempt((enum trial)m->what) < 0 ? (uint64_t)errno : 0};
    send_survived(s->core, &answer, -1);
    session_leave(s);
    return VERDICT_OK;
}
