/* The whole camera against a server that fails: chunks arrive once, updates are applied, restarts
 * continue, and the real-time loop neither allocates nor loses a frame to a model swap. */
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../uplink/fake_server.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "edge/agent.h"
#include "share/throttle.h"
#include "task/nets.h"
#include "tiny_model.h"
#include "uplink/chunk.h"
#include "uplink/controller.h"
#include "uplink/message.h"
#include "video/frame.h"
#include "video/image.h"
#include "video/mask.h"
#include "video/source.h"

#define SIDE 64
#define WARM_UP_FRAMES 20

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

/* Allocations of the thread that set `counted`, but for those of C++ (oneDNN's own, which makes
 * small tables for each run and frees them). */
static _Thread_local bool counted;
static atomic_ulong allocations;

#ifndef SANITIZED
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t m);
extern void *__libc_realloc(void *p, size_t n);

static void count_one(const void *caller)
{
    if (!counted)
        return;
    counted = false;
    Dl_info info;
    if (!dladdr(caller, &info) ||
        (!strstr(info.dli_fname, "libstdc++") && !strstr(info.dli_fname, "libdnnl")))
        atomic_fetch_add(&allocations, 1);
    counted = true;
}

void *malloc(size_t n)
{
    count_one(__builtin_return_address(0));
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t m)
{
    count_one(__builtin_return_address(0));
    return __libc_calloc(n, m);
}

void *realloc(void *p, size_t n)
{
    count_one(__builtin_return_address(0));
    return __libc_realloc(p, n);
}
#endif

static char folder[64], student[128], state_folder[128], overlay[128];
static struct fake_server *server;
static char server_url[64];
static struct error err;

