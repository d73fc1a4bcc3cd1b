/* The store: what was accepted is there after a restart, a number means one content, everything is
 * bounded. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/file.h"
#include "store/store.h"

struct fixture {
    char dir[64];
    struct store_options options;
    struct store *store;
    struct error err;
};

static void reopen(struct fixture *f)
{
    store_close(&f->store);
    assert_null(f->store);
    f->err.message[0] = '\0';
    if (store_open(f->dir, &f->options, &f->store, &f->err) != ST_OK)
        fail_msg("%s", f->err.message);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    snprintf(f->dir, sizeof f->dir, "/tmp/attune-store-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    store_options_init(&f->options);
    f->options.disk_free_min_mb = 0;
    reopen(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    store_close(&f->store);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    int bad = system(command);
    free(f);
    return bad;
}

static void hello(struct fixture *f, const char *id, bool expect_new)
{
    struct store_camera c = {.width = 64, .height = 48, .fps = 30, .sampling_fps = 1, .seen_us = 5};
    bool is_new = !expect_new;
    snprintf(c.id, sizeof c.id, "%s", id);
    assert_int_equal(store_camera_hello(f->store, &c, &is_new, &f->err), ST_OK);
    assert_int_equal(is_new, expect_new);
}

static enum status put(struct fixture *f, const char *id, uint64_t seq, const char *text,
                       uint64_t now_us, bool *is_new)
{
    return store_chunk_put(f->store, id, seq, text, strlen(text), now_us, is_new, &f->err);
}

static struct store_camera camera(struct fixture *f, const char *id)
{
    struct store_camera c;
    assert_int_equal(store_camera_get(f->store, id, &c, &f->err), ST_OK);
    return c;
}

static void count_row(const struct store_chunk *c, void *context)
{
    (void)c;
    ++*(int *)context;
}

static int labelled_count(struct fixture *f, const char *id)
{
    int n = 0;
    assert_int_equal(store_chunks_labelled(f->store, id, 0, 1000, count_row, &n, &f->err), ST_OK);
    return n;
}

static void ids_are_checked(void **state)
{
    struct fixture *f = *state;
    char longest[66];
    memset(longest, 'a', sizeof longest);
    longest[63] = '\0';
    assert_true(store_camera_id_valid(longest));
    longest[63] = 'a';
    longest[64] = '\0';
    assert_false(store_camera_id_valid(longest));
    static const char *const bad[] = {"", "A", "a/b", "..", "a.b", "a b", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(store_camera_id_valid(bad[i]));
    bool is_new;
    assert_int_equal(put(f, "../x", 1, "x", 1, &is_new), ST_INVALID);
    assert_int_equal(put(f, "nobody", 1, "x", 1, &is_new), ST_NOT_FOUND);
}

static void cameras_are_bounded(void **state)
{
    struct fixture *f = *state;
    f->options.cameras_max = 2;
    reopen(f);
    hello(f, "a", true);
    hello(f, "b", true);
    hello(f, "a", false);
    struct store_camera c = {.id = "c"};
    bool is_new;
    assert_int_equal(store_camera_hello(f->store, &c, &is_new, &f->err), ST_LIMIT);
}

static void chunks_are_idempotent_and_survive(void **state)
{
    struct fixture *f = *state;
    bool is_new = false;
    hello(f, "gate", true);
    assert_int_equal(put(f, "gate", 3, "hello", 10, &is_new), ST_OK);
    assert_true(is_new);
    reopen(f);
    assert_int_equal(put(f, "gate", 3, "hello", 11, &is_new), ST_OK);
    assert_false(is_new);
    assert_int_equal(put(f, "gate", 3, "other", 12, &is_new), ST_CONFLICT);
    assert_int_equal(put(f, "gate", 2, "a late one", 13, &is_new), ST_OK);
    struct store_camera c = camera(f, "gate");
    assert_int_equal(c.seq_last, 3);
    assert_int_equal(c.chunks, 2);
    assert_int_equal(c.up_bytes, 15);
    char path[PATH_MAX];
    struct buf bytes;
    buf_init(&bytes);
    store_chunk_path(f->store, "gate", 3, path);
    assert_int_equal(file_read(path, 100, &bytes, &f->err), ST_OK);
    assert_int_equal(bytes.size_bytes, 5);
    assert_memory_equal(bytes.data, "hello", 5);
    buf_clear(&bytes);
}

struct waiting {
    struct store_chunk chunks[4];
    int count;
};

static void note_waiting(const struct store_chunk *c, void *context)
{
    struct waiting *w = context;
    assert_true(w->count < 4);
    w->chunks[w->count++] = *c;
}

static void backlog_is_bounded_and_in_order(void **state)
{
    struct fixture *f = *state;
    bool is_new;
    f->options.backlog_max = 2;
    reopen(f);
    hello(f, "a", true);
    hello(f, "b", true);
    assert_int_equal(put(f, "a", 1, "1", 20, &is_new), ST_OK);
    assert_int_equal(put(f, "b", 1, "2", 10, &is_new), ST_OK);
    assert_int_equal(put(f, "a", 2, "3", 30, &is_new), ST_OK);
    assert_int_equal(put(f, "a", 3, "4", 40, &is_new), ST_AGAIN);
    assert_int_equal(put(f, "a", 1, "1", 41, &is_new), ST_OK); /* known ones are no load */
    assert_int_equal(put(f, "b", INT64_MAX, "5", 42, &is_new), ST_CONFLICT); /* the last there is */
    assert_int_equal(put(f, "b", ((uint64_t)1 << 32) + 2, "5", 42, &is_new), ST_CONFLICT);
    struct waiting now = {.count = 0};
    assert_int_equal(store_chunks_waiting(f->store, note_waiting, &now, &f->err), ST_OK);
    assert_int_equal(now.count, 2);
    assert_string_equal(now.chunks[0].camera, "b");
    assert_string_equal(now.chunks[1].camera, "a");
    assert_int_equal(now.chunks[1].seq, 1);
    assert_int_equal(store_chunk_failed(f->store, "b", 1, &f->err), ST_OK);
    assert_int_equal(store_chunk_failed(f->store, "b", 1, &f->err), ST_CONFLICT);
    now.count = 0;
    assert_int_equal(store_chunks_waiting(f->store, note_waiting, &now, &f->err), ST_OK);
    assert_int_equal(now.count, 1);
    assert_string_equal(now.chunks[0].camera, "a");
    assert_int_equal(now.chunks[0].seq, 1);
    assert_int_equal(store_chunk_labelled(f->store, "a", 1, NULL, 0, &f->err), ST_OK);
    assert_int_equal(put(f, "a", 3, "4", 42, &is_new), ST_OK);
    uint64_t waiting;
    assert_int_equal(store_backlog(f->store, NULL, &waiting, &f->err), ST_OK);
    assert_int_equal(waiting, 2);
    assert_int_equal(labelled_count(f, "a"), 1);
}

struct frames {
    struct store_frame f[10];
    int count;
};

static void keep_frame(const struct store_frame *f, void *context)
{
    struct frames *l = context;
    assert_in_range(l->count, 0, 9);
    l->f[l->count++] = *f;
}

