/* fake_server.c - a few routes on libmicrohttpd, one thread a connection, everything under one
 * mutex but the waiting. */
#include "fake_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"

#define UPDATES_MAX 64

struct update {
    uint64_t base, version;
    const void *bytes;
    size_t n;
};

struct fake_server {
    struct MHD_Daemon *daemon;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stopping;
    enum fault fault;
    int fault_count, requests, hellos, chunk_count, update_count;
    double sampling_fps, chunk_s, uplink_kbps;
    uint64_t next_seq, version, revision;
    double share, rate, resolution;
    char report[8192], transmission[512];
    struct fake_chunk chunks[FAKE_CHUNKS_MAX];
    struct update updates[UPDATES_MAX];
    long long have;
    struct update own;    /* a personal delta; version: its number */
    uint64_t camera_owns; /* the number that the camera has named last */
};

/* A request's body while it comes in, and the fault that was chosen for it. */
struct request {
    uint8_t *body;
    size_t n;
    enum fault fault;
};

static enum MHD_Result answer(struct MHD_Connection *c, unsigned code, const void *data, size_t n,
                              const char *header, const char *value, const char *header2,
                              const char *value2)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(n, (void *)(uintptr_t)data, MHD_RESPMEM_MUST_COPY);
    if (header)
        MHD_add_response_header(r, header, value);
    if (header2)
        MHD_add_response_header(r, header2, value2);
    enum MHD_Result done = MHD_queue_response(c, code, r);
    MHD_destroy_response(r);
    return done;
}

static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned code, const char *text)
{
    return answer(c, code, text, strlen(text), NULL, NULL, NULL, NULL);
}

static enum MHD_Result answer_own(struct MHD_Connection *c, uint64_t have, const struct update *own)
{
    char version[32], number[32];
    snprintf(version, sizeof version, "%" PRIu64, have);
    snprintf(number, sizeof number, "%" PRIu64, own->version);
    struct MHD_Response *r = MHD_create_response_from_buffer(own->n, (void *)(uintptr_t)own->bytes,
                                                             MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(r, "Attune-Base", version);
    MHD_add_response_header(r, "Attune-Version", version);
    MHD_add_response_header(r, "Attune-Own", number);
    enum MHD_Result done = MHD_queue_response(c, 200, r);
    MHD_destroy_response(r);
    return done;
}

/* Waits on `changed` for at most this long, or until the server stops. */
static void wait_ms(struct fake_server *s, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&s->changed, &s->mutex, &until);
}

static enum MHD_Result spoiled(struct fake_server *s, struct MHD_Connection *c, enum fault fault)
{
    switch (fault) {
    case FAULT_500:
        return answer_text(c, 500, "internal error");
    case FAULT_429:
        return answer(c, 429, "{\"error\": \"busy\"}", 17, "Retry-After", "7", NULL, NULL);
    case FAULT_GARBAGE:
        return answer_text(c, 200, "\x01\x02 not json");
    case FAULT_400:
        return answer_text(c, 400, "{\"error\": \"the chunk is damaged\"}");
    case FAULT_404:
        return answer_text(c, 404, "{\"error\": \"say hello first\"}");
    case FAULT_409:
        return answer_text(c, 409, "{\"error\": \"other bytes\"}");
    case FAULT_SLOW:
        pthread_mutex_lock(&s->mutex);
        for (int i = 0; i < 50 && !s->stopping; i++)
            wait_ms(s, 100);
        pthread_mutex_unlock(&s->mutex);
        return MHD_NO;
    default:
        return MHD_NO;
    }
}

static enum MHD_Result on_settings(struct fake_server *s, struct MHD_Connection *c, bool hello)
{
    char text[1024];
    pthread_mutex_lock(&s->mutex);
    s->hellos += hello;
    snprintf(text, sizeof text,
             "{\"version\": %" PRIu64 ", \"sampling_fps\": %g, \"chunk_s\": %g, "
             "\"uplink_kbps\": %g, \"next_seq\": %" PRIu64 ", \"adapt\": true, "
             "\"revision\": %" PRIu64 ", \"share\": %g, \"rate\": %g, \"resolution\": %g%s%s}",
             s->version, s->sampling_fps, s->chunk_s, s->uplink_kbps, s->next_seq, s->revision,
             s->share, s->rate, s->resolution, s->transmission[0] ? ", \"transmission\": " : "",
             s->transmission);
    pthread_mutex_unlock(&s->mutex);
    return answer_text(c, 200, text);
}

static enum MHD_Result on_report(struct fake_server *s, struct MHD_Connection *c,
                                 const struct request *r)
{
    pthread_mutex_lock(&s->mutex);
    if (r->n >= sizeof s->report)
        abort();
    memcpy(s->report, r->body, r->n);
    s->report[r->n] = '\0';
    pthread_mutex_unlock(&s->mutex);
    return answer_text(c, 200, "{}");
}

