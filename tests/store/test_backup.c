/* A backup brings back what was there, whatever the server does meanwhile; a damaged one brings
 * nothing. What it holds is checked by tar and by reading the folders, not by what wrote it. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
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
#include <sqlite3.h>

#include "base/file.h"
#include "store/backup.h"
#include "store/store.h"

struct fixture {
    char top[64], dir[96], again[96], file[96];
    struct store *store;
    struct error err;
};

static void open_store(struct fixture *f, const char *dir)
{
    struct store_options o;
    store_options_init(&o);
    o.disk_free_min_mb = 0;
    o.backlog_max = 1000;
    if (store_open(dir, &o, &f->store, &f->err) != ST_OK)
        fail_msg("%s", f->err.message);
}

static void write_text(const char *path, const char *text)
{
    assert_int_equal(file_write(path, text, strlen(text), NULL), ST_OK);
}

static void put_chunk(struct fixture *f, uint64_t seq)
{
    char text[64], path[PATH_MAX];
    bool is_new;
    int n = snprintf(text, sizeof text, "sample %d", (int)seq);
    assert_int_equal(store_chunk_put(f->store, "gate", seq, text, (size_t)n, seq, &is_new, &f->err),
                     ST_OK);
    store_label_path(f->store, "gate", seq, path);
    write_text(path, "labels");
    assert_int_equal(store_chunk_labelled(f->store, "gate", seq, NULL, 0, &f->err), ST_OK);
}

static void put_version(struct fixture *f, uint64_t version)
{
    static const char *const kinds[] = {"snap", "delta", "learner"};
    struct store_version v = {
        .version = version, .base = version - 1, .accepted = true, .t_us = version};
    for (int i = 0; i < 3; i++) {
        char name[32], path[PATH_MAX], text[32];
        snprintf(name, sizeof name, "v%d.%s", (int)version, kinds[i]);
        snprintf(text, sizeof text, "weights %d", (int)version);
        store_model_path(f->store, "gate", name, path);
        write_text(path, text);
    }
    assert_int_equal(store_version_put(f->store, "gate", &v, NULL, 0, &f->err), ST_OK);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct store_camera c = {.id = "gate", .width = 64, .height = 48, .fps = 30, .seen_us = 5};
    bool is_new;
    char path[PATH_MAX];
    if (!f)
        return -1;
    snprintf(f->top, sizeof f->top, "/tmp/attune-backup-XXXXXX");
    if (!mkdtemp(f->top))
        return -1;
    snprintf(f->dir, sizeof f->dir, "%s/state", f->top);
    snprintf(f->again, sizeof f->again, "%s/again", f->top);
    snprintf(f->file, sizeof f->file, "%s/b.tar.zst", f->top);
    open_store(f, f->dir);
    assert_int_equal(store_camera_hello(f->store, &c, &is_new, &f->err), ST_OK);
    assert_int_equal(store_meta_put(f->store, "student", "abc", &f->err), ST_OK);
    for (uint64_t i = 1; i <= 3; i++) {
        put_chunk(f, i);
        put_version(f, i);
    }
    store_model_path(f->store, "gate", "v9.snap", path);
    write_text(path, "no row names it");
    snprintf(path, sizeof path, "%s/tls", f->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/tls/key.pem", f->dir);
    write_text(path, "a key");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    store_close(&f->store);
    snprintf(command, sizeof command, "rm -rf %s", f->top);
    int bad = system(command);
    free(f);
    return bad;
}

static struct backup_report back_up(struct fixture *f, bool chunks, bool keys)
{
    struct backup_report r;
    struct backup_options o = {.chunks = chunks, .keys = keys, .program = "0", .now_us = 77};
    if (backup_write(f->dir, f->file, &o, &r, &f->err) != ST_OK)
        fail_msg("%s", f->err.message);
    return r;
}

static struct backup_report restore(struct fixture *f)
{
    static uint64_t now_us = 88;
    struct backup_report r;
    if (backup_restore(f->file, f->again, true, ++now_us, &r, NULL, &f->err) != ST_OK)
        fail_msg("%s", f->err.message);
    return r;
}

static bool restored(const struct fixture *f, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->again, name);
    return access(path, F_OK) == 0;
}

static void expect_same_file(const struct fixture *f, const char *name)
{
    char from[256], to[256];
    struct buf a, b;
    struct stat at;
    buf_init(&a);
    buf_init(&b);
    snprintf(from, sizeof from, "%s/%s", f->dir, name);
    snprintf(to, sizeof to, "%s/%s", f->again, name);
    assert_int_equal(file_read(from, 1 << 20, &a, NULL), ST_OK);
    assert_int_equal(file_read(to, 1 << 20, &b, NULL), ST_OK);
    assert_int_equal(a.size_bytes, b.size_bytes);
    assert_memory_equal(a.data, b.data, a.size_bytes);
    assert_int_equal(stat(to, &at), 0);
    assert_int_equal(at.st_mode & 0777, 0600);
    buf_clear(&a);
    buf_clear(&b);
}

static void everything_comes_back(void **state)
{
    struct fixture *f = *state;
    struct backup_report w = back_up(f, true, false), r = restore(f);
    assert_true(w.files == r.files && w.bytes == r.bytes && w.missing == 0);
    assert_true(r.made_us == 77 && r.chunks && !r.keys && r.schema == store_schema());
    assert_string_equal(r.student, "abc");
    expect_same_file(f, "chunks/gate/2.chunk");
    expect_same_file(f, "labels/gate/3.labels");
    expect_same_file(f, "models/gate/v3.learner");
    assert_false(restored(f, "models/gate/v9.snap")); /* nothing that is not known */
    assert_false(restored(f, "tls/key.pem"));
    assert_false(restored(f, "manifest.json"));
    store_close(&f->store);
    open_store(f, f->again);
    struct store_camera c;
    assert_int_equal(store_camera_get(f->store, "gate", &c, &f->err), ST_OK);
    assert_true(c.version == 3 && c.seq_last == 3);
    bool is_new = true;
    assert_int_equal(store_chunk_put(f->store, "gate", 2, "sample 2", 8, 9, &is_new, &f->err),
                     ST_OK);
    assert_false(is_new);
}

