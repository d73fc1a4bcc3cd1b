/* server.c - puts the parts together in the order in which they need each other, and takes them
 * apart in the reverse: the bell first, so that nobody sleeps, then HTTP, so that nothing new
 * comes in and nobody asks for a part that is gone, then the threads, the store last. */
#include "server/server.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "server/access.h"
#include "server/board.h"
#include "server/bridge.h"
#include "server/control.h"
#include "server/deadlines.h"
#include "server/gate.h"
#include "server/history.h"
#include "server/hooks.h"
#include "server/http.h"
#include "server/labelling.h"
#include "server/metrics.h"
#include "server/node.h"
#include "server/streams.h"
#include "server/tls.h"
#include "train/learner.h"

#define WORKERS_AUTO_MAX 8
#define FILES_KEPT 512 /* open files that connections from outside must leave */
#define DOORS 2        /* to outside: listen and http */
#define OPEN_LOOK_US ((uint64_t)1000000)

static enum status open_models(struct server *s, struct error *err)
{
    if (!learner_preset_parse(s->set.preset))
        return error_set(err, ST_INVALID,
                         "there is no preset '%.40s'; it is attune, ams, full or one-time",
                         s->set.preset);
    enum status st = nn_model_open(s->set.student, NULL, &s->student, err);
    if (st == ST_OK)
        st = nn_model_open(s->set.teacher, NULL, &s->teacher, err);
    if (st == ST_OK)
        st = task_spec_read(s->student, &s->student_spec, err);
    return st == ST_OK ? task_spec_check_student(&s->student_spec, err) : st;
}

/* Versions and learner states are of one student: another one needs another folder. */
static enum status check_student(struct server *s, struct error *err)
{
    char known[65];
    const char *ours = nn_model_identity_hex(s->student);
    enum status st = store_meta_get(s->store, "student", known, sizeof known, err);
    if (st == ST_NOT_FOUND)
        return store_meta_put(s->store, "student", ours, err);
    if (st == ST_OK && strcmp(known, ours) != 0)
        return error_set(err, ST_CONFLICT,
                         "the state folder %s belongs to student %.12s..., this is %.12s...; give "
                         "the same file or another folder",
                         s->set.state, known, ours);
    return st;
}

void server_store_options(const struct settings *set, struct store_options *ret)
{
    store_options_init(ret);
    ret->cameras_max = set->cameras_max;
    ret->backlog_max = set->backlog_max;
    ret->events_max = set->events_max;
    ret->frames_max = set->frames_max;
    ret->versions_max = set->versions_max;
    ret->trainings_max = set->trainings_max;
    ret->disk_free_min_mb = (uint64_t)set->disk_free_min_mb;
    ret->retention_us = (uint64_t)(set->retention_days * 86400e6);
    ret->state_bytes_max = (uint64_t)set->state_mb_max << 20;
}

/* What labels mean, for whoever reads them without the student (attune label export). */
static enum status note_classes(struct server *s, struct error *err)
{
    json_t *names = json_array();
    for (int i = 0; i < s->student_spec.class_count; i++)
        json_array_append_new(names, json_string(s->student_spec.class_name[i]));
    char *text = json_dumps(names, JSON_COMPACT);
    enum status st = text ? store_meta_put(s->store, "classes", text, err)
                          : error_set(err, ST_NOMEM, "no memory for the classes");
    if (st == ST_OK)
        st = store_meta_put(s->store, "task", task_name(s->student_spec.task), err);
    if (st == ST_OK)
        st = store_meta_put(s->store, "teacher", nn_model_identity_hex(s->teacher), err);
    free(text);
    json_decref(names);
    return st;
}

static enum status open_store(struct server *s, struct error *err)
{
    struct store_options o;
    server_store_options(&s->set, &o);
    enum status st = store_open(s->set.state, &o, &s->store, err);
    if (st == ST_OK)
        st = check_student(s, err);
    return st == ST_OK ? note_classes(s, err) : st;
}

/* Who is let in takes no file that the store, the streams or the control socket need. */
static void fit_connections(struct server *s)
{
    uint64_t wanted = (uint64_t)s->set.connections_max * DOORS + FILES_KEPT;
    uint64_t files = process_files_allow(wanted);
    if (files >= wanted)
        return;
    uint64_t left = files > FILES_KEPT ? files - FILES_KEPT : files / 4;
    s->set.connections_max = left / DOORS > 4 ? (int)(left / DOORS) : 4;
    log_write(LOG_WARN, "fewer connections",
              "connections_max=%d why=\"only %llu files may be open\"", s->set.connections_max,
              (unsigned long long)files);
}