static void scores_become_the_series(void **state)
{
    struct fixture *f = *state;
    bool is_new;
    hello(f, "a", true);
    assert_true(isnan(camera(f, "a").accuracy));
    assert_int_equal(put(f, "a", 1, "x", 1, &is_new), ST_OK);
    struct store_frame rows[3] = {
        {.t_us = 100, .seq = 1, .index = 0, .version = 4, .accuracy = 0.5, .unadapted = NAN},
        {.t_us = 200, .seq = 1, .index = 1, .version = 4, .accuracy = 0.6, .unadapted = 0.3},
        {.t_us = 300, .seq = 1, .index = 2, .version = 5, .accuracy = 0.7, .unadapted = 0.2}};
    assert_int_equal(store_chunk_labelled(f->store, "a", 1, rows, 3, &f->err), ST_OK);
    /* A second time is refused: no frame counts twice. */
    assert_int_equal(store_chunk_labelled(f->store, "a", 1, rows, 3, &f->err), ST_CONFLICT);
    reopen(f);
    struct frames all = {.count = 0}, newest = {.count = 0}, since = {.count = 0};
    assert_int_equal(store_frames(f->store, "a", 0, 10, keep_frame, &all, &f->err), ST_OK);
    assert_int_equal(all.count, 3);
    assert_true(isnan(all.f[0].unadapted));
    assert_int_equal(all.f[2].version, 5);
    assert_int_equal(store_frames(f->store, "a", 0, 2, keep_frame, &newest, &f->err), ST_OK);
    assert_int_equal(newest.count, 2);
    assert_int_equal(newest.f[0].t_us, 200);
    assert_int_equal(store_frames(f->store, "a", 200, 10, keep_frame, &since, &f->err), ST_OK);
    assert_int_equal(since.count, 1);
    struct store_camera c = camera(f, "a");
    assert_true(c.accuracy == 0.7 && c.unadapted == 0.2 && c.frame_t_us == 300 && c.frame_seq == 1);
}

/* Of each kept chunk its worst frame, worst first; frames of before agreement was known are out. */
static void doubtful_frames_come_first(void **state)
{
    struct fixture *f = *state;
    bool is_new;
    struct store_retired gone;
    struct store_frame one;
    char path[PATH_MAX];
    static const double agreement[4][2] = {{0.9, 0.8}, {0.2, 0.1}, {NAN, 0.5}, {NAN, NAN}};
    hello(f, "a", true);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        struct store_frame rows[2] = {{.t_us = 10 * seq, .seq = seq},
                                      {.t_us = 10 * seq + 5, .seq = seq, .index = 1}};
        rows[0].agreement = agreement[seq - 1][0];
        rows[1].agreement = agreement[seq - 1][1];
        assert_int_equal(put(f, "a", seq, "x", seq, &is_new), ST_OK);
        assert_int_equal(store_chunk_labelled(f->store, "a", seq, rows, 2, &f->err), ST_OK);
    }
    struct frames worst = {.count = 0}, left = {.count = 0};
    assert_int_equal(store_frames_doubtful(f->store, "a", 10, keep_frame, &worst, &f->err), ST_OK);
    assert_int_equal(worst.count, 3);
    assert_true(worst.f[0].t_us == 25 && worst.f[0].agreement == 0.1 && worst.f[0].index == 1);
    assert_true(worst.f[1].t_us == 35 && worst.f[2].t_us == 15);
    assert_int_equal(store_frame_get(f->store, "a", 25, -1, &one, &f->err), ST_OK);
    assert_true(one.seq == 2 && one.index == 1);
    assert_int_equal(store_frame_get(f->store, "a", 25, 0, &one, &f->err), ST_NOT_FOUND);
    assert_int_equal(store_frame_get(f->store, "b", 25, -1, &one, &f->err), ST_NOT_FOUND);
    /* Chunks 1 and 2 go, and what the student answered with them. */
    store_answer_path(f->store, "a", 2, path);
    assert_int_equal(file_write(path, "x", 1, &f->err), ST_OK);
    assert_int_equal(store_retire(f->store, "a", 3, 0, &gone, &f->err), ST_OK);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(store_frames_doubtful(f->store, "a", 10, keep_frame, &left, &f->err), ST_OK);
    assert_true(left.count == 1 && left.f[0].t_us == 35);
}

static void rates_are_of_the_window(void **state)
{
    struct fixture *f = *state;
    bool is_new;
    double up, down;
    hello(f, "a", true);
    assert_int_equal(put(f, "a", 1, "0123456789", 1000000, &is_new), ST_OK);
    assert_int_equal(put(f, "a", 2, "01234567890123456789", 9000000, &is_new), ST_OK);
    assert_int_equal(store_camera_update(f->store, "a", 1, 1000, 9500000, &f->err), ST_OK);
    assert_int_equal(store_rates(f->store, "a", 8000000, 10000000, &up, &down, &f->err), ST_OK);
    assert_float_equal(up, 20 * 8 / 8000.0, 1e-9); /* 20 bytes in 8 s */
    assert_float_equal(down, 1.0, 1e-9);
}

static void version_row(struct fixture *f, uint64_t version, bool accepted, enum status expected)
{
    struct store_version v = {.version = version,
                              .base = version - 1,
                              .accepted = accepted,
                              .score_before = 0.5,
                              .score_after = NAN,
                              .reason = "because"};
    assert_int_equal(store_version_put(f->store, "a", &v, NULL, 0, &f->err), expected);
}

struct versions {
    struct store_version v[10];
    int count;
};

static void keep_version(const struct store_version *v, void *context)
{
    struct versions *l = context;
    assert_in_range(l->count, 0, 9);
    l->v[l->count++] = *v;
}

static void versions_follow_each_other(void **state)
{
    struct fixture *f = *state;
    hello(f, "a", true);
    version_row(f, 2, true, ST_CONFLICT);
    version_row(f, 1, true, ST_OK);
    version_row(f, 2, false, ST_OK);
    version_row(f, 2, true, ST_OK);
    version_row(f, 2, true, ST_CONFLICT);
    reopen(f);
    struct store_camera c = camera(f, "a");
    assert_int_equal(c.version, 2);
    assert_int_equal(c.versions, 2);
    assert_int_equal(c.rejected, 1);
    struct versions l = {.count = 0};
    assert_int_equal(store_versions(f->store, "a", 10, keep_version, &l, &f->err), ST_OK);
    assert_int_equal(l.count, 3);
    assert_true(l.v[0].accepted && !l.v[1].accepted);
    assert_true(isnan(l.v[0].score_after));
    assert_string_equal(l.v[0].reason, "because");
}

struct ids {
    uint64_t id[300];
    int count;
};

struct trainings {
    struct store_training t[8];
    int count;
};

static void keep_training(const struct store_training *t, void *context)
{
    struct trainings *all = context;
    assert_true(all->count < 8);
    all->t[all->count++] = *t;
}

