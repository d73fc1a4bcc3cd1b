/* What is shown of a URL: ends within its buffer, is redacted already, and nothing that stands
 * before the host or is called a password is in it. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/url.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static void redact_twice(const char *url, size_t size)
{
    char once[URL_SHOWN_BYTES], twice[URL_SHOWN_BYTES];
    memset(once, 'x', sizeof once);
    url_redact(url, once, size);
    assert(memchr(once, '\0', size));
    url_redact(once, twice, size);
    assert(strcmp(once, twice) == 0);
}

/* The input as user, path and query around a password that must not be shown. */
static void hide(const char *text)
{
    static const char secret[] = "Zs3cr3tZ";
    size_t size = 2 * strlen(text) + 128;
    char *url = malloc(size), shown[URL_SHOWN_BYTES];
    if (!url || strstr(text, secret)) {
        free(url);
        return;
    }
    snprintf(url, size, "rtsp://%.*s:%s@host/%s", (int)strcspn(text, "/?#"), text, secret, text);
    url_redact(url, shown, sizeof shown);
    assert(!strstr(shown, secret));
    snprintf(url, size, "http://host/%s?password=%s&%s", text, secret, text);
    url_redact(url, shown, sizeof shown);
    assert(!strstr(shown, secret));
    free(url);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
    char *text = malloc(n + 1);
    if (!text)
        return 0;
    memcpy(text, data, n);
    text[n] = '\0';
    redact_twice(text, URL_SHOWN_BYTES);
    redact_twice(text, n > 0 ? 1 + data[0] % 40 : 1);
    hide(text);
    free(text);
    return 0;
}