/* Who may ask is known before anybody can. */
static enum status open_doors(struct server *s, struct error *err)
{
    struct buf cert, key;
    buf_init(&cert);
    buf_init(&key);
    uint8_t key_sha256[32];
    bool on = strcmp(s->set.listen, "off") != 0;
    enum status st = ST_OK;
    fit_connections(s);
    if (on)
        st = tls_load(s->set.state, clock_wall_us(), &cert, &key, s->certificate_hex, key_sha256,
                      err);
    if (st == ST_OK)
        st = access_open(s, on ? key_sha256 : NULL, &s->access, err);
    if (st == ST_OK)
        st = gate_open(s, &s->gate, err);
    if (st == ST_OK)
        st = deadlines_open(&s->deadlines, err);
    if (st == ST_OK && on)
        st = http_open(s, DOOR_NETWORK, s->set.listen, (const char *)cert.data,
                       (const char *)key.data, &s->https, err);
    buf_clear(&cert);
    buf_clear(&key);
    return st;
}

/* Who works where; this thread, and those that it starts, go to the rest. */
static enum status plan_cores(struct server *s, struct error *err)
{
    struct cores_machine machine;
    char text[3 * CORES_TEXT_BYTES];
    struct settings *set = &s->set;
    s->roles[SERVER_LABEL] = (struct cores_role){
        .name = "label_cores", .wish = set->label_cores, .threads = set->label_threads};
    int train_threads = set->train_threads > 1 ? set->train_threads * set->workers : 1;
    s->roles[SERVER_TRAIN] = (struct cores_role){
        .name = "train_cores", .wish = set->train_cores, .threads = train_threads};
    enum status st = cores_machine_read(&machine, err);
    if (st == ST_OK)
        st = cores_plan(&machine, s->roles, SERVER_ROLES, &s->cores, err);
    if (st == ST_OK && s->cores.pinned)
        st = cores_pin(&s->cores.rest, err);
    if (st != ST_OK)
        return st;
    cores_plan_write(&s->cores, s->roles, SERVER_ROLES, text, sizeof text);
    if (s->cores.fewer)
        log_write(LOG_WARN, "fewer threads", "label_threads=%d train_threads=%d processors=\"%s\"",
                  set->label_threads, set->train_threads, text);
    else if (s->cores.pinned)
        log_write(LOG_INFO, "processors", "plan=\"%s\"", text);
    set->label_threads = s->roles[SERVER_LABEL].threads;
    if (s->roles[SERVER_TRAIN].threads < train_threads)
        set->train_threads = 1;
    return ST_OK;
}

/* As many as can work at once: with a team of threads each they would stall each other. */
static int workers_of(const struct settings *set)
{
    if (set->workers > 0)
        return set->workers;
    double processors = set->train_threads > 1 ? 1 : limiter_processors();
    return processors < 1 ? 1 : processors > WORKERS_AUTO_MAX ? WORKERS_AUTO_MAX : (int)processors;
}

static enum status open_shares(struct server *s, struct error *err)
{
    int means = share_means_parse(s->set.share_means);
    if (means < 0)
        return error_set(err, ST_INVALID, "share_means is auto, cgroup, pacing or mps, not '%.40s'",
                         s->set.share_means);
    s->set.workers = workers_of(&s->set);
    enum status st = limiter_open((enum share_means)means, s->set.compute, &s->limiter, err);
    if (st == ST_OK)
        st = ledger_open(LEDGER_WINDOW_US, s->set.cameras_max, clock_mono_us(), &s->ledger, err);
    if (st == ST_OK)
        log_write(LOG_INFO, "shares", "capacity=%g workers=%d means=\"%s\"",
                  limiter_capacity(s->limiter), s->set.workers, limiter_reason(s->limiter));
    return st;
}