static void trainings_are_a_bounded_history(void **state)
{
    struct fixture *f = *state;
    struct store_retired r;
    hello(f, "a", true);
    for (uint64_t i = 1; i <= 12; i++) {
        struct store_training t = {.episode = i / 2,
                                   .start = 0.5,
                                   .end = i == 12 ? NAN : 0.5 + 0.01 * (double)i,
                                   .profiled_start = NAN,
                                   .profiled_end = 0.25,
                                   .compute_s = 2.5 * (double)i,
                                   .steps = (int)i,
                                   .accepted = i % 2 == 0,
                                   .t_us = 1000 * i};
        snprintf(t.camera, sizeof t.camera, "%s", i % 3 ? "a" : "b");
        snprintf(t.configuration, sizeof t.configuration, "half");
        assert_int_equal(store_training_put(f->store, &t, &f->err), ST_OK);
    }
    f->options.trainings_max = 5;
    reopen(f);
    assert_int_equal(store_retire(f->store, "a", 0, 0, &r, &f->err), ST_OK);
    assert_int_equal(r.trainings, 7);
    struct trainings all = {.count = 0}, some = {.count = 0};
    assert_int_equal(store_trainings(f->store, NULL, 8, keep_training, &all, &f->err), ST_OK);
    assert_int_equal(all.count, 5);
    assert_true(isnan(all.t[0].end) && isnan(all.t[0].profiled_start));
    assert_string_equal(all.t[0].camera, "b");
    assert_true(all.t[1].end == 0.5 + 0.01 * 11 && all.t[1].compute_s == 27.5);
    assert_true(!all.t[1].accepted && all.t[1].steps == 11 && all.t[1].episode == 5);
    assert_string_equal(all.t[1].configuration, "half");
    assert_int_equal(store_trainings(f->store, "b", 1, keep_training, &some, &f->err), ST_OK);
    assert_true(some.count == 1 && some.t[0].t_us == 12000);
}