static int start(void **state)
{
    (void)state;
    log_level_set(LOG_ERROR);
    snprintf(folder, sizeof folder, "/tmp/attune-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(student, sizeof student, "%s/student.onnx", folder);
    snprintf(state_folder, sizeof state_folder, "%s/state", folder);
    snprintf(overlay, sizeof overlay, "%s/overlay.mp4", folder);
    server = fake_server_start(0);
    if (!server || !tiny_model_write(student, SIDE, SIDE))
        return -1;
    snprintf(server_url, sizeof server_url, "http://127.0.0.1:%d", fake_server_port(server));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_server_stop(&server);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* What the callbacks saw. */
struct seen {
    uint64_t results, last_frame, last_version, warm_allocations, last_allocations;
    bool (*done)(const struct seen *s); /* when to stop; NULL: at the end of options.seconds */
    uint64_t want_version;
    int want_chunks;
    struct agent *agent;
    bool out_of_order, bad_share, bad_hold;
    uint64_t held, inferred_frame; /* the last that was inferred */
    float inferred_fraction;       /* and its answer */
    int stage;
    int scores;
    struct agent_score score;
};

static void on_result(void *context, const struct agent_result *r)
{
    struct seen *s = context;
    s->out_of_order |=
        s->results > 0 && (r->frame <= s->last_frame || r->version < s->last_version);
    /* A held answer is the last one that was made, with its version. */
    s->bad_hold |= r->held && (s->results == 0 || r->version != s->last_version ||
                               r->fraction[0] != s->inferred_fraction);
    s->held += r->held;
    if (!r->held) {
        s->inferred_frame = r->frame;
        s->inferred_fraction = r->fraction[0];
    }
    s->last_frame = r->frame;
    s->last_version = r->version;
    double sum = 0;
    for (int c = 0; c < r->class_count; c++)
        sum += (double)r->fraction[c];
    s->bad_share |= fabs(sum - 1) > 1e-4;
    if (++s->results == WARM_UP_FRAMES)
        s->warm_allocations = atomic_load(&allocations);
    s->last_allocations = atomic_load(&allocations);
    if (s->done && s->done(s))
        agent_stop(s->agent);
}

static bool adapted_and_sent(const struct seen *s)
{
    return s->last_version == s->want_version && s->results > WARM_UP_FRAMES + 10 &&
           fake_server_chunk_count(server) >= s->want_chunks;
}

static bool asks_from_zero(const struct seen *s)
{
    return s->last_version == 0 && fake_server_have(server) == 0;
}

#define OWN_NUMBER 77

/* It has its own; then it is to have none, and has none. */
static bool had_its_own(const struct seen *s)
{
    static const struct seen *had;
    if (fake_server_camera_owns(server) == OWN_NUMBER && s->last_version == s->want_version) {
        had = s;
        fake_server_own(server, 0, NULL, 0);
    }
    return had == s && fake_server_camera_owns(server) == 0;
}

static bool asked_often(const struct seen *s)
{
    (void)s;
    return fake_server_requests(server) >= 5;
}

/* Through full rate, a quarter of it, half the resolution, and a share too small for anything. Each
 * stage begins when the server has been told that the one before it runs, and after a while. */
static struct inference_report told;
static uint64_t stage_results, stage_inferred, quarter_results, quarter_inferred;

/* scale 0: any, where what is measured decides: on a busy machine one of the tiny student's sizes
 * may seem no cheaper than another. */
static bool runs(int stride, double scale)
{
    char text[8192];
    fake_server_report(server, text, sizeof text);
    return message_read_report(text, strlen(text), &told, &err) == ST_OK &&
           told.running.stride == stride && (scale == 0 || told.running.scale == scale);
}

static bool went_through_the_configurations(const struct seen *seen)
{
    static const struct stage {
        int stride;
        double scale, wish_share, wish_rate, wish_scale;
    } stages[] = {{1, 1, 0, 0.25, 1}, {4, 1, 0, 1, 0.5}, {1, 0.5, 1e-6, 0, 0}, {16, 0, 0, 0, 0}};
    enum { STAGES = sizeof stages / sizeof stages[0] };
    struct seen *s = (struct seen *)(uintptr_t)seen;
    if (s->stage == STAGES) /* results go on until the camera has stopped */
        return true;
    const struct stage *now = &stages[s->stage];
    uint64_t inferred = s->results - s->held;
    if (stage_results == 0 && runs(now->stride, now->scale)) {
        stage_results = s->results;
        stage_inferred = inferred;
    }
    if (stage_results == 0 || s->results < stage_results + 60)
        return false;
    if (s->stage == 1) {
        quarter_results = s->results - stage_results;
        quarter_inferred = inferred - stage_inferred;
    }
    stage_results = 0;
    if (++s->stage == STAGES)
        return true;
    fake_server_wish(server, now->wish_share, now->wish_rate, now->wish_scale);
    return false;
}

static void on_score(void *context, const struct agent_score *score)
{
    struct seen *s = context;
    s->scores++;
    s->score = *score;
}

static void options_of_test(struct agent_options *o, struct seen *seen)
{
    agent_options_init(o);
    o->seconds = 100; /* a limit: runs end when what they wait for has happened */
    o->source_url = "town:width=64,height=64,fps=40,scenario=clear";
    o->student_path = student;
    o->server_url = server_url;
    o->camera_id = "gate";
    o->state_folder = state_folder;
    o->on_result = on_result;
    o->on_score = on_score;
    o->context = seen;
}

static enum status run(const struct agent_options *o, struct seen *seen, struct agent_summary *ret)
{
    struct agent *a = NULL;
    enum status st = agent_open(o, &a, &err);
    if (st != ST_OK)
        return st;
    seen->agent = a;
    counted = true;
    st = agent_run(a, ret, &err);
    counted = false;
    agent_close(&a);
    return st;
}

/* Every chunk that the server stored is whole, in order, and says what the camera ran. */
static void check_chunks(uint64_t newest_version)
{
    static struct chunk c;
    uint64_t last_seq = 0, last_us = 0;
    for (int i = 0; i < fake_server_chunk_count(server); i++) {
        struct fake_chunk f = fake_server_chunk(server, i);
        assert_int_equal(chunk_parse(f.bytes, f.n, &c, &err), ST_OK);
        assert_string_equal(c.camera, "gate");
        assert_true(c.seq == f.seq && c.seq > last_seq);
        last_seq = c.seq;
        assert_true(c.width == SIDE && c.height == SIDE && c.count >= 1);
        for (int k = 0; k < c.count; k++) {
            assert_true(c.t_us[k] > last_us && c.version[k] <= newest_version);
            last_us = c.t_us[k];
        }
        struct frame frames[CHUNK_FRAMES_MAX];
        for (int k = 0; k < c.count; k++)
            frame_init(&frames[k]);
        assert_int_equal(chunk_decode_frames(&c, frames, &err), ST_OK);
        for (int k = 0; k < c.count; k++)
            frame_clear(&frames[k]);
    }
}

/* Inference on the last processor, everything else elsewhere. */
static cpu_set_t owned;
static atomic_int strayed;

static void on_result_elsewhere(void *context, const struct agent_result *r)
{
    int cpu = sched_getcpu();
    if (cpu < 0 || CPU_ISSET((size_t)cpu, &owned))
        atomic_fetch_add(&strayed, 1);
    on_result(context, r);
}

static bool has_results(const struct seen *s)
{
    return s->results >= 5;
}

static void inference_has_its_own_processor(void **state)
{
    (void)state;
    cpu_set_t all, now;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    if (CPU_COUNT(&all) < 2)
        skip();
    char list[16];
    CPU_ZERO(&owned);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all)) {
            CPU_ZERO(&owned);
            CPU_SET(cpu, &owned);
            snprintf(list, sizeof list, "%zu", cpu);
        }
    struct seen seen = {.done = has_results};
    struct agent_options o;
    struct agent_summary s;
    options_of_test(&o, &seen);
    o.server_url = NULL;
    o.cores = list;
    o.on_result = on_result_elsewhere;
    assert_int_equal(run(&o, &seen, &s), ST_OK);
    assert_true(has_results(&seen));
    assert_int_equal(atomic_load(&strayed), 0);
    assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
    assert_true(CPU_EQUAL(&now, &owned));
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

static void runs_alone(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct agent_options o;
    options_of_test(&o, &seen);
    o.server_url = NULL;
    o.seconds = 1.2;
    o.score = true;
    o.overlay_path = overlay;
    struct agent_summary s;
    assert_int_equal(run(&o, &seen, &s), ST_OK);
    assert_true(s.frames > 0 && seen.results + s.dropped_results == s.frames);
    assert_false(seen.out_of_order || seen.bad_share);
    assert_int_equal(s.versions_applied, 0);
    assert_int_equal(s.up_bytes + s.down_bytes, 0);
    assert_true(s.scored_frames >= 1 && seen.scores == s.scored_frames);
    assert_true(s.adapted == s.unadapted); /* it is the same student */
    assert_string_not_equal(seen.score.condition, "");
    struct stat info;
    assert_int_equal(stat(overlay, &info), 0);
    assert_true(info.st_size > 1000);
}

/* ---- a student that classifies ---- */

static void write_classifier(void)
{
    static const char *const names[] = {"day", "dusk", "night"};
    struct net_options o = {TASK_CLASSIFY, NET_STUDENT, 32, 32, 3, names, 1, "nothing"};
    struct buf bytes;
    buf_init(&bytes);
    assert_int_equal(net_build(&o, &bytes, &err), ST_OK);
    assert_int_equal(file_write(student, bytes.data, bytes.size_bytes, &err), ST_OK);
    buf_clear(&bytes);
}

struct answers {
    struct agent *agent;
    uint64_t results, frame;
    int next_region; /* -1: whole frames */
    bool bad;
    int chunks; /* to wait for */
};

/* Regions come in turn, with the frame's number; the class is the most probable one. */
static void on_class(void *context, const struct agent_result *r)
{
    struct answers *a = context;
    float sum = 0;
    for (int c = 0; c < r->class_count; c++) {
        sum += r->fraction[c];
        a->bad |= r->fraction[c] > r->fraction[r->class_id];
    }
    a->bad |= r->class_count != 3 || fabsf(sum - 1) > 1e-5f || r->region != a->next_region;
    a->bad |= a->next_region == 1 && r->frame != a->frame;
    a->frame = r->frame;
    a->results++;
    if (a->next_region >= 0)
        a->next_region = !a->next_region;
    if (a->results >= 6 && fake_server_chunk_count(server) >= a->chunks)
        agent_stop(a->agent);
}

static void run_classes(const char *regions, const char *server_at, struct answers *a)
{
    struct agent_options o;
    struct agent_summary s;
    options_of_test(&o, NULL);
    o.source_url = "town:width=160,height=96,fps=20,scenario=clear";
    o.server_url = server_at;
    o.regions = regions;
    o.on_result = on_class;
    o.context = a;
    a->next_region = regions ? 0 : -1;
    assert_int_equal(agent_open(&o, &a->agent, &err), ST_OK);
    assert_int_equal(agent_run(a->agent, &s, &err), ST_OK);
    agent_close(&a->agent);
    assert_false(a->bad);
    assert_true(a->results + s.dropped_results == s.frames * (regions ? 2 : 1));
}

static void frames_are_classified(void **state)
{
    (void)state;
    struct answers a = {.results = 0};
    struct agent_options o;
    struct agent *agent = NULL;
    write_classifier();
    run_classes(NULL, NULL, &a);
    options_of_test(&o, NULL);
    o.server_url = NULL;
    o.score = true;
    assert_int_equal(agent_open(&o, &agent, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "--score"));
    o.score = false;
    o.regions = "0,0,1";
    assert_int_equal(agent_open(&o, &agent, &err), ST_INVALID);
    o.regions = "0,0,1,1";
    o.overlay_path = overlay;
    assert_int_equal(agent_open(&o, &agent, &err), ST_UNSUPPORTED);
}

static void pixels_have_no_regions(void **state)
{
    (void)state;
    struct agent_options o;
    struct agent *agent = NULL;
    options_of_test(&o, NULL);
    o.server_url = NULL;
    o.regions = "0,0,1,1";
    assert_int_equal(agent_open(&o, &agent, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "does not classify"));
}

/* Two of each time; a chunk may begin and end between the two. */
static void check_pairs(const struct chunk *c)
{
    for (int i = 1, of_frame = 1; i <= c->count; i++) {
        if (i < c->count && c->t_us[i] == c->t_us[i - 1]) {
            assert_true(++of_frame <= 2);
            continue;
        }
        assert_true(of_frame == 2 || i == of_frame || i == c->count);
        assert_true(i == c->count || c->t_us[i] > c->t_us[i - 1]);
        of_frame = 1;
    }
}

/* What is uploaded are the regions, at the student's size, those of a frame at its time. */
static void regions_are_answered_and_sent(void **state)
{
    (void)state;
    static struct chunk c;
    struct answers a = {.chunks = 1};
    write_classifier();
    run_classes("0,0,0.5,0.5;0.25,0.25,1,1", server_url, &a);
    struct fake_chunk f = fake_server_chunk(server, 0);
    assert_int_equal(chunk_parse(f.bytes, f.n, &c, &err), ST_OK);
    assert_true(c.width == 32 && c.height == 32 && c.count >= 1);
    check_pairs(&c);
}

static void a_folder_of_images_ends(void **state)
{
    (void)state;
    enum { IMAGES = 9 };
    char images[160], path[256];
    snprintf(images, sizeof images, "%s/images", folder);
    assert_int_equal(file_mkdirs(images, &err), ST_OK);
    struct frame f; /* another size than the network's: it is scaled */
    frame_init(&f);
    assert_int_equal(frame_resize(&f, 96, 80, &err), ST_OK);
    for (int i = 0; i < IMAGES; i++) {
        memset(f.pixels, 20 * i, frame_bytes(&f));
        struct buf jpeg;
        buf_init(&jpeg);
        assert_int_equal(image_jpeg_write(&f, 90, &jpeg, &err), ST_OK);
        snprintf(path, sizeof path, "%s/img%d.jpg", images, i);
        assert_int_equal(file_write(path, jpeg.data, jpeg.size_bytes, &err), ST_OK);
        buf_clear(&jpeg);
    }
    frame_clear(&f);
    struct seen seen = {0};
    struct agent_options o;
    options_of_test(&o, &seen);
    o.server_url = NULL;
    o.source_url = images;
    o.fps = 20;
    struct agent_summary s;
    assert_int_equal(run(&o, &seen, &s), ST_OK);
    assert_int_equal(s.frames + s.dropped_late, IMAGES);
    assert_int_equal(s.scored_frames, 0);
    o.score = true; /* nobody knows the truth of these */
    assert_int_equal(run(&o, &seen, &s), ST_UNSUPPORTED);
}

static void opening_says_what_is_wrong(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct agent_options o;
    struct agent_summary s;
    options_of_test(&o, &seen);
    o.student_path = "/nonexistent.onnx";
    assert_int_equal(run(&o, &seen, &s), ST_NOT_FOUND);
    options_of_test(&o, &seen);
    o.source_url = "town:nonsense=1";
    assert_int_equal(run(&o, &seen, &s), ST_INVALID);
    options_of_test(&o, &seen);
    o.server_url = "http://192.0.2.1";
    assert_int_equal(run(&o, &seen, &s), ST_DENIED);
}

static void adapts_while_the_network_fails(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model_open(SIDE, SIDE);
    struct buf one, two;
    buf_init(&one);
    buf_init(&two);
    assert_true(m && tiny_delta(m, 0, 1, tiny_value(1), &one));
    assert_true(tiny_delta(m, 1, 2, tiny_value(2), &two));
    fake_server_settings(server, 10, 0.3, 2000, 1);
    fake_server_update(server, 0, 1, one.data, one.size_bytes);
    fake_server_update(server, 1, 2, two.data, two.size_bytes);
    fake_server_spoil(server, FAULT_RESET, 2);

    struct seen seen = {.done = adapted_and_sent, .want_version = 2, .want_chunks = 3};
    struct agent_options o;
    options_of_test(&o, &seen);
    struct agent_summary s;
    assert_int_equal(run(&o, &seen, &s), ST_OK);
    assert_int_equal(s.version, 2);
    assert_int_equal(s.versions_applied, 2);
    assert_int_equal(seen.last_version, 2);
    assert_false(seen.out_of_order);
    assert_true(s.chunks >= 3 && s.chunks_acknowledged >= 2);
    assert_int_equal(s.dropped_chunks, 0);
    assert_true(s.dropped_by_swap <= s.dropped_late);
    assert_int_equal(seen.last_frame + 1, s.frames + s.dropped_late); /* all are accounted for */
    assert_true(fake_server_chunk_count(server) >= (int)s.chunks_acknowledged);
    check_chunks(2);
#ifndef SANITIZED
    assert_true(seen.warm_allocations > 0); /* the counter works */
    assert_int_equal(seen.last_allocations, seen.warm_allocations);
#endif

    /* A second life: the version is still there, numbers go on, the rest of the chunks arrive. */
    struct seen again = {.done = adapted_and_sent, .want_version = 2, .want_chunks = (int)s.chunks};
    struct agent_summary t;
    o.context = &again;
    assert_int_equal(run(&o, &again, &t), ST_OK);
    assert_int_equal(t.version, 2);
    assert_int_equal(t.versions_applied, 0);
    assert_int_equal(t.params_crc32, s.params_crc32);
    assert_true(fake_server_chunk_count(server) >= (int)s.chunks);
    check_chunks(2);

    /* A third, with a torn state: a snapshot brings it back. */
    char path[256];
    snprintf(path, sizeof path, "%s/params.ckpt", state_folder);
    assert_int_equal(truncate(path, 40), 0);
    struct buf snapshot;
    buf_init(&snapshot);
    assert_true(tiny_delta(m, 0, 3, tiny_value(3), &snapshot));
    fake_server_stop(&server);
    server = fake_server_start(0);
    assert_non_null(server);
    snprintf(server_url, sizeof server_url, "http://127.0.0.1:%d", fake_server_port(server));
    fake_server_settings(server, 10, 0.3, 2000, 1000);
    fake_server_update(server, 0, 3, snapshot.data, snapshot.size_bytes);
    struct seen third = {.done = adapted_and_sent, .want_version = 3};
    o.context = &third;
    assert_int_equal(run(&o, &third, &t), ST_OK);
    assert_int_equal(t.version, 3);

    buf_clear(&snapshot);
    buf_clear(&one);
    buf_clear(&two);
    nn_model_close(&m);
}

static void rate_and_resolution_change_in_mid_run(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model_open(SIDE, SIDE);
    struct buf one;
    buf_init(&one);
    assert_true(m && tiny_delta(m, 0, 1, tiny_value(1), &one));
    fake_server_settings(server, 10, 0.5, 2000, 1);
    fake_server_update(server, 0, 1, one.data, one.size_bytes);
    struct seen seen = {.done = went_through_the_configurations};
    struct agent_options o;
    struct agent_summary s;
    options_of_test(&o, &seen);
    o.choose = true;
    stage_results = 0;
    assert_int_equal(run(&o, &seen, &s), ST_OK);
    assert_int_equal(seen.stage, 4);
    assert_false(seen.out_of_order || seen.bad_share || seen.bad_hold);
    /* Every frame is accounted for, each once. */
    assert_int_equal(s.frames + s.held + s.dropped_late, seen.last_frame + 1);
    assert_int_equal(seen.held + (seen.results - seen.held), s.frames + s.held - s.dropped_results);
    /* At a quarter, a quarter was inferred: every fourth, and again after each that was left out.
     */
    assert_true(quarter_inferred >= quarter_results / 4 - 1);
    assert_true(quarter_inferred <= quarter_results / 4 + 2 + s.dropped_late);
    /* At another size it is the same student. */
    assert_int_equal(s.version, 1);
    float *all = malloc(nn_model_param_count(m) * sizeof *all);
    for (size_t i = 0; i < nn_model_param_count(m); i++)
        all[i] = tiny_value(1);
    assert_int_equal(s.params_crc32, file_crc32(all, nn_model_param_count(m) * sizeof *all));
    free(all);
    /* What was measured on the way. */
    assert_int_equal(told.table.count, 15);
    assert_true(told.table.points[0].factor == 1 && told.table.points[0].demand > 0);
    assert_true(told.frames <= s.frames && told.share == 1e-6);
    /* Each inference was timed, and no frame was answered before its inference had run. */
    assert_int_equal(durations_count(&told.timing.run), told.frames);
    assert_int_equal(durations_count(&told.timing.age), told.frames);
    assert_true(told.timing.run.sum_s > 0 && told.timing.age.sum_s >= told.timing.run.sum_s);
    for (int i = 1; i < told.table.count; i++) {
        const struct inference_point *p = &told.table.points[i];
        assert_true(p->factor > 0 && p->factor <= 1);
        assert_true(p->configuration.stride == 1 || p->demand <= p[-1].demand);
        assert_true(p->configuration.stride == 1 || p->factor <= p[-1].factor);
    }
#ifndef SANITIZED
    assert_true(seen.warm_allocations > 0);
    assert_int_equal(seen.last_allocations, seen.warm_allocations);
#endif
    buf_clear(&one);
    nn_model_close(&m);
}

/* Under a twentieth of a processor, with pictures that take far more: it leaves frames out, all of
 * them counted, rather than fall behind. */
static void a_paced_camera_stays_at_the_present(void **state)
{
    (void)state;
    struct share_page *page = NULL;
    int fd = -1;
    char number[16];
    assert_int_equal(share_page_open(&page, &fd, &err), ST_OK);
    share_page_set(page, 0.05);
    atomic_store(&page->paced, true);
    snprintf(number, sizeof number, "%d", dup(fd)); /* the camera closes its own */
    setenv(THROTTLE_ENVIRONMENT, number, 1);
    struct seen seen = {0};
    struct agent_options o;
    struct agent_summary s;
    options_of_test(&o, &seen);
    o.server_url = NULL;
    o.source_url = "town:width=320,height=320,fps=40,scenario=clear";
    o.seconds = 6;
    assert_int_equal(run(&o, &seen, &s), ST_OK);
    assert_null(getenv(THROTTLE_ENVIRONMENT));
    assert_true(s.frames > 0);
    assert_int_equal(s.frames + s.dropped_late, seen.last_frame + 1);
    if (s.frames >= 5) { /* fewer: one of them took the share of all the time there was */
        assert_true(s.dropped_late > s.frames);
        assert_true((double)seen.last_frame > 0.3 * 40 * s.elapsed_s);
    }
    assert_false(seen.out_of_order);
    share_page_close(&page, &fd);
}

static void a_camera_of_its_own_infers_all_unless_told(void **state)
{
    (void)state;
    fake_server_wish(server, 1e-6, 0, 0); /* its computer is its own */
    struct seen seen = {.done = has_results};
    struct agent_options o;
    struct agent_summary s;
    options_of_test(&o, &seen);
    assert_int_equal(run(&o, &seen, &s), ST_OK);
    assert_int_equal(s.held, 0);
    assert_int_equal(s.running.configuration.stride, 1);
}

/* ---- the transmission controller ---- */

#define SMALL_CHUNKS 5

/* Chunks of half the student's sides: their number, and their frames a second. */
static int small_chunks(double *ret_fps)
{
    static struct chunk c;
    int count = 0, frames = 0;
    uint64_t first_us = 0, last_us = 0;
    for (int i = 0; i < fake_server_chunk_count(server); i++) {
        struct fake_chunk f = fake_server_chunk(server, i);
        if (chunk_parse(f.bytes, f.n, &c, &err) != ST_OK || c.width != SIDE / 2 ||
            c.height != SIDE / 2)
            continue;
        if (frames == 0)
            first_us = c.t_us[0];
        last_us = c.t_us[c.count - 1];
        frames += c.count;
        count++;
    }
    *ret_fps = frames > 2 ? (frames - 2) / ((double)(last_us - first_us) / 1e6) : 0;
    return count;
}

static bool sent_small(const struct seen *s)
{
    double fps;
    (void)s;
    return small_chunks(&fps) >= SMALL_CHUNKS;
}

/* The table's highest rate is far below what the server asks for, its group needs no more. */
static void rate_and_size_follow_the_controller(void **state)
{
    (void)state;
    struct controller_table t;
    controller_table_init(&t);
    fake_server_settings(server, 30, 1, 200, 1);
    fake_server_transmission(server, "{\"group\": \"north\", \"members\": 1, "
                                     "\"group_share\": 100, \"scale_max\": 0.5, "
                                     "\"scale_min\": 0.5, \"law\": \"price\"}");
    struct seen seen = {.done = sent_small};
    struct agent_options o;
    struct agent_summary s;
    options_of_test(&o, &seen);
    assert_int_equal(run(&o, &seen, &s), ST_OK);
    double fps;
    assert_true(small_chunks(&fps) >= SMALL_CHUNKS);
    assert_true(fps > 0 && fps <= t.fps[t.rate_count - 1]);
    options_of_test(&o, &seen);
    o.uplink_table = "/nowhere/table.yaml";
    struct agent *a = NULL;
    assert_int_not_equal(agent_open(&o, &a, &err), ST_OK);
    assert_non_null(strstr(err.message, "/nowhere/table.yaml"));
}

static void a_server_without_memory_starts_over(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model_open(SIDE, SIDE);
    struct buf delta;
    buf_init(&delta);
    assert_true(m && tiny_delta(m, 0, 5, tiny_value(5), &delta));
    fake_server_update(server, 0, 5, delta.data, delta.size_bytes);
    struct seen seen = {.done = adapted_and_sent, .want_version = 5};
    struct agent_options o;
    options_of_test(&o, &seen);
    struct agent_summary s;
    assert_int_equal(run(&o, &seen, &s), ST_OK);
    assert_int_equal(s.version, 5);

    fake_server_stop(&server);
    server = fake_server_start(0); /* knows nothing */
    assert_non_null(server);
    snprintf(server_url, sizeof server_url, "http://127.0.0.1:%d", fake_server_port(server));
    struct seen again = {.done = asks_from_zero};
    o.context = &again;
    assert_int_equal(run(&o, &again, &s), ST_OK);
    assert_int_equal(s.version, 0);
    assert_int_equal(fake_server_have(server), 0);
    buf_clear(&delta);
    nn_model_close(&m);
}

static void damaged_updates_are_asked_for_again(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model_open(SIDE, SIDE);
    struct buf bad, good;
    buf_init(&bad);
    buf_init(&good);
    assert_true(m && tiny_delta(m, 0, 4, tiny_value(4), &good));
    buf_put(&bad, good.data, good.size_bytes);
    bad.data[bad.size_bytes / 2] ^= 1;
    fake_server_update(server, 0, 4, bad.data, bad.size_bytes);
    struct seen seen = {.done = asked_often};
    struct agent_options o;
    options_of_test(&o, &seen);
    struct agent_summary s;
    log_level_set((enum log_level)0);
    assert_int_equal(run(&o, &seen, &s), ST_OK);
    log_level_set(LOG_ERROR);
    assert_int_equal(s.version, 0);
    assert_int_equal(s.versions_applied, 0);
    assert_true(s.frames > 0);
    buf_clear(&bad);
    buf_clear(&good);
    nn_model_close(&m);
}

/* Differences of its own come on top of the version, which stays, and go again. */
static void takes_what_is_its_own(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model_open(SIDE, SIDE);
    struct buf step, own;
    buf_init(&step);
    buf_init(&own);
    assert_true(m && tiny_delta(m, 0, 1, tiny_value(1), &step));
    assert_true(tiny_personal(m, 1, 0.001953125f, &own));
    fake_server_update(server, 0, 1, step.data, step.size_bytes);
    fake_server_own(server, OWN_NUMBER, own.data, own.size_bytes);
    struct seen seen = {.done = had_its_own, .want_version = 1};
    struct agent_options o;
    options_of_test(&o, &seen);
    struct agent_summary s;
    assert_int_equal(run(&o, &seen, &s), ST_OK);
    assert_int_equal(s.version, 1);
    assert_int_equal(s.versions_applied, 1);
    assert_false(seen.out_of_order);
    buf_clear(&step);
    buf_clear(&own);
    nn_model_close(&m);
}

/* ---- what nobody is to see ---- */

#define LEFT_HALF "0,0 0.5,0 0.5,1 0,1"

/* Largest distance from the mask's grey in the columns of a frame, but for what H.264 spills over
 * the border. */
static int farthest_from_grey(const struct frame *f, int from, int to)
{
    int most = 0;
    for (int y = 0; y < f->height; y++)
        for (int i = 3 * from; i < 3 * to; i++) {
            int off = abs(f->pixels[3 * y * f->width + i] - MASK_GREY);
            most = off > most ? off : most;
        }
    return most;
}

static bool has_two_chunks(const struct seen *s)
{
    (void)s;
    return fake_server_chunk_count(server) >= 2;
}

/* Largest distance of a column range's pixels from their own mean. */
static int unevenness(const struct frame *f, int from, int to)
{
    int most = 0;
    for (int c = 0; c < 3; c++) {
        int sum = 0, n = f->height * (to - from);
        for (int y = 0; y < f->height; y++)
            for (int x = from; x < to; x++)
                sum += f->pixels[3 * (y * f->width + x) + c];
        for (int y = 0; y < f->height; y++)
            for (int x = from; x < to; x++) {
                int off = abs(f->pixels[3 * (y * f->width + x) + c] - sum / n);
                most = off > most ? off : most;
            }
    }
    return most;
}

/* The tiny student answers each pixel by its colour, so what is drawn over a grey half is one
 * colour: any more would be of what is behind the mask. */
static void expect_masked_overlay(void)
{
    struct video_source *v = NULL;
    struct frame f;
    int pictures = 0, other_half = 0;
    assert_int_equal(video_source_open(overlay, NULL, &v, &err), ST_OK);
    while (video_source_next(v, &f, &err) == ST_OK) {
        assert_true(unevenness(&f, 0, SIDE / 2 - 4) <= 12);
        int other = unevenness(&f, SIDE / 2 + 4, SIDE);
        other_half = other > other_half ? other : other_half;
        pictures++;
    }
    video_source_close(&v);
    assert_true(pictures >= 2 && other_half > 40);
}

/* What the server gets, and what is written as overlay, has nothing of the masked half, and all of
 * the other. */
static void masked_parts_never_leave(void **state)
{
    (void)state;
    static struct chunk c;
    fake_server_settings(server, 10, 0.3, 2000, 1);
    struct seen seen = {.done = has_two_chunks};
    struct agent_options o;
    struct agent_summary s;
    options_of_test(&o, &seen);
    o.mask = LEFT_HALF;
    o.overlay_path = overlay;
    assert_int_equal(run(&o, &seen, &s), ST_OK);
    expect_masked_overlay();
    int pictures = 0;
    for (int i = 0; i < fake_server_chunk_count(server); i++) {
        struct fake_chunk f = fake_server_chunk(server, i);
        struct frame frames[CHUNK_FRAMES_MAX];
        assert_int_equal(chunk_parse(f.bytes, f.n, &c, &err), ST_OK);
        for (int k = 0; k < c.count; k++)
            frame_init(&frames[k]);
        assert_int_equal(chunk_decode_frames(&c, frames, &err), ST_OK);
        for (int k = 0; k < c.count; k++, pictures++) {
            assert_true(farthest_from_grey(&frames[k], 0, SIDE / 2 - 4) <= 12);
            assert_true(farthest_from_grey(&frames[k], SIDE / 2 + 4, SIDE) > 40);
            frame_clear(&frames[k]);
        }
    }
    assert_true(pictures >= 2);
    o.mask = "0,0 1,1";
    assert_int_equal(run(&o, &seen, &s), ST_INVALID);
    assert_non_null(strstr(err.message, "mask 1 has 2 corners"));
}

static bool has_version_and_reported(const struct seen *s)
{
    char report[4096];
    fake_server_report(server, report, sizeof report);
    return s->last_version >= s->want_version && strstr(report, "\"uploads\":");
}

/* No frame leaves, not even those that waited from before; updates come all the same. */
static void one_that_never_uploads_takes_updates(void **state)
{
    (void)state;
    struct nn_model *m = tiny_model_open(SIDE, SIDE);
    struct buf step;
    char report[4096];
    buf_init(&step);
    assert_true(m && tiny_delta(m, 0, 1, tiny_value(1), &step));
    fake_server_spoil(server, FAULT_500, 1000000);
    struct seen before = {.results = 0};
    struct agent_options o;
    struct agent_summary s;
    options_of_test(&o, &before);
    o.seconds = 1.5;
    assert_int_equal(run(&o, &before, &s), ST_OK);
    assert_true(s.chunks >= 1 && s.chunks_acknowledged == 0);

    fake_server_spoil(server, FAULT_NONE, 0);
    fake_server_update(server, 0, 1, step.data, step.size_bytes);
    struct seen seen = {.done = has_version_and_reported, .want_version = 1};
    options_of_test(&o, &seen);
    o.no_upload = true;
    assert_int_equal(run(&o, &seen, &s), ST_OK);
    assert_int_equal(s.version, 1);
    assert_int_equal(s.samples, 0);
    assert_int_equal(fake_server_chunk_count(server), 0);
    fake_server_report(server, report, sizeof report);
    assert_non_null(strstr(report, "\"uploads\":false"));
    buf_clear(&step);
    nn_model_close(&m);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(frames_are_classified),
        TEST(pixels_have_no_regions),
        TEST(regions_are_answered_and_sent),
        TEST(runs_alone),
        TEST(inference_has_its_own_processor),
        TEST(a_folder_of_images_ends),
        TEST(opening_says_what_is_wrong),
        TEST(adapts_while_the_network_fails),
        TEST(rate_and_resolution_change_in_mid_run),
        TEST(a_paced_camera_stays_at_the_present),
        TEST(a_camera_of_its_own_infers_all_unless_told),
        TEST(rate_and_size_follow_the_controller),
        TEST(takes_what_is_its_own),
        TEST(masked_parts_never_leave),
        TEST(one_that_never_uploads_takes_updates),
        TEST(a_server_without_memory_starts_over),
        TEST(damaged_updates_are_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
