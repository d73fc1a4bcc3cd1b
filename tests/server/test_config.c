/* What is said of the settings by files, conf.d, the environment and flags: who wins, what each
 * value remembers of it, and many files that are wrong, each with the place and the words
 * that its error must have. ATTUNE_VERBOSE=1 prints them all. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "server/settings_show.h"

static struct settings set;
static struct camera_list cameras;
static struct problems problems;

static enum status load(const char *path, const char *const *environment,
                        const struct setting_flag *flags, int count)
{
    struct error err;
    const struct settings_sources from = {path, environment, flags, count, true};
    problems_init(&problems);
    return settings_load(&from, &set, &cameras, &problems, &err);
}

static void write_text(const char *path, const char *text)
{
    struct error err;
    assert_int_equal(file_write(path, text, strlen(text), &err), ST_OK);
}

static bool says(const char *words)
{
    for (int i = 0; i < problems.count; i++)
        if (strstr(problems.items[i].text, words))
            return true;
    return false;
}

static void expect(const char *words)
{
    if (!says(words))
        fail_msg("nothing says '%s'; the first is '%s'", words, problems.items[0].text);
}

static const char *data_folder(void)
{
    const char *data = getenv("ATTUNE_TEST_DATA");
    return data ? data : "tests/data";
}

/* ---- wrong files ---- */

/* "FILE:LINE:COLUMN: what; what to do" with the expected place and words, among the errors. */
static bool names_it(const char *path, const char *place, const char *words)
{
    char start[PATH_MAX];
    snprintf(start, sizeof start, "%s:%s", path, place);
    for (int i = 0; i < problems.count; i++) {
        const char *text = problems.items[i].text;
        if (!problems.items[i].warning && strncmp(text, start, strlen(start)) == 0 &&
            strstr(text, words) && strchr(text, ';'))
            return true;
    }
    return false;
}

/* Every error has a line and a column of this file, and says what to do. */
static void check_forms(const char *path)
{
    for (int i = 0; i < problems.count; i++) {
        unsigned line = 0, column = 0;
        const char *text = problems.items[i].text;
        if (problems.items[i].warning)
            continue;
        if (strncmp(text, path, strlen(path)) != 0 ||
            sscanf(text + strlen(path), ":%u:%u:", &line, &column) != 2 || line < 1 || column < 1 ||
            !strchr(text, ';'))
            fail_msg("no place, or not what to do: %s", text);
    }
}

static void show(const char *path, const char *folder)
{
    if (!getenv("ATTUNE_VERBOSE"))
        return;
    for (int i = 0; i < problems.count; i++)
        if (!problems.items[i].warning)
            printf("%s\n", problems.items[i].text +
                               (strncmp(problems.items[i].text, path, strlen(path)) == 0
                                    ? strlen(folder) + 1
                                    : 0));
}

static void wrong_files_name_place_and_remedy(void **state)
{
    (void)state;
    char folder[PATH_MAX], path[PATH_MAX + 512], line[512];
    int count = 0;
    snprintf(folder, sizeof folder, "%s/config-broken", data_folder());
    snprintf(path, sizeof path, "%s/expected.tsv", folder);
    FILE *list = fopen(path, "r");
    assert_non_null(list);
    while (fgets(line, sizeof line, list)) {
        char *place = strchr(line, '\t'), *words = place ? strchr(place + 1, '\t') : NULL;
        assert_non_null(words);
        *place++ = *words++ = '\0';
        words[strcspn(words, "\n")] = '\0';
        snprintf(path, sizeof path, "%s/%s", folder, line);
        assert_int_equal(load(path, NULL, NULL, 0), ST_INVALID);
        show(path, folder);
        check_forms(path);
        if (!names_it(path, place, words))
            fail_msg("%s at %s does not say '%s': %s", line, place, words, problems.items[0].text);
        count++;
    }
    fclose(list);
    assert_true(count >= 50);
}

static void files_that_cannot_be_read_are_named(void **state)
{
    (void)state;
    char dir[] = "/tmp/attune-config-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.yaml", dir);
    assert_int_equal(load(path, NULL, NULL, 0), ST_INVALID);
    check_forms(path);
    assert_int_equal(load(dir, NULL, NULL, 0), ST_INVALID);
    check_forms(dir);
    struct error err;
    char *large = malloc(SETTINGS_FILE_BYTES_MAX + 1);
    assert_non_null(large);
    memset(large, '\n', SETTINGS_FILE_BYTES_MAX + 1);
    assert_int_equal(file_write(path, large, SETTINGS_FILE_BYTES_MAX + 1, &err), ST_OK);
    free(large);
    assert_int_equal(load(path, NULL, NULL, 0), ST_INVALID);
    check_forms(path);
    unlink(path);
    rmdir(dir);
}

