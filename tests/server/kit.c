/* The kit: networks of a few hundred weights, so that labelling and training take milliseconds. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "../video/pictures.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "kit.h"
#include "nn/build.h"
#include "server/board.h"
#include "server/worker.h"
#include "uplink/chunk.h"
#include "video/encode.h"

#define AWAIT_US ((uint64_t)60 * 1000000)

static char self[] = "/proc/self/exe", worker_word[] = "worker";
char *const kit_worker_argv[] = {self, worker_word, NULL};

bool kit_is_worker(int argc, char **argv, int *ret_status)
{
    log_level_set(LOG_ERROR);
    if (argc > 1 && strcmp(argv[1], worker_word) == 0) {
        *ret_status = worker_run(STDIN_FILENO, STDOUT_FILENO, NULL) == ST_OK ? 0 : 1;
        return true;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return false;
}

void kit_trains(struct kit *k, const char *policy, int workers, int steps)
{
    struct settings *s = &k->options.settings;
    k->options.worker_argv = kit_worker_argv;
    s->workers = workers;
    snprintf(s->policy, sizeof s->policy, "%s", policy);
    s->period_s = 1;
    s->frames_min = 3;
    s->steps = steps;
    s->batch = 2;
    snprintf(s->preset, sizeof s->preset, "full");
}

void kit_streams(struct kit *k)
{
    k->options.camera_program = getenv("ATTUNE_PROGRAM");
    if (!k->options.camera_program)
        fail_msg("ATTUNE_PROGRAM must name the program");
    snprintf(k->options.settings.log_level, SETTING_TEXT_BYTES, "error");
}

void kit_cameras(struct kit *k, const char *yaml)
{
    struct server_options *o = &k->options;
    struct error err;
    if (settings_read(&o->settings, &o->cameras, yaml, strlen(yaml), "cameras", &err) != ST_OK)
        fail_msg("%s", err.message);
}

static void write_model(const char *path, uint64_t seed, int width)
{
    struct nn_build *b;
    struct buf bytes;
    struct error err;
    buf_init(&bytes);
    assert_int_equal(nn_build_open(KIT_SIDE, KIT_SIDE, seed, &b, &err), ST_OK);
    nn_value x = nn_build_input(b);
    x = nn_build_relu(b, nn_build_batch_norm(b, nn_build_conv(b, x, width, 3, 2, 1, 1, false)));
    x = nn_build_conv(b, x, KIT_CLASSES, 1, 1, 1, 1, true);
    x = nn_build_resize(b, x, KIT_SIDE, KIT_SIDE);
    nn_build_metadata(b, "attune.task", "segment");
    nn_build_metadata(b, "attune.classes", "road,car,sky");
    assert_int_equal(nn_build_finish(b, x, &bytes, &err), ST_OK);
    assert_int_equal(file_write(path, bytes.data, bytes.size_bytes, &err), ST_OK);
    buf_clear(&bytes);
    nn_build_close(&b);
}

int kit_free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    close(fd);
    return ntohs(at.sin_port);
}

struct kit *kit_open(void)
{
    struct kit *k = calloc(1, sizeof *k);
    assert_non_null(k);
    snprintf(k->dir, sizeof k->dir, "/tmp/attune-server-XXXXXX");
    assert_non_null(mkdtemp(k->dir));
    struct settings *s = &k->options.settings;
    settings_init(s);
    snprintf(s->student, sizeof s->student, "%s/student.onnx", k->dir);
    snprintf(s->teacher, sizeof s->teacher, "%s/teacher.onnx", k->dir);
    snprintf(s->state, sizeof s->state, "%s/state", k->dir);
    snprintf(s->listen, sizeof s->listen, "off");
    snprintf(s->http, sizeof s->http, "127.0.0.1:0");
    snprintf(s->grouping, sizeof s->grouping, "none");
    s->auth = false;
    s->zoo_models = 0;
    s->disk_free_min_mb = 0;
    write_model(s->student, 1, 4);
    write_model(s->teacher, 2, 8);
    struct nn_model *m;
    assert_int_equal(nn_model_open(s->student, NULL, &m, NULL), ST_OK);
    memcpy(k->identity_hex, nn_model_identity_hex(m), 65);
    nn_model_close(&m);
    return k;
}

void kit_start(struct kit *k)
{
    struct error err = {0};
    if (server_open(&k->options, &k->server, &err) != ST_OK)
        fail_msg("%s", err.message);
}

void kit_stop(struct kit *k)
{
    server_close(&k->server);
}

void kit_close(struct kit **ptr)
{
    char command[128];
    kit_stop(*ptr);
    camera_list_clear(&(*ptr)->options.cameras);
    snprintf(command, sizeof command, "rm -rf %s", (*ptr)->dir);
    assert_int_equal(system(command), 0);
    free(*ptr);
    *ptr = NULL;
}

static size_t on_body(char *data, size_t one, size_t n, void *context)
{
    (void)one;
    buf_put(context, data, n);
    return n;
}

static size_t on_header(char *data, size_t one, size_t n, void *context)
{
    (void)one;
    struct answer *a = context;
    size_t at = strlen(a->headers);
    if (at + n < sizeof a->headers) {
        memcpy(a->headers + at, data, n);
        a->headers[at + n] = '\0';
    }
    return n;
}

void kit_ask(struct kit *k, const char *method, const char *path, const void *body, size_t n,
             struct answer *a)
{
    char url[512];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server_http_port(k->server), path);
    CURL *c = curl_easy_init();
    assert_non_null(c);
    a->body.size_bytes = 0;
    a->headers[0] = '\0';
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &a->body);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, a);
    if (body) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)n);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    }
    struct curl_slist *more = NULL;
    for (size_t i = 0; i < sizeof k->headers / sizeof k->headers[0] && k->headers[i]; i++)
        assert_non_null(more = curl_slist_append(more, k->headers[i]));
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, more);
    CURLcode code = curl_easy_perform(c);
    curl_slist_free_all(more);
    /* A refused body may break the connection after the answer is there. */
    if (code != CURLE_OK && code != CURLE_SEND_ERROR)
        fail_msg("%s %s: %s", method, path, curl_easy_strerror(code));
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a->status);
    curl_easy_cleanup(c);
    buf_put_u8(&a->body, 0);
    a->body.size_bytes--;
}

