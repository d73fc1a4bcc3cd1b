#include "notify/webhook.h"

#include <curl/curl.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "notify/envelope.h"

bool webhook_url_is_valid(const char *url, char *ret_host)
{
    const char *at = strncmp(url, "https://", 8) == 0  ? url + 8
                     : strncmp(url, "http://", 7) == 0 ? url + 7
                                                       : NULL;
    if (!at)
        return false;
    size_t n = strcspn(at, "/?#");
    const char *user = memchr(at, '@', n);
    if (user) {
        n -= (size_t)(user + 1 - at);
        at = user + 1;
    }
    for (size_t i = 0; i < n; i++)
        if (at[i] <= ' ' || at[i] > '~' || at[i] == '@')
            return false;
    if (n < 1 || n > WEBHOOK_HOST_CHARS_MAX)
        return false;
    memcpy(ret_host, at, n);
    ret_host[n] = '\0';
    return true;
}

void webhook_list_show(const char *urls, char *ret, size_t size_bytes)
{
    char list[WEBHOOK_LIST_BYTES_MAX], host[WEBHOOK_HOST_CHARS_MAX + 1], *at;
    size_t used = 0;
    snprintf(list, sizeof list, "%s", urls);
    ret[0] = '\0';
    for (char *url = strtok_r(list, WEBHOOK_SEPARATORS, &at); url && used < size_bytes;
         url = strtok_r(NULL, WEBHOOK_SEPARATORS, &at)) {
        bool valid = webhook_url_is_valid(url, host);
        const char *rest = valid ? strstr(url + strcspn(url, "/") + 2, host) + strlen(host) : "";
        int n = snprintf(ret + used, size_bytes - used, "%s%.*s%s%s", used ? " " : "",
                         valid ? (int)strcspn(url, "/") + 2 : 0, url, valid ? host : "***",
                         rest[0] && strcmp(rest, "/") != 0 ? "/***" : rest);
        used += n > 0 ? (size_t)n : 0;
    }
}

static enum status check_urls(char *list, struct error *err)
{
    char host[WEBHOOK_HOST_CHARS_MAX + 1], *at;
    int count = 0;
    for (char *url = strtok_r(list, WEBHOOK_SEPARATORS, &at); url;
         url = strtok_r(NULL, WEBHOOK_SEPARATORS, &at)) {
        if (++count > WEBHOOKS_MAX)
            return error_set(err, ST_INVALID, "there may be %d webhooks", WEBHOOKS_MAX);
        if (!webhook_url_is_valid(url, host))
            return error_set(err, ST_INVALID,
                             "webhook %d is no URL that begins with http:// or https://", count);
    }
    return ST_OK;
}

static enum status check_kinds(char *list, struct error *err)
{
    const char *topic, *type;
    char *at;
    int count = 0;
    for (char *kind = strtok_r(list, WEBHOOK_SEPARATORS, &at); kind;
         kind = strtok_r(NULL, WEBHOOK_SEPARATORS, &at))
        if (!envelope_kind(kind, &topic, &type) || ++count > WEBHOOK_KINDS_MAX)
            return error_set(
                err, ST_INVALID,
                "webhook_events: no event '%.40s' is told; docs/api.md lists the kinds "
                "of GET /v1/events, of which those about single frames and plans are "
                "not told",
                kind);
    return ST_OK;
}

enum status webhook_lists_check(const char *urls, const char *kinds, struct error *err)
{
    char copy[WEBHOOK_LIST_BYTES_MAX];
    if (strlen(urls) >= sizeof copy || strlen(kinds) >= sizeof copy)
        return error_set(err, ST_INVALID, "a list of webhooks is too long");
    memcpy(copy, urls, strlen(urls) + 1);
    enum status st = check_urls(copy, err);
    memcpy(copy, kinds, strlen(kinds) + 1);
    return st == ST_OK ? check_kinds(copy, err) : st;
}

void webhook_sign(const void *secret, size_t secret_bytes, uint64_t now_s, const char *body,
                  char ret[WEBHOOK_SIGNATURE_CHARS_MAX + 1])
{
    unsigned char mac[32];
    char time[32];
    gnutls_hmac_hd_t h;
    int n = snprintf(time, sizeof time, "%llu", (unsigned long long)now_s);
    ret[0] = '\0';
    if (gnutls_hmac_init(&h, GNUTLS_MAC_SHA256, secret, secret_bytes) != 0)
        return;
    gnutls_hmac(h, time, (size_t)n);
    gnutls_hmac(h, ".", 1);
    gnutls_hmac(h, body, strlen(body));
    gnutls_hmac_deinit(h, mac);
    n = snprintf(ret, WEBHOOK_SIGNATURE_CHARS_MAX + 1, "t=%s,v1=", time);
    for (size_t i = 0; i < sizeof mac; i++)
        n += snprintf(ret + n, (size_t)(WEBHOOK_SIGNATURE_CHARS_MAX + 1 - n), "%02x", mac[i]);
}

/* What it answers is of no interest. */
static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    (void)data;
    (void)context;
    return size * count;
}

struct stopping {
    bool (*stop)(void *context);
    void *context;
};

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    const struct stopping *s = context;
    return s->stop && s->stop(s->context);
}

static struct curl_slist *headers_of(const void *secret, size_t secret_bytes,
                                     const struct webhook_message *m)
{
    char line[256], signature[WEBHOOK_SIGNATURE_CHARS_MAX + 1];
    struct curl_slist *list =
        curl_slist_append(NULL, "Content-Type: application/cloudevents+json; charset=utf-8");
    snprintf(line, sizeof line, "Attune-Event: %.100s", m->type);
    list = curl_slist_append(list, line);
    snprintf(line, sizeof line, "Attune-Delivery: %.60s", m->id);
    list = curl_slist_append(list, line);
    if (secret) {
        webhook_sign(secret, secret_bytes, m->now_s, m->body, signature);
        snprintf(line, sizeof line, "Attune-Signature: %s", signature);
        list = curl_slist_append(list, line);
    }
    return curl_slist_append(list, "Expect:");
}

static void set_up(CURL *curl, const char *url, const struct webhook_message *m,
                   struct curl_slist *headers, struct stopping *s)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)WEBHOOK_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* no waiting for a name server at the end */
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "attune");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, m->body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, s);
}

static enum status judge(CURLcode code, long status, const char *host, struct error *err)
{
    if (code != CURLE_OK)
        return error_set(err, ST_AGAIN, "%s: %s", host, curl_easy_strerror(code));
    if (status >= 200 && status < 300)
        return ST_OK;
    bool later = status >= 500 || status == 408 || status == 429;
    return error_set(err, later ? ST_AGAIN : ST_DENIED, "%s answers with status %ld", host, status);
}

enum status webhook_post(const char *url, const void *secret, size_t secret_bytes,
                         const struct webhook_message *m, bool (*stop)(void *context),
                         void *context, struct error *err)
{
    struct stopping s = {stop, context};
    char host[WEBHOOK_HOST_CHARS_MAX + 1];
    long status = 0;
    if (!webhook_url_is_valid(url, host))
        return error_set(err, ST_DENIED, "this is no http:// or https:// URL");
    CURL *curl = curl_easy_init();
    if (!curl)
        return error_set(err, ST_AGAIN, "no memory for a request");
    struct curl_slist *headers = headers_of(secret, secret_bytes, m);
    set_up(curl, url, m, headers, &s);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return judge(code, status, host, err);
}