static void all_errors_are_found_up_to_a_bound(void **state)
{
    (void)state;
    char dir[] = "/tmp/attune-config-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.yaml", dir);
    write_text(path, "perod_s: 1\nsteps: many\ncameras:\n  Gate:\n  side: {fps: no, sorce: a}\n"
                     "sampling_fps_min: 2\n");
    assert_int_equal(load(path, NULL, NULL, 0), ST_INVALID);
    assert_int_equal(problems.errors, 6);
    static const char *const places[] = {":1:1:", ":2:8:", ":4:3:", ":5:15:", ":5:19:", ":6:19:"};
    for (int i = 0; i < 6; i++)
        expect(places[i]);
    struct buf b;
    struct error err;
    buf_init(&b);
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "zz%d: 1\n", i);
    assert_int_equal(file_write(path, b.data, b.size_bytes, &err), ST_OK);
    assert_int_equal(load(path, NULL, NULL, 0), ST_INVALID);
    assert_int_equal(problems.count, PROBLEMS_MAX);
    buf_clear(&b);
    unlink(path);
    rmdir(dir);
}

/* ---- right ones ---- */

static void right_files_are_taken(void **state)
{
    (void)state;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/config-valid/comments.yaml", data_folder());
    assert_int_equal(load(path, NULL, NULL, 0), ST_OK);
    snprintf(path, sizeof path, "%s/config-valid/empty.yaml", data_folder());
    assert_int_equal(load(path, NULL, NULL, 0), ST_OK);
    snprintf(path, sizeof path, "%s/config-valid/units.yaml", data_folder());
    assert_int_equal(load(path, NULL, NULL, 0), ST_OK);
    assert_true(set.chunk_s == 10 && set.window_s == 90 && set.horizon_s == 240);
    assert_true(set.uplink_kbps == 2000 && set.sampling_fps_max == 2);
    assert_true(set.sampling_fps_min == 0.5 && set.chunk_bytes_max == 8 << 20);
    assert_true(set.disk_free_min_mb == 1024 && set.group_distance_m == 1500);
    assert_true(set.accuracy_min == 0.5 && set.group_time_s == 3600);
}

static void cameras_share_defaults(void **state)
{
    (void)state;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/config-valid/cameras.yaml", data_folder());
    assert_int_equal(load(path, NULL, NULL, 0), ST_OK);
    assert_int_equal(cameras.count, 3);
    const struct camera_settings *one = &cameras.cameras[0], *two = &cameras.cameras[1];
    assert_true(one->fps == 10 && one->threads == 2 && one->uplink_kbps == 0);
    assert_true(two->fps == 5 && two->threads == 2 && two->uplink_kbps == 100);
    assert_true(one->origins[CAMERA_ROW_fps].shared && !two->origins[CAMERA_ROW_fps].shared);
    assert_int_equal(two->origins[CAMERA_ROW_fps].line, 12);
    assert_int_equal(one->origins[CAMERA_ROW_fps].line, 6);
}

/* The lines in comments are settings when the comment is taken away, all of them the defaults. */
static void the_example_is_complete(void **state)
{
    (void)state;
    struct buf text;
    struct error err;
    static struct settings standard;
    buf_init(&text);
    settings_write_example(&text);
    buf_put_u8(&text, 0);
    char *to = (char *)text.data;
    for (char *at = to; *at;) {
        bool is_setting = at[0] == '#' && (at[1] != ' ' || at[2] == ' ');
        for (at += is_setting; *at && *at != '\n';)
            *to++ = *at++;
        *to++ = '\n';
        at += *at == '\n';
    }
    settings_init(&set);
    settings_init(&standard);
    enum status st =
        settings_read(&set, &cameras, text.data, (size_t)(to - (char *)text.data), "example", &err);
    if (st != ST_OK)
        fail_msg("%s", err.message);
    for (int i = 0; i < SETTINGS_ROWS; i++) {
        assert_int_equal(set.origins[i].from, SETTING_FROM_FILE);
        assert_true(setting_table_same(settings_table(), &set, &standard, i));
    }
    assert_int_equal(cameras.count, 2);
    for (int i = 0; i < CAMERA_ROWS; i++)
        assert_int_equal(cameras.cameras[1].origins[i].from, SETTING_FROM_FILE);
    buf_clear(&text);
}

