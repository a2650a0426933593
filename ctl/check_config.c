/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/check.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/ca.h"
#include "config/config.h"

void check_configuration(struct check *c)
{
    struct options *o = &c->options;
    const char *file = o->values[OPT_CONFIG].text;
    c->capturing = "configuration";
    bool read = config_read(o) == 0;
    c->has_id = options_connection_id(o) != NULL;
    if (!c->has_id)
        o->connection_id = "check";
    /* What is good in a file with mistakes is judged as well. */
    c->has_settings = settings_take(&c->settings, o) == 0 && read;
    if (c->has_settings)
        findings_add(&c->findings, "configuration", FINDING_OK, NULL, "%s",
                     file ? file : "no file; options and variables are in order");
    else
        c->settings.system_mode = geteuid() == 0;
    c->capturing = "users";
    c->has_users = c->has_settings && users_find(&c->users, &c->settings, o) == 0;
    facts_take(&c->facts, &c->settings, &c->users);
    if (c->has_users && c->settings.system_mode)
        findings_add(&c->findings, "users", FINDING_OK, NULL,
                     "tw-agent, %s for the network, %s for commands",
                     settings_text(o, OPT_NET_USER), c->users.name);
    else if (c->has_users)
        findings_add(&c->findings, "users", FINDING_OK, NULL, "all as %s", c->users.name);
}

/* How many certificates there are, how many of them hold now, and whether all could be read. */
static bool count_certificates(const char *pem, size_t len, unsigned *all, unsigned *valid)
{
    BIO *in = BIO_new_mem_buf(pem, (int)len);
    X509 *certificate;
    *all = *valid = 0;
    while (in && (certificate = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL))) {
        ++*all;
        *valid += X509_cmp_current_time(X509_get0_notBefore(certificate)) < 0 &&
                  X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
        X509_free(certificate);
    }
    BIO_free(in);
    return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

static void check_ca(struct check *c)
{
    struct findings *f = &c->findings;
    const char *path, *why, *remedy = "give a PEM file of certificates by --ca-file";
    size_t len;
    unsigned all, valid;
    char *pem = ca_read(&c->options, &len, &path, &why);
    if (!pem) {
        findings_add(f, "ca-certificates", FINDING_ERROR, path ? remedy : NULL, "%s%s%s",
                     path ? path : "", path ? ": " : "", why);
        return;
    }
    bool whole = count_certificates(pem, len, &all, &valid);
    free(pem);
    if (!whole)
        findings_add(f, "ca-certificates", all > 0 ? FINDING_WARNING : FINDING_ERROR, remedy,
                     "%s: certificate %u cannot be read", path, all + 1);
    else if (valid == 0)
        findings_add(f, "ca-certificates", FINDING_ERROR, remedy,
                     "%s: of %u certificates none is valid today", path, all);
    else
        findings_add(f, "ca-certificates", FINDING_OK, NULL, "%s: %u certificates", path, all);
}

void check_network(struct check *c)
{
    const struct settings *s = &c->settings;
    check_ca(c);
    if (!c->has_settings)
        return;
    findings_add(&c->findings, "url", FINDING_OK, NULL, "%s", s->url.text);
    if (*s->proxy.address)
        findings_add(&c->findings, "proxy", FINDING_OK, NULL, "%s%s", s->proxy.address,
                     *s->proxy.credentials ? ", with a password" : "");
}
