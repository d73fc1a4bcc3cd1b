/* fetch.c - see fetch.h. */
#include "cmd/fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
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

static void set_up(CURL *curl, const struct fetch_server *s, const char *url, struct buf *answer)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (s->ca)
        curl_easy_setopt(curl, CURLOPT_CAINFO, s->ca);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, s->insecure ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, s->insecure ? 0L : 2L);
}

static struct curl_slist *set_body(CURL *curl, const char *method, const char *text)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (text)
        curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, text);
    return headers;
}

static enum status status_of(long http)
{
    switch (http) {
    case 401:
    case 403:
        return ST_DENIED;
    case 404:
        return ST_NOT_FOUND;
    case 409:
        return ST_CONFLICT;
    case 429:
    case 503:
        return ST_AGAIN;
    default:
        return http >= 400 && http < 500 ? ST_INVALID : ST_NETWORK;
    }
}

/* What the server says of its refusal; any other answer is none of ours. */
static enum status refused(const char *url, long http, const struct buf *answer, struct error *err)
{
    json_t *o = json_loadb((const char *)answer->data, answer->size_bytes, 0, NULL);
    const char *why = json_string_value(json_object_get(o, "error"));
    enum status st;
    if (why)
        st = error_set(err, status_of(http), "the server answers %ld: %.400s", http, why);
    else
        st = error_set(err, ST_NETWORK, "%.400s does not answer as a server of ours: HTTP %ld", url,
                       http);
    json_decref(o);
    return st;
}

static enum status take_answer(const char *url, long http, const struct buf *answer, json_t **ret,
                               struct error *err)
{
    json_t *o = NULL;
    if (http < 200 || http > 299)
        return refused(url, http, answer, err);
    if (http != 204 && !(o = json_loadb((const char *)answer->data, answer->size_bytes, 0, NULL)))
        return error_set(err, ST_FORMAT, "%.400s does not answer with JSON", url);
    *ret = o;
    return ST_OK;
}

/* method NULL: GET. */
static enum status ask(const struct fetch_server *s, const char *url, const char *method,
                       const char *text, json_t **ret, struct error *err)
{
    struct buf answer;
    long http = 0;
    CURL *curl = curl_easy_init();
    if (!curl)
        return error_set(err, ST_NOMEM, "no memory for a request");
    buf_init(&answer);
    set_up(curl, s, url, &answer);
    struct curl_slist *headers = method ? set_body(curl, method, text) : NULL;
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    enum status st = code == CURLE_OK ? take_answer(url, http, &answer, ret, err)
                                      : error_set(err, ST_NETWORK,
                                                  "%.400s does not answer as a server of ours: %s",
                                                  url, curl_easy_strerror(code));
    buf_clear(&answer);
    return st;
}

static enum status make_url(const struct fetch_server *s, const char *path, char url[1024],
                            struct error *err)
{
    size_t n = strlen(s->url);
    if (n > 0 && s->url[n - 1] == '/')
        n--;
    if (snprintf(url, 1024, "%.*s%s", (int)n, s->url, path) >= 1024)
        return error_set(err, ST_INVALID, "the server's address is too long");
    return ST_OK;
}

enum status fetch_json(const struct fetch_server *server, const char *path, json_t **ret,
                       struct error *err)
{
    char url[1024];
    enum status st = make_url(server, path, url, err);
    return st == ST_OK ? ask(server, url, NULL, NULL, ret, err) : st;
}

enum status fetch_send(const struct fetch_server *server, const char *method, const char *path,
                       const json_t *body, json_t **ret, struct error *err)
{
    char url[1024];
    enum status st = make_url(server, path, url, err);
    if (st != ST_OK)
        return st;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    if (body && !text)
        return error_set(err, ST_NOMEM, "no memory for a request");
    st = ask(server, url, method, text, ret, err);
    free(text);
    return st;
}

enum status fetch_saved(const char *path, json_t **ret, struct error *err)
{
    json_error_t why;
    *ret = strcmp(path, "-") == 0 ? json_loadf(stdin, 0, &why) : json_load_file(path, 0, &why);
    return *ret ? ST_OK : error_set(err, ST_FORMAT, "%s: %s", path, why.text);
}