void answer_clear(struct answer *a)
{
    buf_clear(&a->body);
}

json_t *kit_json(struct kit *k, const char *path, long status)
{
    struct answer a = {0};
    kit_ask(k, "GET", path, NULL, 0, &a);
    if (a.status != status)
        fail_msg("GET %s: %ld instead of %ld: %s", path, a.status, status,
                 (const char *)a.body.data);
    json_t *value = json_loadb((const char *)a.body.data, a.body.size_bytes, 0, NULL);
    assert_non_null(value);
    answer_clear(&a);
    return value;
}

void kit_hello(struct kit *k, const char *camera)
{
    struct answer a = {0};
    char path[128], body[512];
    snprintf(path, sizeof path, "/v1/cameras/%s/hello", camera);
    int n = snprintf(body, sizeof body,
                     "{\"student\":\"%s\",\"task\":\"segment\",\"width\":48,\"height\":32,"
                     "\"fps\":30,\"version\":0}",
                     k->identity_hex);
    kit_ask(k, "POST", path, body, (size_t)n, &a);
    if (a.status != 200)
        fail_msg("hello: %ld %s", a.status, (const char *)a.body.data);
    answer_clear(&a);
}

long kit_put(struct kit *k, const char *camera, uint64_t seq, const struct buf *chunk)
{
    struct answer a = {0};
    char path[160];
    snprintf(path, sizeof path, "/v1/cameras/%s/chunks/%llu", camera, (unsigned long long)seq);
    kit_ask(k, "PUT", path, chunk->data, chunk->size_bytes, &a);
    answer_clear(&a);
    return a.status;
}

