/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A main for a harness where there is no libFuzzer: each argument is a file, or a folder of files,
 * that is given to it once, cut short as well. Ends by abort, or a sanitizer's report, where a
 * property fails; 1 when there is nothing to read.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 1048576

static size_t count;
static char *input;

static bool replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return false;
    }
    size_t n = fread(input, 1, INPUT_MAX, f);
    fclose(f);
    static const size_t parts[] = {1, 2, 7};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        /* In a block of its own size, so that reading past its end shows. */
        size_t len = n - n / 8 * (parts[i] - 1);
        uint8_t *exact = malloc(len ? len : 1);
        if (!exact)
            return false;
        memcpy(exact, input, len);
        LLVMFuzzerTestOneInput(exact, len);
        free(exact);
    }
    count++;
    return true;
}

/* Names first: no descriptor is open while a harness runs, some want fixed numbers. */
static bool replay_folder(const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    bool ok = n >= 0;
    for (int i = 0; i < n; i++) {
        char name[4096];
        int len = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        if (ok && entries[i]->d_name[0] != '.')
            ok = len > 0 && (size_t)len < sizeof name && replay(name);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    else
        perror(path);
    return ok;
}

int main(int argc, char **argv)
{
    struct stat st;
    input = malloc(INPUT_MAX);
    bool ok = input;
    for (int i = 1; ok && i < argc; i++)
        ok = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode) ? replay_folder(argv[i])
                                                            : replay(argv[i]);
    printf("%zu inputs\n", count);
    free(input);
    return ok && count > 0 ? 0 : 1;
}
