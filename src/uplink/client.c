/* client.c - the three requests of a camera, on one libcurl handle.
 *
 * perform() sends whatever the request function has put into the handle and turns the outcome into
 * a status: transport first, then the HTTP code. The answer's bytes go into one bounded buffer
 * that is kept between requests. A long poll must not be taken for a dead connection, so what ends
 * a request is too little progress for too long, with a far limit on the whole. A connection that
 * is paced is looked at a few times a second.
 */
#include "uplink/client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "uplink/pacing.h"

#define URL_CHARS_MAX 512
#define JSON_BYTES_MAX ((size_t)64 << 10)
#define PROGRESS_BYTES_PER_S 100L
#define REQUEST_S_MAX 900L
#define RETRY_AFTER_S_DEFAULT 5.0
#define RETRY_AFTER_S_MAX 300.0
#define POLL_MS 1000
#define PACED_POLL_MS 100 /* looks at the connection meanwhile */

struct client {
    CURL *curl;
    CURLM *multi; /* only so that client_cancel can wake a waiting request */
    struct curl_slist *headers;
    char base[URL_CHARS_MAX]; /* URL/v1/cameras/ID */
    int request_timeout_s;
    struct pacing pacing;
    atomic_bool cancelled;
    atomic_uint_fast64_t up_bytes, down_bytes, requests, failures;