static void the_packaged_file_is_the_example(void **state)
{
    (void)state;
    struct buf made, kept;
    struct error err;
    char path[PATH_MAX];
    const char *deploy = getenv("ATTUNE_DEPLOY");
    buf_init(&made);
    buf_init(&kept);
    settings_write_example(&made);
    snprintf(path, sizeof path, "%s/attune.yaml", deploy ? deploy : "deploy");
    assert_int_equal(file_read(path, 1 << 20, &kept, &err), ST_OK);
    if (made.size_bytes != kept.size_bytes || memcmp(made.data, kept.data, made.size_bytes) != 0)
        fail_msg("deploy/attune.yaml is old: attune config example > deploy/attune.yaml");
    buf_clear(&made);
    buf_clear(&kept);
}

/* ---- who wins ---- */

struct folder {
    char dir[64], path[128], more[128], secret[128];
};

static void make_folder(struct folder *f)
{
    snprintf(f->dir, sizeof f->dir, "/tmp/attune-config-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/a.yaml", f->dir);
    snprintf(f->secret, sizeof f->secret, "%s/secret", f->dir);
    snprintf(f->more, sizeof f->more, "%s/conf.d", f->dir);
    assert_int_equal(mkdir(f->more, 0700), 0);
    snprintf(f->more, sizeof f->more, "%s/conf.d/10-more.yaml", f->dir);
}

static void remove_folder(struct folder *f)
{
    char path[128];
    snprintf(path, sizeof path, "%s/conf.d", f->dir);
    unlink(f->more);
    unlink(f->path);
    unlink(f->secret);
    rmdir(path);
    assert_int_equal(rmdir(f->dir), 0);
}

static void later_ones_win(void **state)
{
    (void)state;
    struct folder f;
    make_folder(&f);
    write_text(f.path,
               "period_s: 11\nchunk_s: 11\nsteps: 11\nbatch: 11\ncamera_defaults: {fps: 3}\n"
               "cameras:\n  gate-1: {source: a}\n");
    write_text(f.more, "chunk_s: 12\nsteps: 12\nbatch: 12\ncameras:\n"
                       "  gate-1: {threads: 3}\n  gate-2: {source: b}\n");
    static const char *const environment[] = {"ATTUNE_STEPS=13",
                                              "ATTUNE_BATCH=13",
                                              "HOME=/",
                                              "ATTUNE_CAMERAS_GATE_2_FPS=4",
                                              "ATTUNE_CAMERAS_MAX=9",
                                              NULL};
    static const struct setting_flag flags[] = {{"batch", "14"}, {"uplink-kbps", "2Mbit/s"}};
    assert_int_equal(load(f.path, environment, flags, 2), ST_OK);
    assert_int_equal(problems.errors, 0);
    assert_true(set.period_s == 11 && set.chunk_s == 12 && set.steps == 13 && set.batch == 14);
    assert_true(set.uplink_kbps == 2000 && set.cameras_max == 9 && set.window_s == 60);
    assert_int_equal(cameras.count, 2);
    const struct camera_settings *one = camera_list_find(&cameras, "gate-1"),
                                 *two = camera_list_find(&cameras, "gate-2");
    assert_true(one->fps == 3 && one->threads == 3 && two->fps == 4);
    assert_string_equal(one->source, "a");
    char origin[SETTINGS_ORIGIN_BYTES], want[SETTINGS_ORIGIN_BYTES];
    settings_origin(&set, &set.origins[SETTINGS_ROW_chunk_s], origin);
    snprintf(want, sizeof want, "%s:1", f.more);
    assert_string_equal(origin, want);
    settings_origin(&set, &set.origins[SETTINGS_ROW_steps], origin);
    assert_string_equal(origin, "environment");
    settings_origin(&set, &set.origins[SETTINGS_ROW_batch], origin);
    assert_string_equal(origin, "flag");
    settings_origin(&set, &set.origins[SETTINGS_ROW_window_s], origin);
    assert_string_equal(origin, "default");
    assert_int_equal(two->origins[CAMERA_ROW_fps].from, SETTING_FROM_ENVIRONMENT);
    remove_folder(&f);
}

