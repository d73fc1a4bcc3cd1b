/* fetch.c - see fetch.h. */
#include "cmd/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/secret.h"
#include "base/url.h"
#include "cmd/password.h"
#include "uplink/client.h"

#define TIMEOUT_S 10L
#define LOCAL_URL "http://localhost" /* over a control socket */

/* Where a request goes. */
struct way {
    char socket[PATH_MAX]; /* "": by the network */
    const char *base;
    const char *shut; /* NULL, or the folder of a server whose socket this user may not open */
};

/* ---- where ---- */

static bool has_socket(const char *state, struct way *ret)
{
    snprintf(ret->socket, sizeof ret->socket, "%s/control.sock", state);
    if (access(ret->socket, R_OK | W_OK) == 0)
        return true;
    if (errno == EACCES)
        ret->shut = state;
    ret->socket[0] = '\0';
    return false;
}

static void find_way(const struct fetch_server *s, struct way *ret)
{
    *ret = (struct way){.base = LOCAL_URL};
    if (s->url && strncmp(s->url, "unix:", 5) == 0)
        snprintf(ret->socket, sizeof ret->socket, "%s", s->url + 5);
    else if (s->url)
        ret->base = s->url;
    else if (s->state)
        snprintf(ret->socket, sizeof ret->socket, "%s/control.sock", s->state);
    else if (!has_socket(FETCH_STANDARD_STATE, ret) && !has_socket(FETCH_SYSTEM_STATE, ret))
        ret->base = FETCH_STANDARD_URL;
}

/* The folder that one happens to be in may be another's, who would be told passwords there. */
static enum status check_owner(const struct way *way, struct error *err)
{
    struct stat at;
    bool found = strcmp(way->socket, FETCH_STANDARD_STATE "/control.sock") == 0;
    if (!found || stat(way->socket, &at) != 0 || at.st_uid == geteuid())
        return ST_OK;
    return error_set(err, ST_DENIED,
                     "%s here is another user's; name the state folder that you mean by its whole "
                     "path: --state /DIR",
                     way->socket);
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    size_t n = size * count;
    return buf_put_within(context, data, n, FETCH_BYTES_MAX) ? n : 0;
}

static void set_up(CURL *curl, const struct fetch_server *s, const struct way *way, const char *url,
                   struct buf *answer)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (way->socket[0])
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, way->socket);
    if (s->ca)
        curl_easy_setopt(curl, CURLOPT_CAINFO, s->ca);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, s->insecure ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, s->insecure ? 0L : 2L);
}

/* The header that shows who asks; session "": a token, where the environment has one. */
static void write_proof(const char *session, char *ret, size_t size_bytes)
{
    const char *token = getenv("ATTUNE_TOKEN");
    ret[0] = '\0';
    if (session[0])
        snprintf(ret, size_bytes, "Cookie: attune-session=%s", session);
    else if (token && *token)
        snprintf(ret, size_bytes, "Authorization: Bearer %.100s", token);
}

/* Of every request: JSON, and what a page of elsewhere could not send. */
static struct curl_slist *make_headers(const char *proof)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    curl_slist_append(headers, "Attune-Request: 1");
    if (proof[0])
        curl_slist_append(headers, proof);
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
    static const char who[] = "; --user NAME signs in, ATTUNE_TOKEN takes a token, --state DIR is "
                              "for who may on the server's own machine";
    json_t *o = json_loadb((const char *)answer->data, answer->size_bytes, 0, NULL);
    const char *why = json_string_value(json_object_get(o, "error"));
    enum status st;
    if (why)
        st = error_set(err, status_of(http), "the server answers %ld: %.400s%s", http, why,
                       http == 401 ? who : "");
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

/* One request. ret_session (NULL: not wanted): what the answer's cookie holds. */
struct exchange {
    const struct fetch_server *server;
    const char *method; /* NULL: GET */
    const char *path, *text;
    const char *session;
    char *ret_session;
};

static enum status make_url(const struct way *way, const char *path, char url[1024],
                            struct error *err)
{
    size_t n = strlen(way->base);
    if (n > 0 && way->base[n - 1] == '/')
        n--;
    if (snprintf(url, 1024, "%.*s%s", (int)n, way->base, path) >= 1024)
        return error_set(err, ST_INVALID, "the server's address is too long");
    return ST_OK;
}

static void take_cookie(CURL *curl, char *ret)
{
    struct curl_header *h;
    ret[0] = '\0';
    if (curl_easy_header(curl, "Set-Cookie", 0, CURLH_HEADER, -1, &h) == CURLHE_OK)
        (void)sscanf(h->value, "attune-session=%71[a-z0-9_]", ret);
}

/* What to do about a failure of libcurl's, NULL: nothing in particular. */
static const char *advice_on(CURLcode code)
{
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return "its certificate is not known here; --ca FILE names it (STATE/tls/cert.pem of the "
               "server), --insecure goes on without";
    case CURLE_SSL_CACERT_BADFILE:
        return "the file of --ca cannot be read as certificates";
    case CURLE_SSL_CONNECT_ERROR:
        return "there is no TLS; is that address one of http://?";
    case CURLE_GOT_NOTHING:
        return "it hung up; is that address one of https://?";
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return "an address is http://HOST:PORT, https://HOST:PORT or unix:PATH";
    default:
        return NULL;
    }
}