    const uint8_t *body; /* what the request sends, for the callbacks */
    size_t body_bytes, body_sent;
    struct buf answer;
    size_t answer_bytes_max;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_start(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

void client_options_init(struct client_options *o)
{
    *o = (struct client_options){.connect_timeout_s = 5, .request_timeout_s = 30};
}

static size_t on_answer(char *data, size_t size, size_t count, void *context)
{
    struct client *c = context;
    size_t n = size * count;
    if (n > c->answer_bytes_max - c->answer.size_bytes)
        return 0;
    buf_put(&c->answer, data, n);
    return c->answer.failed ? 0 : n;
}

static size_t on_send(char *to, size_t size, size_t count, void *context)
{
    struct client *c = context;
    size_t n = size * count, left = c->body_bytes - c->body_sent;
    if (n > left)
        n = left;
    if (n > 0)
        memcpy(to, c->body + c->body_sent, n);
    c->body_sent += n;
    return n;
}

/* A kept-alive connection that turns out dead is opened anew by libcurl, from the first byte. */
static int on_rewind(void *context, curl_off_t offset, int origin)
{
    struct client *c = context;
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > c->body_bytes)
        return CURL_SEEKFUNC_FAIL;
    c->body_sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* ---- pacing ---- */

static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct client *c = context;
    (void)purpose;
    int s = socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    if (s < 0)
        return CURL_SOCKET_BAD;
    pacing_socket(&c->pacing, s);
    return s;
}

static int on_close(void *context, curl_socket_t s)
{
    struct client *c = context;
    pacing_forget(&c->pacing, s);
    return close(s);
}

void client_pacing_get(const struct client *c, struct client_pacing *ret)
{
    const struct gaimd *g = &c->pacing.law;
    *ret = (struct client_pacing){0};
    if (!c->pacing.on)
        return;
    *ret = (struct client_pacing){.rate_kbps = g->rate_kbps,
                                  .goodput_kbps = g->goodput_kbps,
                                  .queue_s = g->queue_s,
                                  .base_s = round_trip_base_s(&g->way)};
}

void client_pace(struct client *c, const struct gaimd_options *o)
{
    pacing_set(&c->pacing, o);
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

/* "scheme://host:port" of a server; plain HTTP only where nobody can listen. */
static enum status check_url(const char *url, struct error *err)
{
    enum status st = ST_OK;
    char *scheme = NULL, *host = NULL;
    CURLU *u = curl_url();
    if (!u)
        return error_set(err, ST_NOMEM, "no memory to read a URL");
    if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        st = error_set(err, ST_INVALID, "'%s' is not a URL; write https://HOST:PORT", url);
    else if (strcmp(scheme, "http") == 0 && !is_loopback(host))
        st = error_set(err, ST_DENIED,
                       "%s would send pictures in the clear; use https:// (plain HTTP is accepted "
                       "for this machine's own loopback address only)",
                       url);
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        st = error_set(err, ST_INVALID, "the server's URL must begin with https://, not %s://",
                       scheme);
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(u);
    return st;
}

static enum status check_camera_id(const char *id, struct error *err)
{
    size_t n = strlen(id);
    if (n == 0 || n > CAMERA_ID_CHARS_MAX ||
        strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_-") != n)
        return error_set(err, ST_INVALID,
                         "'%.80s' is no camera id; use 1 to %d of a-z, 0-9, '_' and '-'", id,
                         CAMERA_ID_CHARS_MAX);
    return ST_OK;
}

static enum status make_base(const struct client_options *o, char base[URL_CHARS_MAX],
                             struct error *err)
{
    size_t n = strlen(o->url);
    while (n > 0 && o->url[n - 1] == '/')
        n--;
    int len = snprintf(base, URL_CHARS_MAX, "%.*s/v1/cameras/%s", (int)(n < 4096 ? n : 4096),
                       o->url, o->camera_id);
    if (len < 0 || len >= URL_CHARS_MAX)
        return error_set(err, ST_LIMIT, "the server's URL is too long");
    return ST_OK;
}

/* What stays the same for every request. */
static void set_constants(struct client *c, const struct client_options *o)
{
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_PROXY, ""); /* the site's own server: no detours */
    curl_easy_setopt(c->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, (long)o->connect_timeout_s);
    curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, PROGRESS_BYTES_PER_S);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(c->curl, CURLOPT_READDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_SEEKFUNCTION, on_rewind);
    curl_easy_setopt(c->curl, CURLOPT_SEEKDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(c->curl, CURLOPT_OPENSOCKETDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(c->curl, CURLOPT_CLOSESOCKETDATA, c);
    if (o->ca_path)
        curl_easy_setopt(c->curl, CURLOPT_CAINFO, o->ca_path);
    if (o->pin)
        curl_easy_setopt(c->curl, CURLOPT_PINNEDPUBLICKEY, o->pin);
    if (o->insecure || o->pin) { /* a key that is pinned needs no names and dates beside it */
        curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

enum status client_check(const char *url, const char *camera_id, struct error *err)
{
    pthread_once(&curl_once, curl_start);
    enum status st = check_url(url, err);
    return st == ST_OK && camera_id ? check_camera_id(camera_id, err) : st;
}

/* No "Expect: 100-continue": it costs a round trip, and the server says 429 soon enough. And
 * libcurl must not call JSON a web form. */
static bool make_headers(struct client *c, const char *token)
{
    char text[160];
    c->headers = curl_slist_append(NULL, "Expect:");
    if (!c->headers || !curl_slist_append(c->headers, "Content-Type:"))
        return false;
    snprintf(text, sizeof text, "Authorization: Bearer %.100s", token ? token : "");
    return !token || curl_slist_append(c->headers, text);
}

enum status client_open(const struct client_options *options, struct client **ret,
                        struct error *err)
{
    enum status st = client_check(options->url, options->camera_id, err);
    if (st != ST_OK)
        return st;
    struct client *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "no memory for a connection");
    buf_init(&c->answer);
    pacing_init(&c->pacing);
    c->request_timeout_s = options->request_timeout_s;
    c->curl = curl_easy_init();
    c->multi = curl_multi_init();
    if (!c->curl || !c->multi || !make_headers(c, options->token)) {
        st = error_set(err, ST_NOMEM, "no memory for a connection");
        goto out;
    }
    st = make_base(options, c->base, err);
    if (st != ST_OK)
        goto out;
    set_constants(c, options);
out:
    if (st != ST_OK)
        client_close(&c);
    else
        *ret = c;
    return st;
}

void client_close(struct client **c)
{
    if (!c || !*c)
        return;
    curl_easy_cleanup((*c)->curl);
    curl_multi_cleanup((*c)->multi);
    curl_slist_free_all((*c)->headers);
    buf_clear(&(*c)->answer);
    free(*c);
    *c = NULL;
}

void client_cancel(struct client *c)
{
    atomic_store(&c->cancelled, true);
    curl_multi_wakeup(c->multi);
}

static void count_traffic(struct client *c, bool failed)
{
    curl_off_t up = 0, down = 0;
    long request = 0, header = 0;
    curl_easy_getinfo(c->curl, CURLINFO_SIZE_UPLOAD_T, &up);
    curl_easy_getinfo(c->curl, CURLINFO_SIZE_DOWNLOAD_T, &down);
    curl_easy_getinfo(c->curl, CURLINFO_REQUEST_SIZE, &request);
    curl_easy_getinfo(c->curl, CURLINFO_HEADER_SIZE, &header);
    atomic_fetch_add(&c->up_bytes, (uint64_t)up + (uint64_t)request);
    atomic_fetch_add(&c->down_bytes, (uint64_t)down + (uint64_t)header);
    atomic_fetch_add(&c->requests, 1);
    atomic_fetch_add(&c->failures, failed);
}

static enum status transport_error(const struct client *c, CURLcode code, struct error *err)
{
    if (atomic_load(&c->cancelled))
        return error_set(err, ST_NETWORK, "the request was cancelled");
    if (code == CURLE_WRITE_ERROR)
        return error_set(err, ST_FORMAT, "the server's answer is longer than %zu bytes",
                         c->answer_bytes_max);
    const char *hint = "";
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
        hint = "; is --ca the certificate of this server?";
    else if (code == CURLE_SSL_PINNEDPUBKEYNOTMATCH)
        hint = "; this is not the server that enrolled this camera, or it has another key: enrol "
               "again";
    else if (code == CURLE_COULDNT_CONNECT)
        hint = "; is the server running there?";
    return error_set(err, ST_NETWORK, "%s: %s%s", c->base, curl_easy_strerror(code), hint);
}

/* The "error" of a JSON answer as far as it fits, else "". */
static void server_sentence(const struct client *c, char *text, size_t size)
{
    text[0] = '\0';
    json_t *json = json_loadb((const char *)c->answer.data, c->answer.size_bytes, 0, NULL);
    const char *sentence = json_string_value(json_object_get(json, "error"));
    if (sentence)
        snprintf(text, size, ": %s", sentence);
    json_decref(json);
}

static enum status status_of_http(long http)
{
    switch (http) {
    case 200:
    case 201:
        return ST_OK;
    case 204:
    case 429:
    case 503:
    case 507:
        return ST_AGAIN;
    case 401:
    case 403:
        return ST_DENIED;
    case 404:
        return ST_NOT_FOUND;
    case 409:
        return ST_CONFLICT;
    case 413:
        return ST_LIMIT;
    default:
        return http >= 500 ? ST_NETWORK : http >= 400 ? ST_INVALID : ST_FORMAT;
    }
}

static void set_body(struct client *c, const void *body, size_t n)
{
    c->body = body;
    c->body_bytes = n;
    c->body_sent = 0;
}

/* curl_easy_perform that client_cancel can end at once. */
static CURLcode transfer(struct client *c)
{
    CURLcode result = CURLE_ABORTED_BY_CALLBACK;
    if (curl_multi_add_handle(c->multi, c->curl) != CURLM_OK)
        return CURLE_OUT_OF_MEMORY;
    int running = 1, left;
    pacing_begin(&c->pacing);
    while (running > 0 && !atomic_load(&c->cancelled)) {
        if (curl_multi_perform(c->multi, &running) != CURLM_OK)
            break;
        if (running > 0)
            (void)curl_multi_poll(c->multi, NULL, 0, c->pacing.on ? PACED_POLL_MS : POLL_MS, NULL);
        pacing_look(&c->pacing, clock_mono_us());
    }
    for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left));)
        if (m->msg == CURLMSG_DONE)
            result = m->data.result;
    curl_multi_remove_handle(c->multi, c->curl);
    return result;
}

/* Runs the request that is set up; *ret_http is the code of the answer, 0 for none. */
static enum status perform(struct client *c, int wait_s, size_t answer_bytes_max, long *ret_http,
                           struct error *err)
{
    c->answer.size_bytes = 0;
    c->answer_bytes_max = answer_bytes_max;
    long patience_s = c->request_timeout_s + wait_s;
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, patience_s);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, patience_s + REQUEST_S_MAX);
    *ret_http = 0;
    if (atomic_load(&c->cancelled))
        return transport_error(c, CURLE_ABORTED_BY_CALLBACK, err);
    CURLcode code = transfer(c);
    set_body(c, NULL, 0);
    enum status st = ST_OK;
    if (code != CURLE_OK) {
        st = transport_error(c, code, err);
    } else {
        curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, ret_http);
        st = status_of_http(*ret_http);
    }
    count_traffic(c, st != ST_OK && *ret_http != 204);
    if (code == CURLE_OK && st != ST_OK) {
        char sentence[320];
        server_sentence(c, sentence, sizeof sentence);
        error_set(err, st, "the server answered %ld%s", *ret_http, sentence);
    }
    return st;
}