/* True when the number is new; a number with other bytes is a failure of the camera. */
static bool store(struct fake_server *s, uint64_t seq, const struct request *r)
{
    char hex[65];
    file_sha256_hex(r->body, r->n, hex);
    for (int i = 0; i < s->chunk_count; i++) {
        if (s->chunks[i].seq != seq)
            continue;
        if (strcmp(s->chunks[i].sha256_hex, hex) != 0) {
            fprintf(stderr, "chunk %" PRIu64 " came with two contents\n", seq);
            abort();
        }
        return false;
    }
    if (s->chunk_count == FAKE_CHUNKS_MAX)
        abort();
    struct fake_chunk *f = &s->chunks[s->chunk_count++];
    f->seq = seq;
    memcpy(f->sha256_hex, hex, sizeof hex);
    f->bytes = malloc(r->n ? r->n : 1);
    f->n = r->n;
    memcpy(f->bytes, r->body, r->n);
    return true;
}

static enum MHD_Result on_chunk(struct fake_server *s, struct MHD_Connection *c, const char *seq,
                                const struct request *r)
{
    pthread_mutex_lock(&s->mutex);
    bool fresh = store(s, strtoull(seq, NULL, 10), r);
    char text[128];
    snprintf(text, sizeof text, "{\"sampling_fps\": %g, \"version\": %" PRIu64 "}", s->sampling_fps,
             s->version);
    pthread_mutex_unlock(&s->mutex);
    if (r->fault == FAULT_LOST_ANSWER)
        return MHD_NO;
    return answer_text(c, fresh ? 201 : 200, text);
}

static const struct update *find_update(const struct fake_server *s, uint64_t have)
{
    for (int i = 0; i < s->update_count; i++)
        if (s->updates[i].base == have && s->updates[i].version != have)
            return &s->updates[i];
    return NULL;
}

static enum MHD_Result on_updates(struct fake_server *s, struct MHD_Connection *c)
{
    const char *have_text = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "have");
    const char *wait_text = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "wait_s");
    if (!have_text || !wait_text)
        return answer_text(c, 400, "{}");
    uint64_t have = strtoull(have_text, NULL, 10);
    int left_ms = atoi(wait_text) * 1000;
    const char *known_text = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "settings");
    uint64_t known = known_text ? strtoull(known_text, NULL, 10) : 0;
    const char *own_text = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "own");
    pthread_mutex_lock(&s->mutex);
    s->have = (long long)have;
    s->camera_owns = own_text ? strtoull(own_text, NULL, 10) : 0;
    uint64_t owns = s->camera_owns;
    const struct update *u;
    while (!(u = find_update(s, have)) && left_ms > 0 && !s->stopping &&
           (have == 0 || owns == s->own.version) && (known == 0 || known == s->revision)) {
        wait_ms(s, 50);
        left_ms -= 50;
    }
    char revision[32];
    snprintf(revision, sizeof revision, "%" PRIu64, s->revision);
    const struct update own = s->own;
    pthread_mutex_unlock(&s->mutex);
    if (!u && have > 0 && owns != own.version)
        return answer_own(c, have, &own);
    if (!u)
        return answer(c, 204, "", 0, "Attune-Settings", revision, NULL, NULL);
    char base[32], version[32];
    snprintf(base, sizeof base, "%" PRIu64, u->base);
    snprintf(version, sizeof version, "%" PRIu64, u->version);
    return answer(c, 200, u->bytes, u->n, "Attune-Base", base, "Attune-Version", version);
}

static enum fault take_fault(struct fake_server *s)
{
    pthread_mutex_lock(&s->mutex);
    s->requests++;
    enum fault f = s->fault_count > 0 ? s->fault : FAULT_NONE;
    if (s->fault_count > 0)
        s->fault_count--;
    pthread_mutex_unlock(&s->mutex);
    return f;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_n, void **per_request)
{
    (void)version;
    (void)method;
    struct fake_server *s = context;
    struct request *r = *per_request;
    if (!r) {
        *per_request = r = calloc(1, sizeof *r);
        r->fault = take_fault(s);
        return MHD_YES;
    }
    if (*upload_n > 0) {
        r->body = realloc(r->body, r->n + *upload_n);
        memcpy(r->body + r->n, upload, *upload_n);
        r->n += *upload_n;
        *upload_n = 0;
        return MHD_YES;
    }
    if (r->fault != FAULT_NONE && r->fault != FAULT_LOST_ANSWER)
        return spoiled(s, c, r->fault);
    const char *chunk = strstr(url, "/chunks/");
    if (strncmp(url, "/v1/cameras/", 12) != 0)
        return answer_text(c, 404, "{}");
    if (chunk)
        return on_chunk(s, c, chunk + 8, r);
    if (strstr(url, "/hello") || strstr(url, "/settings"))
        return on_settings(s, c, strstr(url, "/hello") != NULL);
    if (strstr(url, "/inference"))
        return on_report(s, c, r);
    return strstr(url, "/updates") ? on_updates(s, c) : answer_text(c, 404, "{}");
}