/* What attune wrote before it kept the fleet's history and knew groups. */
static const char first_schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE cameras(id TEXT PRIMARY KEY, state TEXT, width INT, height INT, fps REAL,"
    " sampling_fps REAL, version INT DEFAULT 0, camera_version INT, created_us INT, seen_us INT,"
    " seq_last INT DEFAULT 0, seq_retired INT DEFAULT 0, chunks INT DEFAULT 0,"
    " up_bytes INT DEFAULT 0, down_bytes INT DEFAULT 0, versions INT DEFAULT 0,"
    " rejected INT DEFAULT 0, miou REAL, unadapted REAL, frame_t_us INT DEFAULT 0,"
    " frame_seq INT DEFAULT 0);"
    "CREATE TABLE chunks(camera TEXT, seq INT, sha256 TEXT, bytes INT, received_us INT,"
    " state INT, PRIMARY KEY(camera, seq)) WITHOUT ROWID;"
    "CREATE INDEX chunks_by_state ON chunks(state, received_us);"
    "CREATE INDEX chunks_by_time ON chunks(camera, received_us);"
    "CREATE TABLE downloads(camera TEXT, t_us INT, bytes INT);"
    "CREATE INDEX downloads_by_time ON downloads(camera, t_us);"
    "CREATE TABLE frames(camera TEXT, t_us INT, seq INT, idx INT, version INT,"
    " miou_student REAL, miou_unadapted REAL, sampling_fps REAL, up_kbps REAL, down_kbps REAL);"
    "CREATE INDEX frames_by_time ON frames(camera, t_us);"
    "CREATE TABLE versions(id INTEGER PRIMARY KEY, camera TEXT, version INT, base INT,"
    " delta_bytes INT, snapshot_bytes INT, accepted INT, score_before REAL, score_after REAL,"
    " trained_seq INT, reason TEXT, t_us INT);"
    "CREATE INDEX versions_by_camera ON versions(camera, id);"
    "CREATE TABLE events(id INTEGER PRIMARY KEY AUTOINCREMENT, t_us INT, camera TEXT, kind TEXT,"
    " json TEXT);";

static const char first_rows[] =
    "INSERT INTO cameras(id,state,width,height,fps,sampling_fps,version,camera_version,created_us,"
    "seen_us,versions,rejected) VALUES('a','ok',640,480,30,1,7,6,100,200,7,2);"
    "INSERT INTO cameras(id,state,width,height,fps,sampling_fps,camera_version,created_us,seen_us)"
    " VALUES('b','ok',640,480,30,1,0,100,200);"
    "INSERT INTO versions(camera,version,base,accepted,trained_seq,reason,t_us)"
    " VALUES('a',6,5,1,40,'six',120),('a',7,6,1,41,'seven',130),('a',8,7,0,44,'no',140);"
    "PRAGMA user_version=1;";

/* An older folder: each camera has its line of versions as a group of its own. */
static void an_older_folder_is_taken_over(void **state)
{
    struct fixture *f = *state;
    char path[96];
    sqlite3 *db;
    struct trainings none = {.count = 0};
    struct versions l = {.count = 0};
    struct store_group g;
    store_close(&f->store);
    snprintf(path, sizeof path, "%s/attune.db", f->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, first_schema, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, first_rows, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    reopen(f);
    hello(f, "a", false);
    assert_true(isnan(camera(f, "a").latitude_deg));
    assert_int_equal(store_trainings(f->store, NULL, 8, keep_training, &none, &f->err), ST_OK);
    assert_int_equal(none.count, 0);
    struct store_camera a = camera(f, "a"), b = camera(f, "b");
    assert_string_equal(a.group, "a");
    assert_string_equal(b.group, "b");
    assert_true(a.version == 7 && a.trained_seq == 44 && b.trained_seq == 0);
    assert_int_equal(store_group_get(f->store, "a", &g, &f->err), ST_OK);
    assert_true(g.version == 7 && g.members == 1 && g.versions == 7 && g.rejected == 2);
    assert_int_equal(store_camera_versions(f->store, "a", 10, keep_version, &l, &f->err), ST_OK);
    assert_int_equal(l.count, 3);
    version_row(f, 8, true, ST_OK);
    assert_int_equal(camera(f, "a").version, 8);
}

/* ---- groups ---- */

static void put_version(struct fixture *f, const char *group, uint64_t base, uint64_t version,
                        uint64_t t_us)
{
    struct store_version v = {
        .version = version, .base = base, .accepted = true, .delta_bytes = 10, .t_us = t_us};
    snprintf(v.reason, sizeof v.reason, "%.40s %d", group, (int)version);
    assert_int_equal(store_version_put(f->store, group, &v, NULL, 0, &f->err), ST_OK);
}

static enum status move(struct fixture *f, const char *who, const char *group,
                        const struct store_version *found, uint64_t t_us)
{
    struct store_move m = {
        .camera = who, .group = group, .found = found, .t_us = t_us, .reason = "so"};
    return store_move_put(f->store, &m, &f->err);
}

static void expect_group_of(struct fixture *f, const char *who, uint64_t version, const char *group,
                            uint64_t from)
{
    char found[CAMERA_ID_CHARS_MAX + 1];
    uint64_t found_from;
    assert_int_equal(store_group_of(f->store, who, version, found, &found_from, &f->err), ST_OK);
    assert_string_equal(found, group);
    assert_int_equal(found_from, from);
}

static void a_version_is_its_groups_for_all_members(void **state)
{
    struct fixture *f = *state;
    struct store_group g;
    struct store_trained trained[] = {{"a", 5}, {"b", 9}, {"c", 3}};
    struct store_version v = {.version = 6, .base = 5, .accepted = true};
    hello(f, "a", true);
    hello(f, "b", true);
    hello(f, "c", true);
    put_version(f, "a", 0, 1, 10);
    put_version(f, "b", 0, 1, 11);
    put_version(f, "b", 1, 2, 12);
    /* Its version would fall. */
    assert_int_equal(move(f, "b", "a", NULL, 20), ST_CONFLICT);
    assert_string_equal(camera(f, "b").group, "b");
    put_version(f, "a", 1, 3, 20); /* numbers may be skipped */
    assert_int_equal(move(f, "b", "a", NULL, 20), ST_OK);
    assert_int_equal(camera(f, "b").version, 3);
    expect_group_of(f, "b", 2, "b", 0);
    expect_group_of(f, "b", 3, "a", 3);
    assert_int_equal(store_group_get(f->store, "b", &g, &f->err), ST_OK);
    assert_true(g.members == 0 && g.retired_us == 20);
    assert_int_equal(move(f, "c", "b", NULL, 20), ST_CONFLICT); /* nobody is there any more */
    put_version(f, "a", 3, 5, 30);
    assert_int_equal(store_version_put(f->store, "a", &v, trained, 3, &f->err), ST_OK);
    assert_true(camera(f, "a").version == 6 && camera(f, "b").version == 6);
    assert_true(camera(f, "a").trained_seq == 5 && camera(f, "b").trained_seq == 9);
    assert_true(camera(f, "c").version == 0 && camera(f, "c").trained_seq == 0);
    assert_int_equal(store_camera_update(f->store, "b", 3, 100, 40, &f->err), ST_OK);
    assert_int_equal(store_camera_update(f->store, "a", 3, 100, 40, &f->err), ST_OK);
    reopen(f);
    assert_int_equal(store_group_get(f->store, "a", &g, &f->err), ST_OK);
    assert_true(g.members == 2 && g.version == 6 && g.versions == 4 && g.encoded == 8);
    assert_true(g.encoded_bytes == 30 && g.served == 2 && g.served_bytes == 200);
}

static void keep_name(const struct store_group *g, void *context)
{
    char *all = context;
    snprintf(all + strlen(all), CAMERA_ID_CHARS_MAX + 16, "%s:%d ", g->id, g->members);
}

struct memberships {
    struct store_membership m[8];
    int count;
};

static void keep_membership(const struct store_membership *m, void *context)
{
    struct memberships *l = context;
    assert_in_range(l->count, 0, 7);
    l->m[l->count++] = *m;
}

static void a_camera_passes_through_groups(void **state)
{
    struct fixture *f = *state;
    char name[CAMERA_ID_CHARS_MAX + 1], peeked[CAMERA_ID_CHARS_MAX + 1];
    char all[256] = "", path[PATH_MAX];
    struct store_version first = {.version = 4, .accepted = true, .t_us = 40};
    struct memberships of_b = {.count = 0}, late = {.count = 0};
    struct versions l = {.count = 0};
    struct store_retired r;
    hello(f, "a", true);
    hello(f, "b", true);
    put_version(f, "a", 0, 2, 10);
    assert_int_equal(move(f, "b", "a", NULL, 20), ST_OK);
    put_version(f, "a", 2, 4, 30);
    assert_int_equal(store_group_name(f->store, "b", name, &f->err), ST_OK);
    assert_string_equal(name, "b.2"); /* b's files are still there */
    store_model_path(f->store, "b", "v9.snap", path);
    assert_int_equal(file_write(path, "x", 1, &f->err), ST_OK);
    assert_int_equal(move(f, "b", name, &first, 40), ST_OK);
    assert_int_equal(move(f, "a", name, &first, 40), ST_CONFLICT); /* it is there already */
    put_version(f, "a", 4, 5, 50);
    put_version(f, name, 4, 5, 60);
    assert_int_equal(store_peek_group(f->dir, "b", peeked, &f->err), ST_OK);
    assert_string_equal(peeked, "b.2");
    assert_int_equal(store_peek_group(f->dir, "z", peeked, &f->err), ST_NOT_FOUND);
    assert_int_equal(store_peek_group("/nonexistent", "b", peeked, &f->err), ST_OK);
    assert_string_equal(peeked, "b");
    assert_int_equal(store_groups(f->store, keep_name, all, &f->err), ST_OK);
    assert_string_equal(all, "a:1 b.2:1 ");
    expect_group_of(f, "b", 1, "b", 0);
    expect_group_of(f, "b", 3, "a", 2);
    expect_group_of(f, "b", 4, "b.2", 4);
    /* Its own versions: those of a while it was there. */
    assert_int_equal(store_camera_versions(f->store, "b", 10, keep_version, &l, &f->err), ST_OK);
    assert_int_equal(l.count, 3);
    assert_string_equal(l.v[0].reason, "b.2 5");
    assert_string_equal(l.v[2].reason, "a 4");
    assert_int_equal(store_memberships(f->store, "b", 0, 8, keep_membership, &of_b, &f->err),
                     ST_OK);
    assert_int_equal(of_b.count, 3);
    assert_true(of_b.m[0].since_us == 0 && of_b.m[0].until_us == 20 && of_b.m[2].until_us == 0);
    assert_string_equal(of_b.m[1].group, "a");
    assert_int_equal(store_memberships(f->store, NULL, 20, 8, keep_membership, &late, &f->err),
                     ST_OK);
    assert_int_equal(late.count, 3); /* a's own, and b's last two */
    /* When nothing needs it any more, a group without cameras goes, and its name is free. */
    assert_int_equal(store_retire(f->store, "a", 20, 0, &r, &f->err), ST_OK);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(store_retire(f->store, "a", 21, 0, &r, &f->err), ST_OK);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(store_group_name(f->store, "b", name, &f->err), ST_OK);
    assert_string_equal(name, "b");
}

static struct store_camera camera_row(struct fixture *f, const char *id)
{
    struct store_camera c;
    assert_int_equal(store_camera_get(f->store, id, &c, &f->err), ST_OK);
    return c;
}

/* Its version stays, with its files, while its group's grows; it has that when it goes on. What
 * is for paused cameras, too, they get. */
static void a_paused_camera_stays_behind(void **state)
{
    struct fixture *f = *state;
    struct store_camera c;
    struct store_retired r;
    char path[PATH_MAX], name[32];
    bool news;
    hello(f, "a", true);
    hello(f, "b", true);
    assert_int_equal(store_camera_pause(f->store, "z", 5, &c, &news, &f->err), ST_NOT_FOUND);
    put_version(f, "a", 0, 1, 10);
    assert_int_equal(move(f, "b", "a", NULL, 20), ST_OK);
    put_version(f, "a", 1, 2, 30);
    assert_int_equal(store_camera_pause(f->store, "b", 35, &c, &news, &f->err), ST_OK);
    assert_true(news && c.paused_us == 35 && c.version == 2);
    assert_int_equal(store_camera_pause(f->store, "b", 36, NULL, &news, &f->err), ST_OK);
    assert_false(news);
    reopen(f);
    for (uint64_t v = 3; v < STORE_MODELS_KEPT + 6; v++) {
        put_version(f, "a", v - 1, v, 40 + v);
        for (uint64_t k = 1; k <= 3; k++) {
            snprintf(name, sizeof name, "v%d.snap", (int)(k == 3 ? v : k));
            store_model_path(f->store, "a", name, path);
            assert_int_equal(file_write(path, "x", 1, &f->err), ST_OK);
        }
    }
    assert_int_equal(camera_row(f, "b").paused_us, 35);
    assert_int_equal(camera_row(f, "b").version, 2);
    assert_int_equal(camera_row(f, "a").version, STORE_MODELS_KEPT + 5);
    assert_int_equal(store_retire(f->store, "a", 0, 0, &r, &f->err), ST_OK);
    store_model_path(f->store, "a", "v2.snap", path);
    assert_int_equal(access(path, F_OK), 0);
    store_model_path(f->store, "a", "v1.snap", path);
    assert_int_not_equal(access(path, F_OK), 0);
    struct store_version all = {.version = 50,
                                .base = STORE_MODELS_KEPT + 5,
                                .accepted = true,
                                .for_paused = true,
                                .t_us = 100};
    assert_int_equal(store_version_put(f->store, "a", &all, NULL, 0, &f->err), ST_OK);
    assert_int_equal(camera_row(f, "b").version, 50);
    put_version(f, "a", 50, 51, 110);
    assert_int_equal(camera_row(f, "b").version, 50);
    assert_int_equal(store_camera_pause(f->store, "b", 0, &c, &news, &f->err), ST_OK);
    assert_true(news && c.paused_us == 0 && c.version == 51);
}

static int files_of(struct fixture *f, const char *camera, uint64_t seq)
{
    char path[PATH_MAX];
    int count = 0;
    store_chunk_path(f->store, camera, seq, path);
    count += access(path, F_OK) == 0;
    store_label_path(f->store, camera, seq, path);
    return count + (access(path, F_OK) == 0);
}

static void labelled(struct fixture *f, const char *camera, uint64_t seq, const char *text,
                     uint64_t t_us)
{
    struct store_frame frame = {.t_us = t_us, .seq = seq, .accuracy = 0.5, .unadapted = 0.5};
    char path[PATH_MAX];
    bool is_new;
    assert_int_equal(put(f, camera, seq, text, t_us, &is_new), ST_OK);
    store_label_path(f->store, camera, seq, path);
    assert_int_equal(file_write(path, "x", 1, &f->err), ST_OK);
    assert_int_equal(store_chunk_labelled(f->store, camera, seq, &frame, 1, &f->err), ST_OK);
}

static void count_frame(const struct store_frame *frame, void *context)
{
    (void)frame;
    ++*(int *)context;
}

/* Kept longer than training needs it, and no longer. */
static void age_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct store_retired r;
    uint64_t id, before;
    int frames = 0;
    f->options.retention_us = 50;
    reopen(f);
    hello(f, "a", true);
    for (uint64_t i = 1; i <= 6; i++) {
        labelled(f, "a", i, "sample", 20 * i);
        assert_int_equal(store_event_put(f->store, 20 * i, "a", "k", "{}", &id, &f->err), ST_OK);
    }
    assert_int_equal(store_oldest(f->store), 20);
    assert_int_equal(store_chunk_before(f->store, "a", 61, &before, &f->err), ST_OK);
    assert_int_equal(before, 3);
    assert_int_equal(store_chunk_before(f->store, "a", 20, &before, &f->err), ST_OK);
    assert_int_equal(before, 0);
    /* At 130 training needs those since 110; those since 80 are kept. */
    assert_int_equal(store_retire(f->store, "a", 110, 130, &r, &f->err), ST_OK);
    assert_int_equal(r.chunks, 3);
    assert_int_equal(files_of(f, "a", 3), 0);
    assert_int_equal(files_of(f, "a", 4), 2);
    assert_int_equal(store_retire_old(f->store, 130, &r, &f->err), ST_OK);
    assert_true(r.frames == 3 && r.events == 3);
    assert_int_equal(store_frames(f->store, "a", 0, 100, count_frame, &frames, &f->err), ST_OK);
    assert_int_equal(frames, 3);
    assert_int_equal(store_event_last(f->store), 6);
    /* What is needed stays, however old. */
    assert_int_equal(store_retire(f->store, "a", 70, 1000, &r, &f->err), ST_OK);
    assert_int_equal(r.chunks, 0);
    f->options.retention_us = 0;
    reopen(f);
    assert_int_equal(store_retire_old(f->store, 1000, &r, &f->err), ST_OK);
    assert_int_equal(r.frames, 0);
}

/* The oldest of all cameras go first, what is needed never, versions down to a few. */
static void size_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct store_retired r;
    uint64_t bytes;
    char *large = calloc(1, 100001), path[PATH_MAX], name[32];
    memset(large, 'x', 100000);
    hello(f, "a", true);
    hello(f, "b", true);
    for (uint64_t i = 1; i <= 5; i++) {
        labelled(f, "a", i, large, 20 * i);
        labelled(f, "b", i, large, 20 * i + 1);
    }
    for (uint64_t v = 1; v <= 8; v++) {
        put_version(f, "a", v - 1, v, v);
        snprintf(name, sizeof name, "v%d.snap", (int)v);
        store_model_path(f->store, "a", name, path);
        assert_int_equal(file_write(path, large, 100000, &f->err), ST_OK);
    }
    reopen(f);
    uint64_t full = store_bytes(f->store);
    assert_true(full > 1800000);
    assert_int_equal(store_retire_size(f->store, 1000, 1000, &bytes, &r, &f->err), ST_OK);
    assert_true(r.chunks == 0 && bytes == full); /* no bound */
    f->options.state_bytes_max = full - 250000;
    store_set_limits(f->store, &f->options);
    assert_int_equal(store_retire_size(f->store, 1000, 1000, &bytes, &r, &f->err), ST_OK);
    assert_in_range(r.chunks, 2, 4); /* the journal takes some, too */
    assert_true(r.models == 0 && bytes <= f->options.state_bytes_max);
    assert_true(files_of(f, "a", 1) == 0 && files_of(f, "b", 1) == 0 && files_of(f, "b", 5) == 2);
    bool is_new;
    assert_int_equal(put(f, "a", 1, "other", 5, &is_new), ST_CONFLICT); /* numbers stay used */
    f->options.state_bytes_max = 1;
    store_set_limits(f->store, &f->options);
    assert_int_equal(store_retire_size(f->store, 100, 1000, &bytes, &r, &f->err), ST_OK);
    assert_int_equal(files_of(f, "a", 5), 2); /* needed */
    assert_int_equal(files_of(f, "a", 4), 0);
    assert_int_equal(r.models, 8 - STORE_MODELS_LEAST);
    store_model_path(f->store, "a", "v8.snap", path);
    assert_int_equal(access(path, F_OK), 0);
    assert_true(bytes > 1);
    free(large);
}

