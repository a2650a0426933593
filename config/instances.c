/* SPDX-License-Identifier: Apache-2.0 */
#include "config/instances.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

#define SYSTEM_DIRECTORY "/etc/tw-agent"

bool instance_name_valid(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return len > 0 && len <= INSTANCE_NAME_MAX && name[len] == '\0' && name[0] != '.' &&
           name[0] != '-';
}

bool instance_directory(bool system_mode, char *out, size_t size)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n = -1;
    if (system_mode)
        n = snprintf(out, size, SYSTEM_DIRECTORY);
    else if (xdg && xdg[0] == '/')
        n = snprintf(out, size, "%s/tw-agent", xdg);
    else if (home && home[0] == '/')
        n = snprintf(out, size, "%s/.config/tw-agent", home);
    return n > 0 && (size_t)n < size;
}

bool instance_file(const char *name, const char *suffix, bool system_mode, char *out, size_t size)
{
    char directory[LIMIT_PATH + 1];
    if (!instance_name_valid(name) || !instance_directory(system_mode, directory, sizeof directory))
        return false;
    int n = snprintf(out, size, "%s/%s%s", directory, name, suffix);
    return n > 0 && (size_t)n < size;
}
