/* SPDX-License-Identifier: Apache-2.0 */
#include "config/ca.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "config/files.h"

static const char *system_bundle(void)
{
    /* Debian and SUSE; Red Hat; older SUSE; Alpine and the BSDs' layout. */
    static const char *const paths[] = {"/etc/ssl/certs/ca-certificates.crt",
                                        "/etc/pki/tls/certs/ca-bundle.crt",
                                        "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (access(paths[i], R_OK) == 0)
            return paths[i];
    return NULL;
}

char *ca_read(const struct options *o, size_t *len, const char **path, const char **why)
{
    struct stat st;
    *path = o->values[OPT_CA_FILE].text;
    if (!*path && !(*path = system_bundle())) {
        *why = "this system has no CA certificates: install ca-certificates, or give "
               "--ca-file FILE";
        return NULL;
    }
    char *pem = file_read(*path, LIMIT_CA_BUNDLE, len, &st, why);
    /* "BEGIN CERTIFICATE" or "BEGIN TRUSTED CERTIFICATE"; a key alone will not do. */
    if (pem &&
        !(memmem(pem, *len, "-----BEGIN", 10) && memmem(pem, *len, "CERTIFICATE-----", 16))) {
        free(pem);
        pem = NULL;
        *why = "it holds no certificate in PEM";
    }
    return pem;
}
