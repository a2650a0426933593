/* SPDX-License-Identifier: Apache-2.0 */
/* The work directory: resolved, checked, missing, removed, hanging. */
#include "tests/exec/driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Starts with this directory and expects this errno (0: ready, with resolved). */
static void check(struct options *o, const char *path, int error, const char *resolved)
{
    struct driver d;
    o->config.work_dir = span_of(path);
    driver_start(&d, o);
    assert_int_equal(d.error, error);
    assert_string_equal(d.work_dir, resolved ? resolved : path);
    if (error == 0) {
        char expected[256];
        snprintf(expected, sizeof expected, "%s\n", resolved);
        driver_expect(&d, "pwd", 0, expected);
        driver_expect(&d, "echo $TW_AGENT_WORK", 0, expected);
    } else {
        struct result r = driver_run(&d, "echo never");
        assert_int_equal(r.status, 126);
        assert_non_null(strstr(r.output, strerror(error)));
        result_finish(&r);
    }
    driver_stop(&d);
}

static void resolved(void **state)
{
    struct options o;
    char path[256], link[128], real[128];
    (void)state;
    options_init(&o);
    snprintf(real, sizeof real, "%s/deep/work", o.work_dir);
    snprintf(path, sizeof path, "%s/deep", o.work_dir);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(mkdir(real, 0755), 0);
    snprintf(path, sizeof path, "%s//./deep/../deep/work/.", o.work_dir);
    check(&o, path, 0, real);
    /* The name that people know stays; only where it would be another directory it does not. */
    snprintf(link, sizeof link, "%s/link", o.work_dir);
    assert_int_equal(symlink(real, link), 0);
    check(&o, link, 0, link);
    snprintf(path, sizeof path, "%s/../work", link);
    check(&o, path, 0, real);
    assert_int_equal(chdir(o.work_dir), 0);
    check(&o, "deep/work", 0, real);
    check(&o, "./", 0, o.work_dir);
    assert_int_equal(chdir("/"), 0);
    options_finish(&o);
}

static void unusable(void **state)
{
    struct options o;
    char path[256];
    (void)state;
    options_init(&o);
    snprintf(path, sizeof path, "%s/missing", o.work_dir);
    check(&o, path, ENOENT, NULL);
    check(&o, "/dev/null", ENOTDIR, NULL);
    snprintf(path, sizeof path, "%s/closed", o.work_dir);
    assert_int_equal(mkdir(path, 0), 0);
    if (geteuid() == 0)
        options_run_as(&o, DRIVER_USER);
    check(&o, path, EACCES, NULL);
    options_finish(&o);
}

static void removed(void **state)
{
    struct options o;
    struct driver d;
    char path[128];
    struct stat st;
    (void)state;
    options_init(&o);
    snprintf(path, sizeof path, "%s/work", o.work_dir);
    assert_int_equal(mkdir(path, 0755), 0);
    o.config.work_dir = span_of(path);
    driver_start(&d, &o);
    driver_expect(&d, "echo here", 0, "here\n");
    assert_int_equal(rmdir(path), 0);
    struct result r = driver_run(&d, "echo never");
    assert_int_equal(r.status, 126);
    assert_non_null(strstr(r.output, strerror(ENOENT)));
    result_finish(&r);
    assert_int_equal(mkdir(path, 0755), 0);
    driver_expect(&d, "touch back; echo again", 0, "again\n");
    snprintf(path, sizeof path, "%s/work/back", o.work_dir);
    assert_int_equal(stat(path, &st), 0);
    driver_stop(&d);
    options_finish(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolved),
        cmocka_unit_test(unusable),
        cmocka_unit_test(removed),
    };
    if (!tests_become())
        return TESTS_SKIPPED;
    return cmocka_run_group_tests_name("exec.workdir", tests, NULL, NULL);
}