static enum status open_parts(struct server *s, struct error *err)
{
    enum status st = config_open(&s->set, &s->options.cameras, &s->config, err);
    if (st == ST_OK)
        st = metrics_open(s->set.cameras_max, &s->metrics, err);
    if (st == ST_OK)
        st = open_shares(s, err);
    if (st == ST_OK)
        st = plan_cores(s, err);
    if (st == ST_OK)
        st = open_models(s, err);
    if (st == ST_OK)
        st = open_store(s, err);
    if (st == ST_OK)
        st = board_open(s->config, s->set.cameras_max, clock_wall_us(), &s->board, err);
    if (st == ST_OK)
        st = labelling_open(s, &s->labelling, err);
    if (st == ST_OK)
        st = open_doors(s, err);
    if (st == ST_OK && strcmp(s->set.http, "off") != 0)
        st = http_open(s, DOOR_NETWORK, s->set.http, NULL, NULL, &s->http, err);
    if (st == ST_OK)
        st = http_open_socket(s, &s->socket, err);
    if (st == ST_OK && s->set.adapt && !s->options.no_worker)
        st = control_open(s, &s->control, err);
    if (st == ST_OK)
        st = history_open(s, &s->history, err);
    bool streams = streams_wanted(&s->options.cameras) || s->options.sources.path;
    if (st == ST_OK && streams)
        st = http_open(s, DOOR_CHILDREN, "127.0.0.1:0", NULL, NULL, &s->local, err);
    if (st == ST_OK)
        st = streams_open(s, &s->streams, err);
    if (st == ST_OK)
        st = bridge_open(s, &s->bridge, err);
    if (st == ST_OK)
        st = hooks_open(s, &s->hooks, err);
    return st;
}

enum status server_open(const struct server_options *options, struct server **ret,
                        struct error *err)
{
    struct dividing dividing;
    enum status st = settings_check(&options->settings, &options->cameras, err);
    if (st == ST_OK)
        st = dividing_read(&options->settings, &options->cameras, &dividing, err);
    if (st != ST_OK)
        return st;
    struct server *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory for the server");
    s->options = *options;
    s->set = options->settings;
    s->dividing = dividing;
    s->started_us = clock_mono_us();
    bell_init(&s->bell);
    pthread_mutex_init(&s->reloading, NULL);
    st = open_parts(s, err);
    if (st != ST_OK) {
        server_close(&s);
        return st;
    }
    server_event(s, "", "server_started", NULL, "student %.12s, teacher %.12s, %s",
                 nn_model_identity_hex(s->student), nn_model_identity_hex(s->teacher),
                 s->set.adapt ? "adapting" : "only watching");
    if (s->set.auth && !access_has_users(s->access))
        log_write(LOG_WARN, "no users",
                  "how=\"attune user add NAME --role operate --state %.200s\"", s->set.state);
    atomic_store(&s->whole, true);
    bell_ring(&s->bell);
    *ret = s;
    return ST_OK;
}

bool server_await_whole(struct server *s)
{
    bool goes_on = true;
    while (goes_on && !atomic_load(&s->whole)) {
        uint64_t seen = bell_count(&s->bell);
        if (!atomic_load(&s->whole))
            goes_on = bell_wait(&s->bell, seen, clock_mono_us() + OPEN_LOOK_US);
    }
    return goes_on;
}

/* The children's door is open until they have ended, and all who ask by it have their answer before
 * a part goes. */
static void close_doors(struct server *s)
{
    http_close(&s->socket);
    http_close(&s->http);
    http_close(&s->https);
    streams_stop(s->streams);
    http_close(&s->local);
}

void server_close(struct server **ptr)
{
    struct server *s = ptr ? *ptr : NULL;
    if (!s)
        return;
    bell_stop(&s->bell);
    close_doors(s);
    hooks_close(&s->hooks);
    bridge_close(&s->bridge);
    streams_close(&s->streams);
    history_close(&s->history);
    deadlines_close(&s->deadlines);
    gate_close(&s->gate);
    control_close(&s->control);
    labelling_close(&s->labelling);
    board_close(&s->board);
    access_close(&s->access);
    store_close(&s->store);
    limiter_close(&s->limiter);
    ledger_close(&s->ledger);
    metrics_close(&s->metrics);
    nn_model_close(&s->student);
    nn_model_close(&s->teacher);
    config_close(&s->config);
    pthread_mutex_destroy(&s->reloading);
    bell_clear(&s->bell);
    free(s);
    *ptr = NULL;
}

int server_http_port(const struct server *s)
{
    return http_port(s->http);
}

int server_https_port(const struct server *s)
{
    return http_port(s->https);
}

const char *server_certificate_hex(const struct server *s)
{
    return s->certificate_hex;
}

const char *server_stalled(const struct server *s, uint64_t now_us, uint64_t limit_us)
{
    return pulse_still(&s->pulse, now_us, limit_us);
}

void server_sum_up(const struct server *s, char *ret, size_t size_bytes)
{
    snprintf(ret, size_bytes, "%llu frames labelled, %llu trainings, %llu failed",
             atomic_load(&s->counters.frames_labelled), atomic_load(&s->counters.phases),
             atomic_load(&s->counters.phases_failed));
}
