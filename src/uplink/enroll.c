/* enroll.c - two requests, as libcurl can pin whole keys only and the code holds a part of one: the
 * first says nothing and looks at the certificate, the second is sent to that key alone. */
#include "uplink/enroll.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uplink/client.h"
#include "uplink/pin.h"

#define TIMEOUT_S 15L
#define ANSWER_BYTES_MAX ((size_t)16 << 10)

/* ---- one request ---- */

static size_t on_answer(char *data, size_t size, size_t count, void *context)
{
    size_t n = size * count;
    return buf_put_within(context, data, n, ANSWER_BYTES_MAX) ? n : 0;
}

static CURL *open_request(const char *url, struct buf *answer)
{
    CURL *curl = curl_easy_init();
    if (!curl)
        return NULL;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    /* The key decides, not names and dates in the certificate. */
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    return curl;
}

static enum status run(CURL *curl, const char *url, struct error *err)
{
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_SSL_PINNEDPUBKEYNOTMATCH)
        return error_set(err, ST_DENIED,
                         "%s shows two certificates in a row; somebody may be in "
                         "between",
                         url);
    return code == CURLE_OK ? ST_OK
                            : error_set(err, ST_NETWORK, "%s does not answer: %s", url,
                                        curl_easy_strerror(code));
}

/* ---- the certificate ---- */

static bool key_of_connection(CURL *curl, uint8_t ret[32])
{
    struct curl_certinfo *chain = NULL;
    if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &chain) != CURLE_OK || !chain ||
        chain->num_of_certs < 1)
        return false;
    for (const struct curl_slist *i = chain->certinfo[0]; i; i = i->next)
        if (strncmp(i->data, "Cert:", 5) == 0)
            return pin_key_sha256(i->data + 5, ret);
    return false;
}

static enum status look_at_key(const char *url, uint8_t ret[32], struct error *err)
{
    struct buf none;
    buf_init(&none);
    CURL *curl = open_request(url, &none);
    if (!curl)
        return error_set(err, ST_NOMEM, "no memory for a request");
    curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    enum status st = run(curl, url, err);
    if (st == ST_OK && !key_of_connection(curl, ret))
        st = error_set(err, ST_FORMAT, "the certificate of %s cannot be read", url);
    curl_easy_cleanup(curl);
    buf_clear(&none);
    return st;
}

/* The pin of the key that answers, where it is the one that made the code. */
static enum status check_server(const char *url, const struct code *code, char *ret_pin,
                                struct error *err)
{
    uint8_t key[32];
    char pin[CODE_PIN_CHARS + 1], none[CODE_PIN_CHARS + 1];
    ret_pin[0] = '\0';
    code_pin(NULL, none);
    if (strncmp(url, "http:", 5) == 0)
        return strcmp(none, code->pin) == 0
                   ? ST_OK
                   : error_set(err, ST_DENIED, "this code is for https://, not for %s", url);
    enum status st = look_at_key(url, key, err);
    if (st != ST_OK)
        return st;
    code_pin(key, pin);
    if (!secret_equal(pin, code->pin))
        return error_set(err, ST_DENIED,
                         "%s does not have the certificate of the server that made this code: it "
                         "is another server, or somebody is in between; nothing was sent",
                         url);
    return pin_write(key, ret_pin, err);
}

/* ---- the code ---- */

static enum status take_answer(const json_t *o, struct identity *ret, struct error *err)
{
    const char *camera = json_string_value(json_object_get(o, "camera"));
    const char *token = json_string_value(json_object_get(o, "token"));
    if (!camera || strlen(camera) > CAMERA_ID_CHARS_MAX || !token || !secret_token_valid(token))
        return error_set(err, ST_FORMAT, "the server's answer holds no camera and token");
    snprintf(ret->camera, sizeof ret->camera, "%s", camera);
    snprintf(ret->token, sizeof ret->token, "%s", token);
    return ST_OK;
}

static enum status read_answer(long http, const struct buf *answer, struct identity *ret,
                               struct error *err)
{
    json_t *o = json_loadb((const char *)answer->data, answer->size_bytes, 0, NULL);
    const char *why = json_string_value(json_object_get(o, "error"));
    enum status st =
        http == 201 ? take_answer(o, ret, err)
                    : error_set(err, http == 429 ? ST_AGAIN : ST_DENIED,
                                "the server answers %ld: %.300s", http, why ? why : "no reason");
    json_decref(o);
    return st;
}

static enum status give_code(const struct code *code, const char *camera, struct identity *ret,
                             struct error *err)
{
    char url[IDENTITY_URL_CHARS_MAX + 32], body[256];
    struct buf answer;
    long http = 0;
    buf_init(&answer);
    snprintf(url, sizeof url, "%s/v1/enroll", ret->server);
    snprintf(body, sizeof body, "{\"code\":\"%s\"%s%s%s}", code->secret,
             camera ? ",\"camera\":\"" : "", camera ? camera : "", camera ? "\"" : "");
    CURL *curl = open_request(url, &answer);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (!curl || !headers) {
        curl_easy_cleanup(curl);
        return error_set(err, ST_NOMEM, "no memory for a request");
    }
    if (ret->pin[0])
        curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, ret->pin);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    enum status st = run(curl, url, err);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    if (st == ST_OK)
        st = read_answer(http, &answer, ret, err);
    buf_clear(&answer);
    return st;
}

enum status enroll(const char *url, const struct code *code, const char *camera,
                   struct identity *ret, struct error *err)
{
    struct identity id = {0};
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        n--;
    if (n > IDENTITY_URL_CHARS_MAX)
        return error_set(err, ST_LIMIT, "the server's URL is too long");
    memcpy(id.server, url, n);
    enum status st = client_check(id.server, camera, err);
    if (st == ST_OK)
        st = check_server(id.server, code, id.pin, err);
    if (st == ST_OK)
        st = give_code(code, camera, &id, err);
    if (st == ST_OK)
        *ret = id;
    return st;
}
