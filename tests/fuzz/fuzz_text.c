/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text from elsewhere: escapes, percent-encoding, state names, numbers, redaction. What is written
 * is safe where it is written to, never half an escape, and holds no secret that was announced.
 *
 * Input: the text.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "policy/redact.h"
#include "tests/fuzz/fuzz.h"

#define SECRET "Z9q7Yx2WZ9q7Yx2W"

static void check_escape(struct span text)
{
    char out[512], small[16];
    for (int json = 0; json < 2; json++) {
        size_t n = text_escape(out, sizeof out, text.data, text.len, json);
        CHECK(n == strlen(out) && n < sizeof out && text_is_utf8(out, n));
        for (size_t i = 0; i < n; i++)
            CHECK((unsigned char)out[i] >= 0x20 && out[i] != 0x7f);
        CHECK(!strstr(out, "\xe2\x80\xae") && !strstr(out, "\xc2\x9b"));
        size_t m = text_escape(small, sizeof small, text.data, text.len, json);
        CHECK(m < sizeof small && memcmp(small, out, m) == 0);
        for (size_t i = 0; json && i < n; i++)
            if (out[i] == '\\')
                i += out[i + 1] == 'u' ? 5 : 1, CHECK(i < n);
            else
                CHECK(out[i] != '"');
    }
}

static int unhex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decoded it is the text again. */
static void check_percent(struct span text)
{
    char out[3 * 4096 + 1];
    size_t at = 0;
    if (!text_percent_encode(out, sizeof out, text.data, text.len)) {
        CHECK(text.len > 4096);
        return;
    }
    CHECK(strcmp(out, ".") != 0 && strcmp(out, "..") != 0 && !strpbrk(out, "/?# "));
    for (const char *c = out; *c; c++) {
        int byte = (unsigned char)*c;
        if (*c == '%') {
            byte = unhex(c[1]) << 4 | unhex(c[2]);
            c += 2;
        }
        CHECK(at < text.len && byte == (unsigned char)text.data[at++]);
    }
    CHECK(at == text.len);
}

static void check_state_name(const char *text)
{
    char name[4 * LIMIT_CONNECTION_ID];
    if (!text_state_name(name, sizeof name, text, "host"))
        return;
    CHECK(*name);
    for (char *part = name, *end; part; part = end ? end + 1 : NULL) {
        end = strchr(part, '/');
        size_t n = end ? (size_t)(end - part) : strlen(part);
        CHECK(n > 0 && n <= 255 && part[0] != '.');
    }
}

static void check_number(const char *text)
{
    uint64_t value, again;
    if (!text_number(text, UINT64_MAX, &value))
        return;
    CHECK(text_number(text, value, &again) && again == value);
    CHECK(value == 0 || !text_number(text, value - 1, &again));
}

static bool has_secret(const char *out)
{
    return strstr(out, SECRET);
}

/* The secret behind the text, where the text ends with what announces one. */
static void check_redact(struct span text)
{
    static const char *const announced[] = {" TOWER_ACCESS_TOKEN=", " Bearer ", "/ephemeral/",
                                            " x://user:", " eyJ"};
    size_t size = text.len + 128;
    char *in = malloc(size), *out = malloc(4 * size);
    CHECK(in && out);
    redact(out, 4 * size, text);
    CHECK(strlen(out) < 4 * size);
    for (size_t i = 0; i < sizeof announced / sizeof *announced; i++) {
        size_t n = strlen(announced[i]);
        if (text.len)
            memcpy(in, text.data, text.len);
        memcpy(in + text.len, announced[i], n);
        memcpy(in + text.len + n, SECRET "@h ", sizeof SECRET + 2);
        struct span whole = {in, text.len + n + sizeof SECRET + 2};
        CHECK(!has_secret(redact(out, 4 * size, whole)) || memmem(text.data, text.len, SECRET, 16));
        redact_foreign(out, 4 * size, whole);
        CHECK(!has_secret(out) || memmem(text.data, text.len, SECRET, 16));
    }
    free(in);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    char *copy = span_dup(text);
    CHECK(copy);
    check_escape(text);
    check_percent(text);
    check_state_name(copy);
    check_number(copy);
    check_redact((struct span){copy, size});
    free(copy);
    return 0;
}