static void keep_id(const struct store_event *e, void *context)
{
    struct ids *l = context;
    assert_in_range(l->count, 0, 299);
    l->id[l->count++] = e->id;
}

static void events_resume_and_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct store_retired r;
    uint64_t id, last = 0;
    f->options.events_max = 100;
    reopen(f);
    hello(f, "a", true);
    for (int i = 0; i < 250; i++) {
        assert_int_equal(store_event_put(f->store, 1, "a", "test", "{}", &id, &f->err), ST_OK);
        assert_true(id > last);
        last = id;
    }
    struct ids l = {.count = 0};
    assert_int_equal(store_events(f->store, last - 3, 100, keep_id, &l, &f->err), ST_OK);
    assert_int_equal(l.count, 3);
    assert_int_equal(store_retire(f->store, "a", 0, 0, &r, &f->err), ST_OK);
    assert_int_equal(r.events, 150);
    reopen(f);
    /* Numbers go on after a restart, even past rows that were deleted. */
    assert_int_equal(store_event_put(f->store, 1, "a", "test", "{}", &id, &f->err), ST_OK);
    assert_int_equal(id, last + 1);
    char huge[STORE_EVENT_BYTES_MAX + 1];
    memset(huge, ' ', sizeof huge);
    huge[STORE_EVENT_BYTES_MAX] = '\0';
    assert_int_equal(store_event_put(f->store, 1, "a", "test", huge, &id, &f->err), ST_LIMIT);
}

