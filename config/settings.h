/* SPDX-License-Identifier: Apache-2.0 */
/* What the options mean: typed, checked, with defaults filled in. */
#ifndef TW_CONFIG_SETTINGS_H
#define TW_CONFIG_SETTINGS_H

#include "base/limits.h"
#include "base/log.h"
#include "ipc/birth.h"
#include "sandbox/enforce.h"
#include "config/options.h"
#include "config/proxy.h"
#include "config/url.h"

struct settings {
    const char *connection_id;
    struct url url;
    struct proxy proxy;
    uint64_t numbers[OPTIONS]; /* of numbers, durations and choices */
    enum log_level log_level;
    char pins[LIMIT_PINS * LIMIT_PIN_BYTES];
    size_t pins_len;
    char set_env[8192]; /* NUL-separated */
    size_t set_env_len;
    char pass_env[4096]; /* NUL-separated */
    size_t pass_env_len;
    enum env_from env_from;
    const char *env_file;
    struct requirements requirements;
    bool system_mode;
};

/* Judges everything that can be judged without looking at the system. 0, or an exit code after an
 * error is logged for each mistake. The texts of *o must outlive *s. */
int settings_take(struct settings *s, const struct options *o);

/* Reads variables and configuration file, and judges the whole likewise: what is good in a file
 * that has mistakes is judged as well, so that all of them are told at once. */
int settings_read(struct settings *s, struct options *o);

/* The text of an option, or what is standard; "" when there is neither. */
const char *settings_text(const struct options *o, enum option_id id);

#endif
