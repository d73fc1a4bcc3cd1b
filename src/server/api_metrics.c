/* api_metrics.c - GET /metrics: what the store, the ledger, the board and the counters know, as a
 * page for Prometheus. Labels are ids and fixed words, never a URL or a path. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include <gnutls/x509.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"
#include "server/board.h"
#include "server/bridge.h"
#include "server/control.h"
#include "server/hooks.h"
#include "server/http.h"
#include "server/metrics.h"

#define CERTIFICATE_BYTES_MAX ((size_t)1 << 20)
#define WINDOW_S ((double)LEDGER_WINDOW_US / 1e6)

struct page {
    struct server *server;
    struct prometheus_page metrics;
    struct store_camera *cameras;
    int count, count_max;
    uint64_t now_us;
    double capacity;
    double used_s[LEDGER_KINDS], window_s[LEDGER_KINDS], share[LEDGER_KINDS];
};

static void put(struct page *p, enum metric m, double v, const char *a, const char *b)
{
    prometheus_put(&p->metrics, m, v, (const char *const[]){a, b});
}

/* ---- cameras ---- */

static void copy_camera(const struct store_camera *c, void *context)
{
    struct page *p = context;
    if (p->count < p->count_max)
        p->cameras[p->count++] = *c;
}

static void put_row(struct page *p, const struct store_camera *c)
{
    put(p, METRIC_CAMERA_SEEN, (double)c->seen_us / 1e6, c->id, NULL);
    put(p, METRIC_CAMERA_CHUNKS, (double)c->chunks, c->id, NULL);
    put(p, METRIC_CAMERA_FPS, c->fps, c->id, NULL);
    put(p, METRIC_CAMERA_SAMPLING, c->sampling_fps, c->id, NULL);
    put(p, METRIC_ACCURACY, c->accuracy, c->id, NULL);
    put(p, METRIC_UNADAPTED, c->unadapted, c->id, NULL);
    put(p, METRIC_MODEL_VERSION, (double)c->camera_version, c->id, c->group);
    put(p, METRIC_UPLINK_BYTES, (double)c->up_bytes, c->id, NULL);
    put(p, METRIC_PAUSED, c->paused_us > 0, c->id, NULL);
    put(p, METRIC_DOWNLINK_BYTES, (double)c->down_bytes, c->id, NULL);
}

static void put_told(struct page *p, const struct store_camera *c)
{
    struct inference_report told;
    struct client_settings set;
    uint64_t age_us, backlog;
    bool known = board_told(p->server->board, c->id, clock_mono_us(), &told, &age_us);
    board_settings(p->server->board, c->id, &set);
    put(p, METRIC_UPLINK_BUDGET, set.uplink_kbps * 1000 / 8, c->id, NULL);
    put(p, METRIC_CAMERA_UP, board_is_up(p->server->board, c->id, c->seen_us, p->now_us), c->id,
        NULL);
    put(p, METRIC_DRIFT_SCORE, known && told.drift.kind != DRIFT_NONE ? told.drift.score : 0, c->id,
        NULL);
    if (store_backlog(p->server->store, c->id, &backlog, NULL) == ST_OK)
        put(p, METRIC_CAMERA_BACKLOG, (double)backlog, c->id, NULL);
    if (!known)
        return;
    put(p, METRIC_CAMERA_DEMAND, told.demand, c->id, NULL);
    put(p, METRIC_CAMERA_FACTOR, told.factor, c->id, NULL);
}

static void add_request(const struct store_request *r, void *context)
{
    put(context, METRIC_DRIFT_OPEN, 1, r->drift.camera, NULL);
}

/* ---- groups ---- */

static double mean_accuracy(const struct page *p, const char *group)
{
    double sum = 0;
    int count = 0;
    for (int i = 0; i < p->count; i++)
        if (strcmp(p->cameras[i].group, group) == 0 && isfinite(p->cameras[i].accuracy)) {
            sum += p->cameras[i].accuracy;
            count++;
        }
    return count ? sum / count : NAN;
}

static void add_group(const struct store_group *g, void *context)
{
    struct page *p = context;
    put(p, METRIC_GROUP_MEMBERS, g->members, g->id, NULL);
    put(p, METRIC_GROUP_ACCURACY, mean_accuracy(p, g->id), g->id, NULL);
    put(p, METRIC_GROUP_VERSION, (double)g->version, g->id, NULL);
    put(p, METRIC_GROUP_CANDIDATES, (double)g->versions, g->id, "accepted");
    put(p, METRIC_GROUP_CANDIDATES, (double)g->rejected, g->id, "rejected");
    put(p, METRIC_GROUP_UPDATE_BYTES, (double)g->encoded_bytes, g->id, "encoded");
    put(p, METRIC_GROUP_UPDATE_BYTES, (double)g->served_bytes, g->id, "served");
}