static void variables_are_checked_too(void **state)
{
    (void)state;
    static const char *const environment[] = {"ATTUNE_STEPS=many", "ATTUNE_PEROD_S=1",
                                              "ATTUNE_CAMERAS_GATE_FPS=1", NULL};
    assert_int_equal(load(NULL, environment, NULL, 0), ST_INVALID);
    assert_int_equal(problems.errors, 1);
    expect("environment variable ATTUNE_STEPS: 'many' is no number; steps takes 0 to 10000");
    expect("ATTUNE_PEROD_S: there is no setting 'perod_s'; did you mean 'period_s'?");
    expect("ATTUNE_CAMERAS_GATE_FPS: it names no camera");
}

/* ---- secrets ---- */

#define PASSWORD "opensesame"

static void secrets_come_from_elsewhere_and_are_not_shown(void **state)
{
    (void)state;
    struct folder f;
    char text[512], shown[SETTING_TEXT_BYTES];
    make_folder(&f);
    write_text(f.secret, PASSWORD "\n");
    snprintf(
        text, sizeof text,
        "state: ${env:WHERE}/state\nstudent: $${x}\ncameras:\n"
        "  a: {source: \"rtsp://u:${file:%s}@h/x\"}\n  b: {source: \"rtsp://u:hunter2@h/y\"}\n",
        f.secret);
    write_text(f.path, text);
    assert_int_equal(chmod(f.path, 0644), 0);
    static const char *const environment[] = {"WHERE=/srv/" PASSWORD, NULL};
    assert_int_equal(load(f.path, environment, NULL, 0), ST_OK);
    assert_string_equal(set.state, "/srv/" PASSWORD "/state");
    assert_string_equal(set.student, "${x}");
    assert_string_equal(cameras.cameras[0].source, "rtsp://u:" PASSWORD "@h/x");
    expect("everybody can read it"); /* b's */
    setting_table_show(settings_table(), &set, SETTINGS_ROW_state, shown);
    assert_string_equal(shown, "***");
    json_t *o = settings_json(&set, &cameras);
    char *all = json_dumps(o, 0);
    assert_non_null(strstr(all, "rtsp://h/y"));
    assert_null(strstr(all, PASSWORD));
    assert_null(strstr(all, "hunter2"));
    free(all);
    json_decref(o);
    assert_int_equal(chmod(f.path, 0600), 0);
    assert_int_equal(load(f.path, environment, NULL, 0), ST_OK);
    assert_false(says("everybody can read it"));
    remove_folder(&f);
}

static void a_secret_that_does_not_fit_is_not_quoted(void **state)
{
    (void)state;
    struct folder f;
    make_folder(&f);
    write_text(f.path, "steps: ${env:SECRET}\nadapt: ${env:SECRET}\nlog_level: ${env:SECRET}\n");
    static const char *const environment[] = {"SECRET=" PASSWORD, NULL};
    assert_int_equal(load(f.path, environment, NULL, 0), ST_INVALID);
    assert_int_equal(problems.errors, 3);
    expect("'${env:SECRET}' is no number; steps takes");
    assert_false(says(PASSWORD));
    remove_folder(&f);
}

/* ---- the schema ---- */

static void the_schema_has_every_setting(void **state)
{
    (void)state;
    json_t *schema = settings_schema(), *properties = json_object_get(schema, "properties");
    assert_int_equal(json_object_size(properties), SETTINGS_ROWS + 3);
    json_t *cameras_schema = json_object_get(
        json_object_get(json_object_get(properties, "cameras"), "patternProperties"),
        "^[a-z0-9_-]{1,63}$");
    assert_int_equal(json_object_size(json_object_get(cameras_schema, "properties")), CAMERA_ROWS);
    for (int i = 0; i < SETTINGS_ROWS; i++)
        assert_non_null(json_object_get(properties, settings_table()->rows[i].name));
    json_decref(schema);
}

static int clear(void **state)
{
    (void)state;
    camera_list_clear(&cameras);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, clear)
    const struct CMUnitTest tests[] = {
        TEST(wrong_files_name_place_and_remedy),
        TEST(files_that_cannot_be_read_are_named),
        TEST(all_errors_are_found_up_to_a_bound),
        TEST(right_files_are_taken),
        TEST(cameras_share_defaults),
        TEST(the_example_is_complete),
        TEST(the_packaged_file_is_the_example),
        TEST(later_ones_win),
        TEST(variables_are_checked_too),
        TEST(secrets_come_from_elsewhere_and_are_not_shown),
        TEST(a_secret_that_does_not_fit_is_not_quoted),
        TEST(the_schema_has_every_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