static void keys_and_samples_are_a_choice(void **state)
{
    struct fixture *f = *state;
    back_up(f, false, true);
    restore(f);
    assert_true(restored(f, "tls/key.pem") && restored(f, "models/gate/v3.snap"));
    assert_false(restored(f, "chunks/gate/1.chunk") || restored(f, "labels/gate/1.labels"));
    store_close(&f->store);
    open_store(f, f->again);
    bool is_new;
    uint64_t backlog;
    assert_int_equal(store_backlog(f->store, NULL, &backlog, &f->err), ST_OK);
    assert_int_equal(store_chunk_put(f->store, "gate", 3, "another", 7, 9, &is_new, &f->err),
                     ST_CONFLICT); /* its number stays used */
    assert_int_equal(store_chunk_put(f->store, "gate", 4, "another", 7, 9, &is_new, &f->err),
                     ST_OK);
}

/* ---- damage ---- */

static enum status check_bytes(struct fixture *f, const uint8_t *data, size_t n,
                               struct backup_report *ret)
{
    char path[128];
    snprintf(path, sizeof path, "%s/bad.tar.zst", f->top);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
    return backup_check(path, ret, &f->err);
}

/* Cut anywhere it is refused; a flipped bit is either seen or changes no content. */
static void damage_is_seen(void **state)
{
    struct fixture *f = *state;
    struct backup_report whole = back_up(f, true, false), r;
    struct buf b;
    buf_init(&b);
    assert_int_equal(file_read(f->file, 1 << 24, &b, &f->err), ST_OK);
    assert_int_equal(check_bytes(f, b.data, b.size_bytes, &r), ST_OK);
    for (size_t n = 0; n < b.size_bytes; n += n < 64 ? 1 : 61)
        assert_int_equal(check_bytes(f, b.data, n, &r), ST_FORMAT);
    for (size_t i = 0; i < b.size_bytes; i += i < 64 ? 1 : 13) {
        b.data[i] ^= (uint8_t)(1 << i % 8);
        enum status st = check_bytes(f, b.data, b.size_bytes, &r);
        b.data[i] ^= (uint8_t)(1 << i % 8);
        if (st == ST_OK)
            assert_true(r.files == whole.files && r.bytes == whole.bytes);
        else
            assert_true(st == ST_FORMAT || st == ST_NOMEM || st == ST_CONFLICT);
    }
    buf_clear(&b);
}