static void set_url(struct client *c, const char *rest)
{
    char url[URL_CHARS_MAX + 128];
    snprintf(url, sizeof url, "%s%s", c->base, rest);
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
}

static char *hello_json(const struct client_hello *h)
{
    json_t *json = json_pack("{s:s, s:s, s:i, s:i, s:f, s:I}", "student", h->student_identity_hex,
                             "task", h->task, "width", h->width, "height", h->height, "fps", h->fps,
                             "version", (json_int_t)h->version);
    if (json && h->state)
        json_object_set_new(json, "state", json_string(h->state));
    if (json && isfinite(h->latitude_deg) && isfinite(h->longitude_deg)) {
        json_object_set_new(json, "latitude", json_real(h->latitude_deg));
        json_object_set_new(json, "longitude", json_real(h->longitude_deg));
    }
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}

enum status client_say_hello(struct client *c, const struct client_hello *hello,
                             struct client_settings *ret, struct error *err)
{
    char *text = hello_json(hello);
    if (!text)
        return error_set(err, ST_NOMEM, "no memory to say hello");
    set_url(c, "/hello");
    set_body(c, text, strlen(text));
    curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_bytes);
    long http;
    enum status st = perform(c, 0, JSON_BYTES_MAX, &http, err);
    free(text);
    return st == ST_OK ? message_read_settings(c->answer.data, c->answer.size_bytes, ret, err) : st;
}