static void old_chunks_go_with_their_files(void **state)
{
    struct fixture *f = *state;
    struct store_retired r;
    bool is_new;
    char path[PATH_MAX];
    struct store_frame row = {.t_us = 1, .seq = 2, .accuracy = 1, .unadapted = 1};
    hello(f, "a", true);
    for (uint64_t seq = 1; seq <= 4; seq++)
        assert_int_equal(put(f, "a", seq, "bytes", seq * 10, &is_new), ST_OK);
    store_label_path(f->store, "a", 1, path);
    assert_int_equal(file_write(path, "x", 1, &f->err), ST_OK);
    assert_int_equal(store_chunk_labelled(f->store, "a", 1, NULL, 0, &f->err), ST_OK);
    assert_int_equal(store_chunk_labelled(f->store, "a", 2, &row, 1, &f->err), ST_OK);
    assert_int_equal(store_retire(f->store, "a", 35, 0, &r, &f->err), ST_OK);
    /* 1 goes; 2 is shown on the page; 3 waits for labels; 4 is new. */
    assert_int_equal(r.chunks, 1);
    assert_int_not_equal(access(path, F_OK), 0);
    store_chunk_path(f->store, "a", 1, path);
    assert_int_not_equal(access(path, F_OK), 0);
    store_chunk_path(f->store, "a", 2, path);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(put(f, "a", 1, "bytes", 99, &is_new), ST_CONFLICT);
    assert_int_equal(labelled_count(f, "a"), 1);
}

static void old_models_go(void **state)
{
    struct fixture *f = *state;
    struct store_retired r;
    char name[32], path[PATH_MAX];
    hello(f, "a", true);
    for (int v = 1; v <= STORE_MODELS_KEPT + 3; v++) {
        snprintf(name, sizeof name, "v%d.snap", v);
        store_model_path(f->store, "a", name, path);
        assert_int_equal(file_write(path, "m", 1, &f->err), ST_OK);
        version_row(f, (uint64_t)v, true, ST_OK);
    }
    assert_int_equal(store_retire(f->store, "a", 0, 0, &r, &f->err), ST_OK);
    assert_int_equal(r.models, 3);
    store_model_path(f->store, "a", "v3.snap", path);
    assert_int_not_equal(access(path, F_OK), 0);
    store_model_path(f->store, "a", "v4.snap", path);
    assert_int_equal(access(path, F_OK), 0);
}

static void a_full_disk_is_said(void **state)
{
    struct fixture *f = *state;
    bool is_new;
    f->options.disk_free_min_mb = UINT64_MAX;
    reopen(f);
    hello(f, "a", true);
    assert_int_equal(put(f, "a", 1, "x", 1, &is_new), ST_LIMIT);
    assert_non_null(strstr(f->err.message, "full"));
}