/* ---- compute ---- */

/* Trainings and profiles are in the account under their group's id (docs/api.md). */
static void add_entry(const struct ledger_entry *e, void *context)
{
    struct page *p = context;
    bool of_group = e->kind == LEDGER_TRAIN || e->kind == LEDGER_PROFILE;
    p->used_s[e->kind] += e->used_total_us / 1e6;
    p->window_s[e->kind] += e->used_us / 1e6;
    p->share[e->kind] += e->share;
    if (e->camera[0])
        put(p, of_group ? METRIC_GROUP_COMPUTE : METRIC_CAMERA_COMPUTE, e->used_total_us / 1e6,
            e->camera, ledger_kind_name(e->kind));
}

static void put_compute(struct page *p)
{
    uint64_t window_us;
    p->capacity = limiter_capacity(p->server->limiter);
    ledger_read(p->server->ledger, clock_mono_us(), &window_us, add_entry, p);
    double whole_s = p->capacity * (window_us ? (double)window_us / 1e6 : WINDOW_S);
    put(p, METRIC_COMPUTE_CAPACITY, p->capacity, NULL, NULL);
    for (int k = 0; k < LEDGER_KINDS; k++) {
        const char *name = ledger_kind_name((enum ledger_kind)k);
        put(p, METRIC_COMPUTE_SECONDS, p->used_s[k], name, NULL);
        put(p, METRIC_COMPUTE_USED, p->window_s[k] / whole_s, name, NULL);
        put(p, METRIC_COMPUTE_PLANNED, p->share[k] / p->capacity, name, NULL);
    }
}

/* ---- the server ---- */

static void put_queues(struct page *p)
{
    struct server *s = p->server;
    uint64_t backlog;
    if (store_backlog(s->store, NULL, &backlog, NULL) == ST_OK)
        put(p, METRIC_QUEUE_DEPTH, (double)backlog, "label", NULL);
    put(p, METRIC_QUEUE_LIMIT,
        (double)config_live(s->config).backlog_max * (p->count ? p->count : 1), "label", NULL);
    put(p, METRIC_QUEUE_DEPTH, s->counters.waiters, "connections", NULL);
    put(p, METRIC_QUEUE_LIMIT, s->set.connections_max, "connections", NULL);
}

static void put_webhooks(struct page *p)
{
    struct hooks_counts n;
    if (!p->server->hooks)
        return;
    hooks_counts(p->server->hooks, &n);
    put(p, METRIC_QUEUE_DEPTH, (double)n.behind, "webhook", NULL);
    put(p, METRIC_QUEUE_LIMIT, HOOKS_BEHIND_MAX, "webhook", NULL);
    put(p, METRIC_QUEUE_DROPPED, (double)n.dropped, "webhook", NULL);
    put(p, METRIC_MESSAGES, (double)n.delivered, "webhook", NULL);
}

static void put_messages(struct page *p)
{
    struct mqtt_counts n;
    if (!p->server->bridge)
        return;
    bridge_counts(p->server->bridge, &n);
    put(p, METRIC_QUEUE_DEPTH, n.outbox.depth, "mqtt", NULL);
    put(p, METRIC_QUEUE_LIMIT, n.outbox.limit, "mqtt", NULL);
    put(p, METRIC_QUEUE_DROPPED, (double)n.outbox.dropped, "mqtt", NULL);
    put(p, METRIC_MESSAGES, (double)n.outbox.put, "mqtt", NULL);
    put(p, METRIC_MQTT_UP, n.connected, NULL, NULL);
    put(p, METRIC_MQTT_CONNECTIONS, (double)n.connections, NULL, NULL);
}

static void put_jobs(struct page *p)
{
    static const char *const ends[][2] = {{"accepted", "accepted"},
                                          {"rejected", "rejected"},
                                          {"phase_failed", "failed"},
                                          {"training_dropped", "dropped"}};
    struct metrics *m = p->server->metrics;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        put(p, METRIC_RETRAIN_JOBS, (double)metrics_events(m, ends[i][0]), ends[i][1], NULL);
    put(p, METRIC_GROUP_CHANGES,
        (double)(metrics_events(m, "group_joined") + metrics_events(m, "group_left")), NULL, NULL);
    put(p, METRIC_ROLLBACKS, (double)metrics_events(m, "rolled_back"), NULL, NULL);
    put(p, METRIC_DECISIONS, (double)metrics_events(m, "scheduled"), NULL, NULL);
}