enum status client_get_settings(struct client *c, struct client_settings *ret, struct error *err)
{
    long http;
    set_url(c, "/settings");
    curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    enum status st = perform(c, 0, JSON_BYTES_MAX, &http, err);
    return st == ST_OK ? message_read_settings(c->answer.data, c->answer.size_bytes, ret, err) : st;
}

enum status client_get_labels(struct client *c, uint64_t t_us, struct buf *labels,
                              struct error *err)
{
    long http;
    char rest[64];
    snprintf(rest, sizeof rest, "/labels?t_us=%" PRIu64, t_us);
    set_url(c, rest);
    curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    enum status st = perform(c, 0, CLIENT_LABELS_BYTES_MAX, &http, err);
    if (st != ST_OK)
        return st;
    buf_put(labels, c->answer.data, c->answer.size_bytes);
    return labels->failed ? error_set(err, ST_NOMEM, "no memory for labels") : ST_OK;
}

static void set_put(struct client *c, const char *rest, const void *body, size_t n)
{
    set_url(c, rest);
    set_body(c, body, n);
    curl_easy_setopt(c->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(c->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)n);
}

enum status client_put_report(struct client *c, const struct inference_report *report,
                              struct error *err)
{
    json_t *json = message_report(report);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return error_set(err, ST_NOMEM, "no memory for a report");
    long http;
    set_put(c, "/inference", text, strlen(text));
    enum status st = perform(c, 0, JSON_BYTES_MAX, &http, err);
    free(text);
    return http == 204 ? ST_OK : st; /* it has nothing to say */
}

static double retry_after_s(const struct client *c)
{
    curl_off_t seconds = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds <= 0)
        return RETRY_AFTER_S_DEFAULT;
    return seconds < (curl_off_t)RETRY_AFTER_S_MAX ? (double)seconds : RETRY_AFTER_S_MAX;
}

/* Within what a camera accepts; 0: not said. */
static double sampling_fps_of(const json_t *answer)
{
    const json_t *v = json_object_get(answer, "sampling_fps");
    return json_is_number(v) ? fmin(fmax(json_number_value(v), 0.01), 30) : 0;
}