static void settings_survive_and_newer_files_are_refused(void **state)
{
    struct fixture *f = *state;
    char value[64], command[256];
    assert_int_equal(store_meta_get(f->store, "k", value, sizeof value, &f->err), ST_NOT_FOUND);
    assert_int_equal(store_meta_put(f->store, "k", "v", &f->err), ST_OK);
    reopen(f);
    assert_int_equal(store_meta_get(f->store, "k", value, sizeof value, &f->err), ST_OK);
    assert_string_equal(value, "v");
    store_close(&f->store);
    /* user_version is a big-endian word at byte 60 of the file. */
    snprintf(command, sizeof command,
             "printf '\\000\\000\\000\\143' | dd of=%s/attune.db bs=1 seek=60 conv=notrunc "
             "status=none",
             f->dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(store_open(f->dir, NULL, &f->store, &f->err), ST_CONFLICT);
    assert_null(f->store);
}

static void a_folder_has_one_owner(void **state)
{
    struct fixture *f = *state;
    struct store *second = NULL;
    assert_int_equal(store_open(f->dir, NULL, &second, &f->err), ST_CONFLICT);
    assert_null(second);
}

static void half_written_files_are_swept(void **state)
{
    struct fixture *f = *state;
    char half[PATH_MAX], whole[PATH_MAX];
    hello(f, "a", true);
    store_model_path(f->store, "a", "v1.delta.tmp.123", half);
    store_model_path(f->store, "a", "v1.delta", whole);
    assert_int_equal(file_write(half, "x", 1, &f->err), ST_OK);
    assert_int_equal(file_write(whole, "x", 1, &f->err), ST_OK);
    reopen(f);
    assert_int_not_equal(access(half, F_OK), 0);
    assert_int_equal(access(whole, F_OK), 0);
}

/* ---- requests ---- */

struct requests {
    int count;
    struct store_request newest, all[8];
};

static void take_request(const struct store_request *r, void *context)
{
    struct requests *l = context;
    l->newest = *r;
    if (l->count < 8)
        l->all[l->count] = *r;
    l->count++;
}

static struct requests open_requests(struct fixture *f)
{
    struct requests l = {0};
    assert_int_equal(store_requests_open(f->store, take_request, &l, &f->err), ST_OK);
    return l;
}

static struct drift_request request_of(const char *id, enum drift_kind kind, uint64_t t_us,
                                       double score)
{
    struct drift_request r = {.kind = kind,
                              .t_us = t_us,
                              .since_us = t_us - 10,
                              .score = score,
                              .latitude_deg = NAN,
                              .longitude_deg = NAN};
    snprintf(r.camera, sizeof r.camera, "%s", id);
    snprintf(r.text, sizeof r.text, "seen at %d", (int)t_us);
    return r;
}

static bool raise_request(struct fixture *f, const struct drift_request *r, uint64_t *ret_id)
{
    bool is_new;
    assert_int_equal(store_request_raise(f->store, r, ret_id, &is_new, &f->err), ST_OK);
    return is_new;
}

static void a_camera_has_one_open_request(void **state)
{
    struct fixture *f = *state;
    uint64_t id, again, other;
    hello(f, "a", true);
    hello(f, "b", true);
    struct drift_request r = request_of("a", DRIFT_SCENE, 100, 1.5);
    r.has_signature = true;
    for (int i = 0; i < SIGNATURE_VALUES; i++)
        r.signature.value[i] = 0.1f * (float)i - 1.0f / 3.0f;
    assert_true(raise_request(f, &r, &id));
    struct drift_request later = request_of("a", DRIFT_ACCURACY, 200, 1.2);
    assert_false(raise_request(f, &later, &again));
    assert_int_equal(again, id);
    later = request_of("b", DRIFT_ACCURACY, 150, 1.1);
    later.at_server = true;
    assert_true(raise_request(f, &later, &other));
    reopen(f); /* nothing is lost */
    struct requests l = open_requests(f);
    assert_int_equal(l.count, 2);
    const struct store_request *a = &l.all[0];
    assert_int_equal(a->id, id);
    assert_string_equal(a->drift.camera, "a");
    assert_int_equal(a->drift.kind, DRIFT_SCENE);
    assert_false(a->drift.at_server);
    assert_int_equal(a->drift.since_us, 90);
    assert_int_equal(a->newest_us, 200);
    assert_int_equal(a->times, 2);
    assert_true(a->drift.score == 1.5 && isnan(a->drift.latitude_deg));
    assert_true(a->drift.has_signature);
    assert_memory_equal(&a->drift.signature, &r.signature, sizeof r.signature);
    assert_true(l.all[1].drift.at_server && !l.all[1].drift.has_signature);

    assert_int_equal(store_request_close(f->store, id, "joined group 7", 300, &f->err), ST_OK);
    assert_int_equal(store_request_close(f->store, id, "twice", 301, &f->err), ST_NOT_FOUND);
    assert_int_equal(open_requests(f).count, 1);
    r.t_us = 400; /* the same alarm, told again */
    assert_false(raise_request(f, &r, &again));
    assert_int_equal(again, id);
    assert_int_equal(open_requests(f).count, 1);
    r.since_us = 395;
    assert_true(raise_request(f, &r, &again));
    assert_true(again > id);
    struct requests of_a = {0};
    assert_int_equal(store_requests(f->store, "a", 10, take_request, &of_a, &f->err), ST_OK);
    assert_int_equal(of_a.count, 2);
    assert_int_equal(of_a.all[0].id, again);
    assert_string_equal(of_a.all[1].outcome, "joined group 7");
    assert_int_equal(of_a.all[1].closed_us, 300);
}

static void a_moved_camera_takes_its_request_over(void **state)
{
    struct fixture *f = *state;
    hello(f, "a", true);
    struct drift_request r = request_of("a", DRIFT_SCENE, 100, 3);
    assert_true(raise_request(f, &r, NULL));
    r = request_of("a", DRIFT_VIEW, 200, 2);
    assert_false(raise_request(f, &r, NULL));
    struct store_request got = open_requests(f).newest;
    assert_int_equal(got.drift.kind, DRIFT_VIEW);
    assert_int_equal(got.drift.since_us, 190);
    assert_string_equal(got.drift.text, "seen at 200");
    r = request_of("a", DRIFT_SCENE, 300, 9);
    assert_false(raise_request(f, &r, NULL));
    got = open_requests(f).newest;
    assert_int_equal(got.drift.kind, DRIFT_VIEW);
    assert_true(got.drift.score == 9);
}

static void a_request_takes_the_camera_s_place(void **state)
{
    struct fixture *f = *state;
    bool is_new;
    struct store_camera c = {.id = "a", .latitude_deg = 47.5, .longitude_deg = -8.25, .fps = 30};
    assert_int_equal(store_camera_hello(f->store, &c, &is_new, &f->err), ST_OK);
    hello(f, "a", false); /* without a place: it stays */
    assert_int_equal(put(f, "a", 5, "bytes", 1, &is_new), ST_OK);
    struct drift_request r = request_of("a", DRIFT_SCENE, 100, 2);
    raise_request(f, &r, NULL);
    struct store_request got = open_requests(f).newest;
    assert_true(got.drift.latitude_deg == 47.5 && got.drift.longitude_deg == -8.25);
    assert_int_equal(got.drift.seq, 5);
    assert_true(camera(f, "a").latitude_deg == 47.5);
    hello(f, "b", true);
    assert_true(isnan(camera(f, "b").latitude_deg));
    r = request_of("nobody", DRIFT_SCENE, 100, 2);
    assert_int_equal(store_request_raise(f->store, &r, NULL, NULL, &f->err), ST_NOT_FOUND);
}

static void closed_requests_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct store_retired gone = {0};
    uint64_t id;
    f->options.requests_max = 3;
    reopen(f);
    hello(f, "a", true);
    hello(f, "b", true);
    struct drift_request r = request_of("b", DRIFT_SCENE, 11, 2);
    raise_request(f, &r, &id); /* the oldest, and open for ever */
    for (int i = 0; i < 10; i++) {
        r = request_of("a", DRIFT_SCENE, (uint64_t)(20 + i), 2);
        assert_true(raise_request(f, &r, &id));
        assert_int_equal(store_request_close(f->store, id, "done", 50, &f->err), ST_OK);
    }
    assert_int_equal(store_retire(f->store, "a", 0, 0, &gone, &f->err), ST_OK);
    assert_int_equal(gone.requests, 7);
    struct requests left = {0};
    assert_int_equal(store_requests(f->store, "a", 100, take_request, &left, &f->err), ST_OK);
    assert_int_equal(left.count, 3);
    assert_int_equal(open_requests(f).count, 1);
}

/* ---- who may ---- */

static void count_user(const struct store_user *u, void *context)
{
    assert_true(u->name[0] && u->role[0]);
    ++*(int *)context;
}