/* tar's own idea of an archive: members that lead out of the folder, links, other files. */
static void foreign_archives_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const makes[] = {
        "cd %1$s && mkdir e && echo x > e/a && tar --zstd -cf f.tar.zst -C e a",
        "cd %1$s && tar --zstd -cf f.tar.zst -P ../../etc/hostname",
        "cd %1$s && ln -s /etc/passwd l && tar --zstd -cf f.tar.zst l",
        "cd %1$s && mkdir -p x && tar --zstd -C x -xf b.tar.zst && cp x/attune.db x/extra &&"
        " tar --zstd -C x -cf f.tar.zst manifest.json attune.db extra SHA256SUMS",
        "cd %1$s && rm -rf x && mkdir x && tar --zstd -C x -xf b.tar.zst &&"
        " sed -i 's/\"schema\": [0-9]*/\"schema\": 9999/' x/manifest.json &&"
        " tar --zstd -C x -cf f.tar.zst manifest.json attune.db SHA256SUMS",
        "cd %1$s && echo hello > f.tar.zst"};
    struct backup_report r;
    char path[128], command[512];
    back_up(f, false, false);
    snprintf(path, sizeof path, "%s/f.tar.zst", f->top);
    for (size_t i = 0; i < sizeof makes / sizeof makes[0]; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(command, sizeof command, makes[i], f->top);
#pragma GCC diagnostic pop
        assert_int_equal(system(command), 0);
        enum status st = backup_restore(path, f->again, false, 1, &r, NULL, &f->err);
        assert_int_equal(st, i == 4 ? ST_CONFLICT : ST_FORMAT);
        assert_int_not_equal(access(f->again, F_OK), 0);
    }
}

/* ---- while the server works ---- */

struct busy {
    struct fixture *f;
    atomic_bool stop;
    uint64_t rounds;
};

/* Samples come and are retired, versions come, old learners go. */
static void *work(void *context)
{
    struct busy *b = context;
    for (uint64_t i = 4; !atomic_load(&b->stop); i++, b->rounds++) {
        struct store_retired r;
        char name[32], path[PATH_MAX];
        put_chunk(b->f, i);
        put_version(b->f, i);
        snprintf(name, sizeof name, "v%d.learner", (int)i - 1);
        store_model_path(b->f->store, "gate", name, path);
        unlink(path);
        assert_int_equal(store_retire(b->f->store, "gate", i - 2, 0, &r, NULL), ST_OK);
    }
    return NULL;
}

static void count_row(const struct store_chunk *c, void *context)
{
    struct fixture *f = context;
    char name[64];
    snprintf(name, sizeof name, "chunks/gate/%d.chunk", (int)c->seq);
    assert_true(restored(f, name));
    snprintf(name, sizeof name, "labels/gate/%d.labels", (int)c->seq);
    assert_true(restored(f, name));
}

/* Every row of the copy has its files, and the version's weights are there. */
static void a_server_may_run(void **state)
{
    struct fixture *f = *state;
    struct busy b = {.f = f};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, work, &b), 0);
    for (int i = 0; i < 10; i++) {
        struct fixture copy = *f;
        struct store_camera c;
        char name[64];
        struct backup_report r = back_up(f, true, false);
        assert_int_equal(r.missing, 0);
        restore(f);
        open_store(&copy, f->again);
        assert_int_equal(store_chunks_labelled(copy.store, "gate", 0, 1000, count_row, &copy, NULL),
                         ST_OK);
        assert_int_equal(store_camera_get(copy.store, "gate", &c, NULL), ST_OK);
        snprintf(name, sizeof name, "models/gate/v%d.snap", (int)c.version);
        assert_true(restored(f, name));
        snprintf(name, sizeof name, "models/gate/v%d.snap", (int)c.version + 1);
        assert_false(restored(f, name));
        store_close(&copy.store);
    }
    atomic_store(&b.stop, true);
    pthread_join(thread, NULL);
    assert_true(b.rounds > 0);
}

static void retention_waits_for_it(void **state)
{
    struct fixture *f = *state;
    struct store_retired r;
    int hold;
    assert_int_equal(store_hold(f->dir, &hold, &f->err), ST_OK);
    assert_int_equal(store_retire(f->store, "gate", 3, 0, &r, &f->err), ST_OK);
    assert_int_equal(r.chunks, 0);
    store_release(hold);
    assert_int_equal(store_retire(f->store, "gate", 3, 0, &r, &f->err), ST_OK);
    assert_int_equal(r.chunks, 2);
    assert_int_equal(store_hold("/nonexistent", &hold, &f->err), ST_NOT_FOUND);
}