/* NaN when it cannot be read. */
static double certificate_end_s(const char *state)
{
    char path[PATH_MAX];
    struct buf pem;
    gnutls_x509_crt_t cert;
    double end_s = NAN;
    buf_init(&pem);
    snprintf(path, sizeof path, "%.4000s/tls/cert.pem", state);
    if (file_read(path, CERTIFICATE_BYTES_MAX, &pem, NULL) == ST_OK &&
        gnutls_x509_crt_init(&cert) == 0) {
        const gnutls_datum_t data = {pem.data, (unsigned)pem.size_bytes};
        if (gnutls_x509_crt_import(cert, &data, GNUTLS_X509_FMT_PEM) == 0)
            end_s = (double)gnutls_x509_crt_get_expiration_time(cert);
        gnutls_x509_crt_deinit(cert);
    }
    buf_clear(&pem);
    return end_s;
}

static void put_disk(struct page *p)
{
    struct statvfs disk;
    if (statvfs(p->server->set.state, &disk) == 0)
        put(p, METRIC_DISK_FREE, (double)disk.f_bavail * (double)disk.f_frsize, NULL, NULL);
    put(p, METRIC_DISK_LIMIT, config_live(p->server->config).disk_free_min_mb * 1048576.0, NULL,
        NULL);
}

static void put_server(struct page *p)
{
    struct server *s = p->server;
    const struct server_options *o = &s->options;
    prometheus_put(&p->metrics, METRIC_BUILD_INFO, 1,
                   (const char *const[]){o->version ? o->version : "unknown",
                                         o->revision ? o->revision : "unknown", __VERSION__});
    put(p, METRIC_UPTIME, (double)(clock_mono_us() - s->started_us) / 1e6, NULL, NULL);
    put(p, METRIC_ADAPTING, s->set.adapt, NULL, NULL);
    put(p, METRIC_TEACHER_FRAMES, (double)s->counters.frames_labelled, NULL, NULL);
    put(p, METRIC_CHUNKS_FAILED, (double)s->counters.chunks_failed, NULL, NULL);
    put(p, METRIC_CHUNKS_RETIRED, (double)s->counters.retired_chunks, NULL, NULL);
    put(p, METRIC_WORKER_RESTARTS, (double)s->counters.worker_restarts, NULL, NULL);
    const char *worker = control_worker_state(s->control);
    if (strcmp(worker, "off") != 0)
        put(p, METRIC_WORKER_UP, strcmp(worker, "running") == 0, NULL, NULL);
    if (s->https)
        put(p, METRIC_CERTIFICATE, certificate_end_s(s->set.state), NULL, NULL);
}

static void put_process(struct page *p)
{
    struct process_usage u;
    process_usage_read(&u);
    put(p, METRIC_PROCESS_CPU, u.cpu_s, NULL, NULL);
    put(p, METRIC_PROCESS_START, u.start_s, NULL, NULL);
    put(p, METRIC_PROCESS_VIRTUAL, u.virtual_bytes, NULL, NULL);
    put(p, METRIC_PROCESS_RESIDENT, u.resident_bytes, NULL, NULL);
    put(p, METRIC_PROCESS_FDS, u.open_fds, NULL, NULL);
    put(p, METRIC_PROCESS_FDS_MAX, u.max_fds, NULL, NULL);
    put(p, METRIC_PROCESS_THREADS, u.threads, NULL, NULL);
}

static enum status fill(struct page *p, struct error *err)
{
    struct store *store = p->server->store;
    p->cameras = calloc((size_t)p->count_max, sizeof *p->cameras);
    if (!p->cameras)
        return error_set(err, ST_NOMEM, "no memory for the metrics");
    enum status st = store_cameras(store, copy_camera, p, err);
    if (st == ST_OK)
        st = store_groups(store, add_group, p, err);
    if (st == ST_OK)
        st = store_requests_open(store, add_request, p, err);
    for (int i = 0; i < p->count && st == ST_OK; i++) {
        put_row(p, &p->cameras[i]);
        put_told(p, &p->cameras[i]);
    }
    put_server(p);
    put_jobs(p);
    put_compute(p);
    put_queues(p);
    put_messages(p);
    put_webhooks(p);
    put_disk(p);
    put_process(p);
    metrics_put(p->server->metrics, &p->metrics);
    return st;
}

void api_metrics(struct request *r, struct reply *out)
{
    struct error err = {0};
    struct page *p = calloc(1, sizeof *p);
    if (!p) {
        reply_error(out, 500, "no memory for the metrics");
        return;
    }
    p->server = r->server;
    p->count_max = r->server->set.cameras_max;
    p->now_us = clock_wall_us();
    prometheus_init(&p->metrics, metrics_table(), METRIC_COUNT);
    enum status st = fill(p, &err);
    if (st == ST_OK)
        st = prometheus_write(&p->metrics, &out->body, &err);
    prometheus_clear(&p->metrics);
    free(p->cameras);
    free(p);
    out->status = 200;
    out->type = "text/plain; version=0.0.4; charset=utf-8";
    if (st != ST_OK)
        reply_status(out, st, &err);
}