static void on_done(void *context, struct MHD_Connection *c, void **per_request,
                    enum MHD_RequestTerminationCode why)
{
    (void)context;
    (void)c;
    (void)why;
    struct request *r = *per_request;
    if (r)
        free(r->body);
    free(r);
    *per_request = NULL;
}

struct fake_server *fake_server_start(int port)
{
    struct fake_server *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->sampling_fps = 1;
    s->chunk_s = 1;
    s->uplink_kbps = 200;
    s->next_seq = 1;
    s->have = -1;
    s->revision = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    s->daemon = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD,
                                 (uint16_t)port, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR,
                                 &address, MHD_OPTION_NOTIFY_COMPLETED, on_done, s,
                                 MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (!s->daemon)
        fake_server_stop(&s);
    return s;
}

void fake_server_stop(struct fake_server **s)
{
    if (!*s)
        return;
    pthread_mutex_lock(&(*s)->mutex);
    (*s)->stopping = true;
    pthread_cond_broadcast(&(*s)->changed);
    pthread_mutex_unlock(&(*s)->mutex);
    if ((*s)->daemon)
        MHD_stop_daemon((*s)->daemon);
    for (int i = 0; i < (*s)->chunk_count; i++)
        free((*s)->chunks[i].bytes);
    pthread_cond_destroy(&(*s)->changed);
    pthread_mutex_destroy(&(*s)->mutex);
    free(*s);
    *s = NULL;
}

void fake_server_wish(struct fake_server *s, double share, double rate, double resolution)
{
    pthread_mutex_lock(&s->mutex);
    s->share = share;
    s->rate = rate;
    s->resolution = resolution;
    s->revision++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

void fake_server_transmission(struct fake_server *s, const char *object)
{
    pthread_mutex_lock(&s->mutex);
    snprintf(s->transmission, sizeof s->transmission, "%s", object);
    s->revision++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

void fake_server_report(struct fake_server *s, char *ret, size_t size_bytes)
{
    pthread_mutex_lock(&s->mutex);
    snprintf(ret, size_bytes, "%s", s->report);
    pthread_mutex_unlock(&s->mutex);
}

int fake_server_port(const struct fake_server *s)
{
    return MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void fake_server_spoil(struct fake_server *s, enum fault fault, int count)
{
    pthread_mutex_lock(&s->mutex);
    s->fault = fault;
    s->fault_count = count;
    pthread_mutex_unlock(&s->mutex);
}

void fake_server_settings(struct fake_server *s, double sampling_fps, double chunk_s,
                          double uplink_kbps, uint64_t next_seq)
{
    pthread_mutex_lock(&s->mutex);
    s->sampling_fps = sampling_fps;
    s->chunk_s = chunk_s;
    s->uplink_kbps = uplink_kbps;
    s->next_seq = next_seq;
    pthread_mutex_unlock(&s->mutex);
}

void fake_server_version(struct fake_server *s, uint64_t version)
{
    pthread_mutex_lock(&s->mutex);
    s->version = version;
    pthread_mutex_unlock(&s->mutex);
}

void fake_server_update(struct fake_server *s, uint64_t base, uint64_t version, const void *delta,
                        size_t n)
{
    pthread_mutex_lock(&s->mutex);
    if (s->update_count == UPDATES_MAX)
        abort();
    s->updates[s->update_count++] =
        (struct update){.base = base, .version = version, .bytes = delta, .n = n};
    s->version = version;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

void fake_server_own(struct fake_server *s, uint64_t number, const void *delta, size_t n)
{
    pthread_mutex_lock(&s->mutex);
    s->own = (struct update){.version = number, .bytes = delta, .n = n};
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

uint64_t fake_server_camera_owns(struct fake_server *s)
{
    pthread_mutex_lock(&s->mutex);
    uint64_t number = s->camera_owns;
    pthread_mutex_unlock(&s->mutex);
    return number;
}

static int read_int(struct fake_server *s, const int *value)
{
    pthread_mutex_lock(&s->mutex);
    int v = *value;
    pthread_mutex_unlock(&s->mutex);
    return v;
}

int fake_server_requests(struct fake_server *s)
{
    return read_int(s, &s->requests);
}

int fake_server_hellos(struct fake_server *s)
{
    return read_int(s, &s->hellos);
}

int fake_server_chunk_count(struct fake_server *s)
{
    return read_int(s, &s->chunk_count);
}

struct fake_chunk fake_server_chunk(struct fake_server *s, int index)
{
    pthread_mutex_lock(&s->mutex);
    struct fake_chunk c = s->chunks[index];
    pthread_mutex_unlock(&s->mutex);
    return c;
}

long long fake_server_have(struct fake_server *s)
{
    pthread_mutex_lock(&s->mutex);
    long long have = s->have;
    pthread_mutex_unlock(&s->mutex);
    return have;
}