void kit_chunk(const char *camera, uint64_t seq, int count, uint64_t t_us, uint64_t version,
               struct buf *out)
{
    kit_chunk_sized(camera, seq, count, 48, 32, t_us, version, out);
}

void kit_chunk_sized(const char *camera, uint64_t seq, int count, int width, int height,
                     uint64_t t_us, uint64_t version, struct buf *out)
{
    struct frame frames[CHUNK_FRAMES_MAX];
    struct clip clip;
    struct clip_options o;
    struct chunk c = {.seq = seq,
                      .width = width,
                      .height = height,
                      .count = count,
                      .sampling_fps = 1,
                      .codec = CHUNK_H264};
    struct error err = {0};
    snprintf(c.camera, sizeof c.camera, "%s", camera);
    for (int i = 0; i < count; i++) {
        frame_init(&frames[i]);
        draw_picture(&frames[i], c.width, c.height, (int)seq * 10 + i);
        c.t_us[i] = t_us + (uint64_t)i * 1000000;
        c.version[i] = version;
    }
    clip_init(&clip);
    clip_options_init(&o);
    o.bytes_max = 65536;
    if (clip_encode(frames, count, &o, &clip, &err) != ST_OK)
        fail_msg("%s", err.message);
    assert_int_equal(clip.count, count);
    c.payload = clip.bytes.data;
    c.payload_bytes = clip.bytes.size_bytes;
    out->size_bytes = 0;
    if (chunk_encode(&c, out, &err) != ST_OK)
        fail_msg("%s", err.message);
    clip_clear(&clip);
    for (int i = 0; i < count; i++)
        frame_clear(&frames[i]);
}

/* 0: not among those that are there now; *after moves on. */
static uint64_t look_for(struct kit *k, const char *kind, uint64_t *after)
{
    char path[128];
    snprintf(path, sizeof path, "/v1/events?format=json&limit=1000&after=%llu",
             (unsigned long long)*after);
    json_t *all = kit_json(k, path, 200), *e;
    size_t i;
    uint64_t found = 0;
    json_array_foreach(json_object_get(all, "events"), i, e)
    {
        *after = (uint64_t)json_integer_value(json_object_get(e, "id"));
        if (!found && strcmp(json_string_value(json_object_get(e, "kind")), kind) == 0)
            found = *after;
    }
    json_decref(all);
    return found;
}

uint64_t kit_event_of(struct kit *k, const char *camera, const char *kind, uint64_t after,
                      char **ret_reason)
{
    char path[128];
    snprintf(path, sizeof path, "/v1/events?format=json&limit=1000&after=%llu",
             (unsigned long long)after);
    json_t *all = kit_json(k, path, 200), *e, *last = NULL;
    size_t i;
    json_array_foreach(
        json_object_get(all, "events"), i,
        e) if (strcmp(json_string_value(json_object_get(e, "camera")), camera) == 0 &&
               strcmp(json_string_value(json_object_get(e, "kind")), kind) == 0) last = e;
    uint64_t found = (uint64_t)json_integer_value(json_object_get(last, "id"));
    if (ret_reason)
        *ret_reason = last ? strdup(json_string_value(json_object_get(last, "reason"))) : NULL;
    json_decref(all);
    return found;
}

/* A wait that took too long says what the server was about. */
static void expect_soon(struct kit *k, uint64_t start_us, const char *camera, const char *what)
{
    if (clock_mono_us() - start_us < AWAIT_US)
        return;
    static const char *const paths[] = {"/v1/groups", "/v1/compute",
                                        "/v1/events?format=json&limit=1000"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        json_t *now = kit_json(k, paths[i], 200);
        char *text = json_dumps(now, JSON_COMPACT);
        fprintf(stderr, "%s: %s\n", paths[i], text);
        free(text);
        json_decref(now);
    }
    fail_msg("%s: no '%s' came in %d s", camera, what, (int)(AWAIT_US / 1000000));
}