enum status client_put_chunk(struct client *c, uint64_t seq, const void *chunk, size_t n,
                             struct client_put *ret, struct error *err)
{
    char rest[64];
    snprintf(rest, sizeof rest, "/chunks/%" PRIu64, seq);
    set_put(c, rest, chunk, n);
    long http;
    enum status st = perform(c, 0, JSON_BYTES_MAX, &http, err);
    if (st == ST_AGAIN)
        *ret = (struct client_put){.retry_after_s = retry_after_s(c)};
    if (st != ST_OK)
        return st;
    /* Any 2xx is an acknowledgement; settings that cannot be read are left as they were. */
    json_t *json = json_loadb((const char *)c->answer.data, c->answer.size_bytes, 0, NULL);
    struct client_put put = {.already = http == 200, .sampling_fps = sampling_fps_of(json)};
    json_int_t version = json_integer_value(json_object_get(json, "version"));
    put.version = version > 0 ? (uint64_t)version : 0;
    json_decref(json);
    *ret = put;
    return ST_OK;
}

/* A decimal header of the last answer. */
static bool header_count(const struct client *c, const char *name, uint64_t *ret)
{
    struct curl_header *h;
    if (curl_easy_header(c->curl, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
        return false;
    size_t n = strlen(h->value);
    if (n == 0 || n > 19 || strspn(h->value, "0123456789") != n)
        return false;
    *ret = strtoull(h->value, NULL, 10);
    return true;
}

enum status client_get_update(struct client *c, const struct client_have *have, int wait_s,
                              struct client_update *update, struct error *err)
{
    assert(wait_s >= 0 && wait_s <= 3600);
    char rest[128];
    int n = snprintf(rest, sizeof rest, "/updates?have=%" PRIu64 "&own=%" PRIu64 "&wait_s=%d",
                     have->version, have->own, wait_s);
    if (have->revision > 0)
        snprintf(rest + n, sizeof rest - (size_t)n, "&settings=%" PRIu64, have->revision);
    set_url(c, rest);
    curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    long http;
    enum status st = perform(c, wait_s, CLIENT_UPDATE_BYTES_MAX, &http, err);
    if (st == ST_AGAIN)
        update->retry_after_s = http == 204 ? 0 : retry_after_s(c);
    if (!header_count(c, "Attune-Settings", &update->revision))
        update->revision = 0;
    if (st != ST_OK)
        return st;
    uint64_t base, version;
    if (!header_count(c, "Attune-Base", &base) || !header_count(c, "Attune-Version", &version))
        return error_set(err, ST_FORMAT,
                         "the server's update lacks the headers Attune-Base and Attune-Version");
    if (!header_count(c, "Attune-Own", &update->own))
        update->own = 0;
    update->delta.size_bytes = 0;
    buf_put(&update->delta, c->answer.data, c->answer.size_bytes);
    if (update->delta.failed)
        return error_set(err, ST_NOMEM, "no memory for an update");
    update->base = base;
    update->version = version;
    return ST_OK;
}

void client_traffic_get(const struct client *c, struct client_traffic *ret)
{
    *ret = (struct client_traffic){
        .up_bytes = atomic_load(&c->up_bytes),
        .down_bytes = atomic_load(&c->down_bytes),
        .requests = atomic_load(&c->requests),
        .failures = atomic_load(&c->failures),
    };
}

void backoff_init(struct backoff *b, uint64_t first_us, uint64_t max_us)
{
    assert(first_us > 0 && first_us <= max_us);
    *b = (struct backoff){.first_us = first_us, .max_us = max_us};
}

uint64_t backoff_next_us(struct backoff *b, struct rng *rng)
{
    uint64_t whole = b->first_us;
    for (int i = 0; i < b->failures && whole < b->max_us; i++)
        whole = whole > b->max_us / 2 ? b->max_us : whole * 2;
    if (whole < b->max_us)
        b->failures++;
    uint64_t half = whole / 2;
    return half + (uint64_t)(rng_float(rng) * (float)(whole - half));
}

void backoff_reset(struct backoff *b)
{
    b->failures = 0;
}
