/* Receivers and kinds of events as settings name them, and any bytes as a value in a line of the
 * log: a line stays one line, whatever is in it. */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_line.h"
#include "notify/webhook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_lists(const char *urls, const char *kinds)
{
    struct error err = {0};
    char host[WEBHOOK_HOST_CHARS_MAX + 1];
    if (webhook_lists_check(urls, kinds, &err) != ST_OK)
        assert(err.message[0]);
    char shown[WEBHOOK_LIST_BYTES_MAX];
    webhook_list_show(urls, shown, sizeof shown);
    assert(strlen(shown) < sizeof shown && !strpbrk(shown, "?#@"));
    if (webhook_url_is_valid(urls, host)) { /* what may be shown holds no credentials, no path */
        assert(host[0] && !strpbrk(host, "/?#@ "));
        assert(strstr(urls, host));
    }
}

static void check_line(enum log_format format, const char *fields, ...)
{
    char line[LOG_LINE_BYTES_MAX];
    const struct log_head head = {
        .format = format, .level = 1, .wall_us = 1795320604123456, .event = "e"};
    va_list args;
    va_start(args, fields);
    size_t n = log_line_write(line, &head, fields, args);
    va_end(args);
    assert(n > 0 && n <= sizeof line && line[n - 1] == '\n');
    for (size_t i = 0; i + 1 < n; i++)
        assert((unsigned char)line[i] >= ' ' && line[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *end = n ? memchr(data, '\n', n) : NULL;
    size_t head = end ? (size_t)(end - data) : n;
    char *text = malloc(n + 2);
    if (!text)
        return 0;
    if (n)
        memcpy(text, data, n);
    text[head] = text[n] = text[n + 1] = '\0';
    check_lists(text, head < n ? text + head + 1 : "");
    check_line(LOG_LOGFMT, "why=\"%s\" bare=%s", text, text);
    check_line(LOG_JSON, "why=\"%s\" bare=%s", text, text);
    check_line(LOG_JOURNALD, "why=\"%s\"", text);
    free(text);
    return 0;
}