static void set_beat(const struct fixture *f, time_t s)
{
    char path[PATH_MAX];
    const struct timespec at[2] = {{.tv_sec = s}, {.tv_sec = s}};
    snprintf(path, sizeof path, "%s/backup", f->dir);
    assert_int_equal(utimensat(AT_FDCWD, path, at, 0), 0);
}

/* A backup that was stopped: its last sign of life is longer ago than what is waited for. */
static void retention_does_not_wait_for_ever(void **state)
{
    struct fixture *f = *state;
    struct store_retired r;
    int hold;
    assert_int_equal(store_hold(f->dir, &hold, &f->err), ST_OK);
    set_beat(f, 1000);
    assert_int_equal(store_retire(f->store, "gate", 2, 1000000000 + STORE_HOLD_SILENT_US, &r, NULL),
                     ST_OK);
    assert_true(r.chunks == 0 && store_hold_kept(hold));
    for (uint64_t keep = 2; keep <= 3; keep++) { /* and goes on without while it stays so */
        assert_int_equal(
            store_retire(f->store, "gate", keep, 1000000001 + STORE_HOLD_SILENT_US, &r, NULL),
            ST_OK);
        assert_int_equal(r.chunks, 1);
    }
    assert_false(store_hold_kept(hold));
    store_release(hold);
    assert_int_equal(store_hold(f->dir, &hold, &f->err), ST_OK);
    assert_true(store_hold_kept(hold));
    store_release(hold);
}

/* Stands still after a file, for as long as the server waits. */
static void stand_still(void *context, uint64_t done, uint64_t total)
{
    struct fixture *f = context;
    struct store_retired r;
    (void)total;
    if (done != 3)
        return;
    set_beat(f, 1);
    assert_int_equal(store_retire(f->store, "gate", 3, 2000000 + STORE_HOLD_SILENT_US, &r, NULL),
                     ST_OK);
    assert_int_equal(r.chunks, 2);
}

static void one_that_stood_still_is_none(void **state)
{
    struct fixture *f = *state;
    struct backup_report r;
    struct backup_options o = {
        .chunks = true, .program = "0", .now_us = 77, .progress = stand_still, .context = f};
    assert_int_equal(backup_write(f->dir, f->file, &o, &r, &f->err), ST_AGAIN);
    assert_non_null(strstr(f->err.message, "make it again"));
    assert_int_equal(access(f->file, F_OK), -1);
    o.progress = NULL;
    assert_int_equal(backup_write(f->dir, f->file, &o, &r, &f->err), ST_OK);
}

/* ---- one that is ended ---- */

static bool count_down(void *context)
{
    int *left = context;
    return (*left)-- <= 0;
}

static int entries_of(const char *path)
{
    int count = 0;
    DIR *open = opendir(path);
    assert_non_null(open);
    while (readdir(open))
        count++;
    closedir(open);
    return count;
}

/* Wherever it is ended: nothing is left of it, and the backup before is as it was. */
static void one_that_is_ended_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct backup_report r;
    back_up(f, true, true);
    int before = entries_of(f->top), asked = 0, left = 0;
    const struct backup_options o = {
        .chunks = true, .program = "0", .now_us = 77, .stop = count_down, .context = &left};
    while (backup_write(f->dir, f->file, &o, &r, &f->err) != ST_OK) {
        assert_non_null(strstr(f->err.message, "was ended"));
        assert_int_equal(entries_of(f->top), before);
        assert_int_equal(backup_check(f->file, &r, &f->err), ST_OK);
        assert_true(r.keys);
        left = ++asked;
        assert_true(asked < 1000);
    }
    assert_true(asked > 10); /* at least at each file */
    assert_false(r.keys);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(everything_comes_back),
        TEST(keys_and_samples_are_a_choice),
        TEST(damage_is_seen),
        TEST(foreign_archives_are_refused),
        TEST(a_server_may_run),
        TEST(retention_waits_for_it),
        TEST(retention_does_not_wait_for_ever),
        TEST(one_that_stood_still_is_none),
        TEST(one_that_is_ended_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