static enum status unreachable(const struct way *way, CURLcode code, struct error *err)
{
    char base[URL_SHOWN_BYTES];
    const char *advice = advice_on(code);
    if (way->socket[0])
        return error_set(err, ST_NETWORK,
                         "no server answers at %.300s (%s): is it running, and may you open that?",
                         way->socket, curl_easy_strerror(code));
    url_redact(way->base, base, sizeof base);
    if (advice)
        return error_set(err, ST_NETWORK, "%.300s: %s", base, advice);
    return error_set(err, ST_NETWORK,
                     "%.300s does not answer (%s); is 'attune server' running there? --server URL "
                     "or --state DIR says where%s%s%s",
                     base, curl_easy_strerror(code),
                     way->shut ? "; you may not open the socket of the one in " : "",
                     way->shut ? way->shut : "", way->shut ? ", which takes sudo" : "");
}

static enum status perform(const struct exchange *x, const struct way *way, const char *url,
                           const char *proof, json_t **ret, struct error *err)
{
    struct buf answer;
    long http = 0;
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = make_headers(proof);
    if (!curl || !headers) {
        curl_easy_cleanup(curl);
        curl_slist_free_all(headers);
        return error_set(err, ST_NOMEM, "no memory for a request");
    }
    buf_init(&answer);
    set_up(curl, x->server, way, url, &answer);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (x->method)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, x->method);
    if (x->text)
        curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, x->text);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    if (code == CURLE_OK && x->ret_session)
        take_cookie(curl, x->ret_session);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    enum status st =
        code == CURLE_OK ? take_answer(url, http, &answer, ret, err) : unreachable(way, code, err);
    buf_clear(&answer);
    return st;
}

static enum status ask(const struct exchange *x, json_t **ret, struct error *err)
{
    struct way way;
    char url[1024], proof[160];
    find_way(x->server, &way);
    enum status st = check_owner(&way, err);
    if (st == ST_OK)
        st = make_url(&way, x->path, url, err);
    if (st != ST_OK)
        return st;
    write_proof(x->session, proof, sizeof proof);
    if (way.socket[0])
        proof[0] = '\0';
    if (proof[0] || x->ret_session) /* secrets */
        st = client_check(way.base, NULL, err);
    return st == ST_OK ? perform(x, &way, url, proof, ret, err) : st;
}

/* ---- signing in ---- */

static struct sign_in {
    pthread_mutex_t lock;
    struct fetch_server server;
    char session[SECRET_TOKEN_CHARS + 1];
} sign_in = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The server need not remember who has gone. */
static void end_session(void)
{
    json_t *none = NULL;
    const struct exchange x = {.server = &sign_in.server,
                               .method = "DELETE",
                               .path = "/v1/session",
                               .session = sign_in.session};
    ask(&x, &none, NULL);
}

/* *ret: the body that signs in, the caller's to free. */
static enum status ask_password(const struct fetch_server *server, char **ret, struct error *err)
{
    char prompt[128], password[PASSWORD_BYTES];
    snprintf(prompt, sizeof prompt, "password of %.63s: ", server->user);
    enum status st = password_get(prompt, false, NULL, password, err);
    if (st == ST_UNSUPPORTED)
        return error_set(err, st,
                         "there is no terminal to ask for a password; a script takes a token "
                         "instead: attune access token NAME, then in ATTUNE_TOKEN");
    if (st != ST_OK)
        return st;
    json_t *body = json_pack("{s:s,s:s}", "user", server->user, "password", password);
    *ret = body ? json_dumps(body, JSON_COMPACT) : NULL;
    explicit_bzero(password, sizeof password);
    json_decref(body);
    return *ret ? ST_OK : error_set(err, ST_NOMEM, "no memory for a request");
}

/* Under the lock. */
static enum status begin_session(const struct fetch_server *server, struct error *err)
{
    json_t *none = NULL;
    char *text;
    enum status st = ask_password(server, &text, err);
    if (st != ST_OK)
        return st;
    const struct exchange x = {.server = server,
                               .method = "POST",
                               .path = "/v1/session",
                               .text = text,
                               .session = "",
                               .ret_session = sign_in.session};
    st = ask(&x, &none, err);
    free(text);
    sign_in.server = *server;
    if (st == ST_OK)
        atexit(end_session);
    return st;
}

/* "" without a user to sign in as. */
static enum status session_of(const struct fetch_server *server, const char **ret,
                              struct error *err)
{
    enum status st = ST_OK;
    pthread_mutex_lock(&sign_in.lock);
    if (server->user && !sign_in.session[0])
        st = begin_session(server, err);
    *ret = sign_in.session;
    pthread_mutex_unlock(&sign_in.lock);
    return st;
}

enum status fetch_json(const struct fetch_server *server, const char *path, json_t **ret,
                       struct error *err)
{
    struct exchange x = {.server = server, .path = path};
    enum status st = session_of(server, &x.session, err);
    return st == ST_OK ? ask(&x, ret, err) : st;
}

enum status fetch_send(const struct fetch_server *server, const char *method, const char *path,
                       const json_t *body, json_t **ret, struct error *err)
{
    struct exchange x = {.server = server, .method = method, .path = path};
    enum status st = session_of(server, &x.session, err);
    if (st != ST_OK)
        return st;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    if (body && !text)
        return error_set(err, ST_NOMEM, "no memory for a request");
    x.text = text;
    st = ask(&x, ret, err);
    free(text);
    return st;
}

enum status fetch_saved(const char *path, json_t **ret, struct error *err)
{
    json_error_t why;
    *ret = strcmp(path, "-") == 0 ? json_loadf(stdin, 0, &why) : json_load_file(path, 0, &why);
    return *ret ? ST_OK : error_set(err, ST_FORMAT, "%s: %s", path, why.text);
}