uint64_t kit_await(struct kit *k, const char *kind, uint64_t after)
{
    uint64_t start_us = clock_mono_us(), found;
    while ((found = look_for(k, kind, &after)) == 0) {
        expect_soon(k, start_us, "any camera", kind);
        kit_pause();
    }
    return found;
}

void kit_upload_sized(struct kit *k, const char *camera, uint64_t *seq, int width, int height)
{
    struct buf chunk;
    uint64_t t_us = clock_wall_us() - 100000000 + *seq * 5000000;
    buf_init(&chunk);
    kit_chunk_sized(camera, ++*seq, 4, width, height, t_us, 0, &chunk);
    assert_int_equal(kit_put(k, camera, *seq, &chunk), 201);
    buf_clear(&chunk);
}

void kit_upload(struct kit *k, const char *camera, uint64_t *seq)
{
    kit_upload_sized(k, camera, seq, 48, 32);
}

json_int_t kit_version(struct kit *k, const char *camera)
{
    char path[80];
    snprintf(path, sizeof path, "/v1/cameras/%s", camera);
    json_t *c = kit_json(k, path, 200);
    json_int_t v = json_integer_value(json_object_get(c, "version"));
    json_decref(c);
    return v;
}

void kit_pause(void)
{
    clock_sleep_until_us(clock_mono_us() + 10000);
}

bool kit_told(struct kit *k, const char *camera, struct inference_report *ret)
{
    uint64_t age_us;
    return board_told(k->server->board, camera, clock_mono_us(), ret, &age_us);
}

void kit_await_so(bool (*is_so)(const char *camera), const char *camera)
{
    uint64_t start_us = clock_mono_us();
    while (!is_so(camera)) {
        if (clock_mono_us() - start_us > AWAIT_US)
            fail_msg("what was expected of camera %s did not happen", camera);
        kit_pause();
    }
}

void kit_await_version(struct kit *k, const char *camera, json_int_t least)
{
    uint64_t start_us = clock_mono_us();
    while (kit_version(k, camera) < least) {
        expect_soon(k, start_us, camera, "newer version");
        kit_pause();
    }
}

bool kit_trains_now(struct kit *k, const char *group)
{
    json_t *compute = kit_json(k, "/v1/compute", 200), *w;
    size_t i;
    bool yes = false;
    json_array_foreach(json_object_get(compute, "workers"), i, w) yes |=
        strcmp(json_string_value(json_object_get(w, "group")), group) == 0;
    json_decref(compute);
    return yes;
}

void kit_await_training(struct kit *k, const char *group)
{
    uint64_t start_us = clock_mono_us();
    while (!kit_trains_now(k, group)) {
        expect_soon(k, start_us, group, "training");
        kit_pause();
    }
}

void kit_hurry_version(struct kit *k, const char *camera, uint64_t *seq, json_int_t least)
{
    uint64_t start_us = clock_mono_us();
    for (bool uploaded = false; kit_version(k, camera) < least; kit_pause()) {
        expect_soon(k, start_us, camera, "newer version");
        if (!uploaded && kit_trains_now(k, camera)) {
            kit_upload(k, camera, seq);
            uploaded = true;
        }
    }
}

uint64_t kit_await_event(struct kit *k, const char *camera, const char *kind, uint64_t after,
                         char **ret_reason)
{
    uint64_t start_us = clock_mono_us(), id;
    while ((id = kit_event_of(k, camera, kind, after, ret_reason)) == 0) {
        expect_soon(k, start_us, camera, kind);
        kit_pause();
    }
    return id;
}

void kit_start_trained(struct kit *k, const char *camera, uint64_t *seq)
{
    kit_start(k);
    kit_hello(k, camera);
    kit_upload(k, camera, seq);
    kit_await_version(k, camera, 1);
}
