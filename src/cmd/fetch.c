/* fetch.c - see fetch.h. */
#include "cmd/fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

#define TIMEOUT_S 10L

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct buf *b = context;
    size_t n = size * count;
    if (n > FETCH_BYTES_MAX - b->size_bytes)
        return 0;
    buf_put(b, data, n);
    return b->failed ? 0 : n;
}

static void set_up(CURL *curl, const char *url, const char *ca, bool insecure, struct buf *body)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    if (ca)
        curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, insecure ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, insecure ? 0L : 2L);
}

enum status fetch_json(const char *base, const char *path, const char *ca, bool insecure,
                       json_t **ret, struct error *err)
{
    char url[1024];
    struct buf body;
    size_t n = strlen(base);
    if (n > 0 && base[n - 1] == '/')
        n--;
    if (snprintf(url, sizeof url, "%.*s%s", (int)n, base, path) >= (int)sizeof url)
        return error_set(err, ST_INVALID, "the server's address is too long");
    CURL *curl = curl_easy_init();
    if (!curl)
        return error_set(err, ST_NOMEM, "no memory for a request");
    buf_init(&body);
    set_up(curl, url, ca, insecure, &body);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    enum status st = ST_OK;
    if (code != CURLE_OK)
        st = error_set(err, ST_NETWORK, "%s does not answer as a server of ours: %s", url,
                       curl_easy_strerror(code));
    else if (!(*ret = json_loadb((const char *)body.data, body.size_bytes, 0, NULL)))
        st = error_set(err, ST_FORMAT, "%s does not answer with JSON", url);
    buf_clear(&body);
    return st;
}

enum status fetch_saved(const char *path, json_t **ret, struct error *err)
{
    json_error_t why;
    *ret = strcmp(path, "-") == 0 ? json_loadf(stdin, 0, &why) : json_load_file(path, 0, &why);
    return *ret ? ST_OK : error_set(err, ST_FORMAT, "%s: %s", path, why.text);
}