static void users_are_kept_and_bounded(void **state)
{
    struct fixture *f = *state;
    struct store_user u = {.name = "ann", .role = "view", .hash = "$y$1", .created_us = 5}, got;
    assert_int_equal(store_user_put(f->store, &u, &f->err), ST_OK);
    snprintf(u.role, sizeof u.role, "operate");
    snprintf(u.hash, sizeof u.hash, "$y$2");
    u.created_us = 9;
    assert_int_equal(store_user_put(f->store, &u, &f->err), ST_OK);
    reopen(f);
    assert_int_equal(store_user_get(f->store, "ann", &got, &f->err), ST_OK);
    assert_string_equal(got.role, "operate");
    assert_string_equal(got.hash, "$y$2");
    assert_int_equal(got.created_us, 5); /* the same user */
    assert_int_equal(store_user_get(f->store, "Ann", &got, &f->err), ST_NOT_FOUND);
    for (int i = 1; i < STORE_USERS_MAX; i++) {
        snprintf(u.name, sizeof u.name, "user-%d", i);
        assert_int_equal(store_user_put(f->store, &u, &f->err), ST_OK);
    }
    snprintf(u.name, sizeof u.name, "one-more");
    assert_int_equal(store_user_put(f->store, &u, &f->err), ST_LIMIT);
    snprintf(u.name, sizeof u.name, "ann");
    assert_int_equal(store_user_put(f->store, &u, &f->err), ST_OK);
    int count = 0;
    assert_int_equal(store_users(f->store, count_user, &count, &f->err), ST_OK);
    assert_int_equal(count, STORE_USERS_MAX);
    assert_int_equal(store_user_remove(f->store, "ann", &f->err), ST_OK);
    assert_int_equal(store_user_remove(f->store, "ann", &f->err), ST_NOT_FOUND);
}

static void count_token(const struct store_token *t, void *context)
{
    int *counts = context;
    counts[t->revoked_us > 0]++;
}

static void tokens_are_replaced_and_revoked(void **state)
{
    struct fixture *f = *state;
    struct store_token t = {.kind = STORE_TOKEN_SCRIPT,
                            .name = "prometheus",
                            .role = "view",
                            .created_us = 10},
                       got;
    assert_int_equal(store_token_put(f->store, &t, "hash 1", &f->err), ST_OK);
    t.created_us = 20;
    assert_int_equal(store_token_put(f->store, &t, "hash 2", &f->err), ST_OK);
    t.kind = STORE_TOKEN_CAMERA; /* the same name is another's */
    t.role[0] = '\0';
    assert_int_equal(store_token_put(f->store, &t, "hash 3", &f->err), ST_OK);
    reopen(f);
    assert_int_equal(store_token_find(f->store, "hash 1", &got, &f->err), ST_OK);
    assert_int_equal(got.revoked_us, 20);
    assert_int_equal(store_token_find(f->store, "hash 2", &got, &f->err), ST_OK);
    assert_int_equal(got.revoked_us, 0);
    assert_string_equal(got.role, "view");
    assert_int_equal(store_token_find(f->store, "hash", &got, &f->err), ST_NOT_FOUND);
    assert_int_equal(store_token_revoke(f->store, STORE_TOKEN_CAMERA, "prometheus", 30, &f->err),
                     ST_OK);
    assert_int_equal(store_token_revoke(f->store, STORE_TOKEN_CAMERA, "prometheus", 31, &f->err),
                     ST_NOT_FOUND);
    assert_int_equal(store_token_find(f->store, "hash 2", &got, &f->err), ST_OK);
    assert_int_equal(got.revoked_us, 0);
    int counts[2] = {0};
    assert_int_equal(store_tokens(f->store, count_token, counts, &f->err), ST_OK);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], 2);
}

static void a_code_is_good_once(void **state)
{
    struct fixture *f = *state;
    struct store_code c = {.camera = "gate", .created_us = 100, .expires_us = 200};
    struct store_token t;
    char camera[CAMERA_ID_CHARS_MAX + 1];
    assert_int_equal(store_code_put(f->store, &c, "code 1", &f->err), ST_OK);
    assert_int_equal(store_code_use(f->store, "code 2", NULL, "t", 150, camera, &f->err),
                     ST_DENIED);
    assert_int_equal(store_code_use(f->store, "code 1", "yard", "t", 150, camera, &f->err),
                     ST_CONFLICT); /* and stays */
    assert_int_equal(store_code_use(f->store, "code 1", NULL, "t1", 150, camera, &f->err), ST_OK);
    assert_string_equal(camera, "gate");
    assert_int_equal(store_code_use(f->store, "code 1", NULL, "t2", 151, camera, &f->err),
                     ST_DENIED);
    assert_int_equal(store_token_find(f->store, "t2", &t, &f->err), ST_NOT_FOUND);
    assert_int_equal(store_token_find(f->store, "t1", &t, &f->err), ST_OK);
    assert_int_equal(t.kind, STORE_TOKEN_CAMERA);
    assert_string_equal(t.name, "gate");
    assert_int_equal(store_code_put(f->store, &c, "code 3", &f->err), ST_OK);
    assert_int_equal(store_code_use(f->store, "code 3", NULL, "t3", 200, camera, &f->err),
                     ST_DENIED);                                              /* too late */
    assert_int_equal(store_code_put(f->store, &c, "code 4", &f->err), ST_OK); /* for code 3 */
    c.created_us = 101;
    assert_int_equal(store_code_put(f->store, &c, "code 5", &f->err), ST_OK);
    assert_int_equal(store_code_use(f->store, "code 4", NULL, "t4", 150, camera, &f->err),
                     ST_DENIED);
    assert_int_equal(store_code_use(f->store, "code 5", "gate", "t5", 150, camera, &f->err), ST_OK);
    assert_int_equal(store_token_find(f->store, "t1", &t, &f->err), ST_OK);
    assert_int_equal(t.revoked_us, 150); /* a camera has one token */
    for (int i = 0; i < STORE_CODES_MAX; i++) {
        char hash[32];
        snprintf(c.camera, sizeof c.camera, "camera-%d", i);
        snprintf(hash, sizeof hash, "of camera %d", i);
        assert_int_equal(store_code_put(f->store, &c, hash, &f->err), ST_OK);
    }
    snprintf(c.camera, sizeof c.camera, "one-more");
    assert_int_equal(store_code_put(f->store, &c, "more", &f->err), ST_LIMIT);
    c.created_us = 200; /* by now those have expired */
    c.expires_us = 300;
    assert_int_equal(store_code_put(f->store, &c, "more", &f->err), ST_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ids_are_checked),
        TEST(cameras_are_bounded),
        TEST(chunks_are_idempotent_and_survive),
        TEST(backlog_is_bounded_and_in_order),
        TEST(scores_become_the_series),
        TEST(doubtful_frames_come_first),
        TEST(rates_are_of_the_window),
        TEST(versions_follow_each_other),
        TEST(trainings_are_a_bounded_history),
        TEST(an_older_folder_is_taken_over),
        TEST(a_camera_has_one_open_request),
        TEST(a_moved_camera_takes_its_request_over),
        TEST(a_request_takes_the_camera_s_place),
        TEST(closed_requests_are_bounded),
        TEST(a_version_is_its_groups_for_all_members),
        TEST(a_camera_passes_through_groups),
        TEST(a_paused_camera_stays_behind),
        TEST(age_is_bounded),
        TEST(size_is_bounded),
        TEST(events_resume_and_are_bounded),
        TEST(old_chunks_go_with_their_files),
        TEST(old_models_go),
        TEST(users_are_kept_and_bounded),
        TEST(tokens_are_replaced_and_revoked),
        TEST(a_code_is_good_once),
        TEST(a_full_disk_is_said),
        TEST(a_folder_has_one_owner),
        TEST(half_written_files_are_swept),
        TEST(settings_survive_and_newer_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
