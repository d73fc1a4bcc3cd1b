/* attune label export: of a running server's samples, and of boxes and classes that are known. What
 * is said of a mask is worked out again from its run lengths and from the label picture. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/rng.h"
#include "kit.h"
#include "label/export.h"
#include "label/label_file.h"
#include "label/outline.h"
#include "store/store.h"
#include "task/class_list.h"
#include "task/detect.h"
#include "train/folder_samples.h"
#include "video/frame.h"
#include "video/image.h"

#define T_US ((uint64_t)1795299806000000)

static char dir[64], state_dir[128];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/attune-export-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(state_dir, sizeof state_dir, "%s/state", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static json_t *load(const char *out, const char *name)
{
    char path[600];
    json_error_t why;
    snprintf(path, sizeof path, "%s/%s", out, name);
    json_t *o = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (!o)
        fail_msg("%s:%d: %s", path, why.line, why.text);
    return o;
}

static json_int_t whole(const json_t *o, const char *key)
{
    assert_true(json_is_integer(json_object_get(o, key)));
    return json_integer_value(json_object_get(o, key));
}

static double at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

/* ---- outlines ---- */

#define SIDE 24

/* Worked out in another way: what of a padded picture is reached from its edge, also across
 * corners, without the area is outside of it. */
struct filled {
    int width, height, stack[SIDE * SIDE * 16];
    bool area[SIDE][SIDE], outside[SIDE + 2][SIDE + 2];
};

static void fill_area(struct filled *f, const struct label_map *l, int x, int y)
{
    int top = 0, class_id = l->classes[y * l->width + x];
    f->stack[top++] = y * SIDE + x;
    while (top > 0) {
        int at = f->stack[--top];
        x = at % SIDE;
        y = at / SIDE;
        if (f->area[y][x] || l->classes[y * l->width + x] != class_id)
            continue;
        f->area[y][x] = true;
        if (x > 0)
            f->stack[top++] = at - 1;
        if (x + 1 < l->width)
            f->stack[top++] = at + 1;
        if (y > 0)
            f->stack[top++] = at - SIDE;
        if (y + 1 < l->height)
            f->stack[top++] = at + SIDE;
    }
}

static void fill_outside(struct filled *f)
{
    int top = 0;
    f->stack[top++] = 0;
    while (top > 0) {
        int x = f->stack[--top] % (SIDE + 2), y = f->stack[top] / (SIDE + 2);
        bool of_area = x > 0 && y > 0 && x <= f->width && y <= f->height && f->area[y - 1][x - 1];
        if (f->outside[y][x] || of_area)
            continue;
        f->outside[y][x] = true;
        for (int dy = -1; dy <= 1; dy++)
            for (int dx = -1; dx <= 1; dx++)
                if (x + dx >= 0 && x + dx <= f->width + 1 && y + dy >= 0 && y + dy <= f->height + 1)
                    f->stack[top++] = (y + dy) * (SIDE + 2) + x + dx;
    }
}

/* Is the pixel's middle within, by the even-odd rule? */
static bool is_within(const struct outline *o, int x, int y)
{
    bool within = false;
    for (int i = 0; i < o->count; i++) {
        const int *a = o->corners + 2 * i, *b = o->corners + 2 * ((i + 1) % o->count);
        if ((a[1] <= y) != (b[1] <= y) && a[0] > x)
            within = !within;
    }
    return within;
}

struct outlines {
    const struct label_map *l;
    int count;
    bool seen[SIDE][SIDE]; /* pixels of areas that had an outline */
};

static void check_outline(void *context, const struct outline *o)
{
    struct outlines *all = context;
    struct filled *f = calloc(1, sizeof *f);
    int64_t area = 0;
    assert_non_null(f);
    f->width = all->l->width;
    f->height = all->l->height;
    fill_area(f, all->l, o->corners[0], o->corners[1]);
    fill_outside(f);
    for (int y = 0; y < f->height; y++)
        for (int x = 0; x < f->width; x++) {
            bool within = is_within(o, x, y);
            assert_int_equal(within, !f->outside[y + 1][x + 1]);
            assert_true(!within || (x >= o->x0 && x < o->x1 && y >= o->y0 && y < o->y1));
            area += within;
            assert_false(f->area[y][x] && all->seen[y][x]);
            all->seen[y][x] = all->seen[y][x] || f->area[y][x];
        }
    assert_int_equal(o->area, area);
    for (int i = 0; i < o->count; i++) { /* a corner is a turn */
        const int *a = o->corners + 2 * i, *b = o->corners + 2 * ((i + 1) % o->count);
        assert_true((a[0] == b[0]) != (a[1] == b[1]));
    }
    all->count++;
    free(f);
}

static void outlines_go_round_each_area(void **state)
{
    (void)state;
    struct rng rng;
    struct label_map l;
    label_map_init(&l);
    rng_init(&rng, 11, 1);
    for (int round = 0; round < 300; round++) {
        int width = 1 + (int)rng_below(&rng, SIDE), height = 1 + (int)rng_below(&rng, SIDE);
        unsigned share = 1 + rng_below(&rng, 9);
        assert_int_equal(label_map_resize(&l, width, height, NULL), ST_OK);
        for (int i = 0; i < width * height; i++)
            l.classes[i] = rng_below(&rng, 10) < share;
        struct outlines all = {.l = &l};
        for (int c = 0; c < 2; c++)
            assert_int_equal(outline_trace(&l, c, 1, check_outline, &all, NULL), ST_OK);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                assert_true(all.seen[y][x]);
    }
    label_map_clear(&l);
}

/* ---- masks ---- */

/* Pixels of the class by COCO's run lengths (column by column). */
static uint8_t *decode_mask(const json_t *segmentation, int width, int height)
{
    const json_t *counts = json_object_get(segmentation, "counts"), *run;
    const json_t *size = json_object_get(segmentation, "size");
    size_t i, pixel = 0, all = (size_t)width * (size_t)height;
    uint8_t *mask = calloc(all, 1);
    assert_non_null(mask);
    assert_true(at(size, 0) == height && at(size, 1) == width);
    json_array_foreach(counts, i, run) for (json_int_t k = json_integer_value(run); k > 0;
                                            k--, pixel++)
    {
        assert_true(pixel < all);
        mask[pixel % (size_t)height * (size_t)width + pixel / (size_t)height] = i % 2;
    }
    assert_int_equal(pixel, all);
    return mask;
}

static void check_mask(const json_t *a, const struct label_map *labels)
{
    uint8_t *mask = decode_mask(json_object_get(a, "segmentation"), labels->width, labels->height);
    const json_t *bbox = json_object_get(a, "bbox");
    json_int_t area = 0, category = whole(a, "category_id");
    int x0 = labels->width, y0 = labels->height, x1 = 0, y1 = 0;
    for (int y = 0; y < labels->height; y++)
        for (int x = 0; x < labels->width; x++) {
            size_t i = (size_t)y * (size_t)labels->width + (size_t)x;
            assert_int_equal(mask[i], labels->classes[i] + 1 == category);
            if (!mask[i])
                continue;
            area++;
            x0 = x < x0 ? x : x0;
            y0 = y < y0 ? y : y0;
            x1 = x >= x1 ? x + 1 : x1;
            y1 = y >= y1 ? y + 1 : y1;
        }
    assert_true(area > 0 && whole(a, "area") == area);
    assert_true(at(bbox, 0) == x0 && at(bbox, 1) == y0);
    assert_true(at(bbox, 2) == x1 - x0 && at(bbox, 3) == y1 - y0);
    free(mask);
}

/* The pictures of the data set by id; all annotations are of one of them, each class once. */
static void check_masks(const char *out, json_t *coco)
{
    const json_t *image, *a;
    size_t i, k;
    json_array_foreach(json_object_get(coco, "images"), i, image)
    {
        char path[600];
        struct label_map labels;
        struct frame picture;
        struct error err;
        bool seen[CLASSES_MAX] = {false};
        const char *name = json_string_value(json_object_get(image, "file_name"));
        label_map_init(&labels);
        frame_init(&picture);
        snprintf(path, sizeof path, "%s/%s", out, name);
        assert_int_equal(image_open(path, &picture, &err), ST_OK);
        assert_true(whole(image, "width") == picture.width);
        assert_true(whole(image, "height") == picture.height);
        snprintf(strrchr(path, '.'), 20, "_label.png");
        assert_int_equal(image_labels_open(path, &labels, &err), ST_OK);
        assert_int_equal(labels.width, picture.width);
        json_array_foreach(json_object_get(coco, "annotations"), k, a)
        {
            if (whole(a, "image_id") != whole(image, "id"))
                continue;
            assert_false(seen[whole(a, "category_id")]);
            seen[whole(a, "category_id")] = true;
            check_mask(a, &labels);
        }
        for (size_t p = 0; p < (size_t)labels.width * (size_t)labels.height; p++)
            assert_true(labels.classes[p] == LABEL_IGNORE || seen[labels.classes[p] + 1]);
        label_map_clear(&labels);
        frame_clear(&picture);
    }
}

/* What training reads is what was written. */
static void check_training_takes_it(const struct kit *kit, const char *out, uint64_t pictures)
{
    char folder[600];
    struct error err;
    struct samples *samples;
    struct frame frame;
    struct label_map labels;
    struct rng rng;
    const struct task_spec *spec = &kit->server->student_spec;
    snprintf(folder, sizeof folder, "%s/images", out);
    const struct folder_samples_options o = {.dir = folder, .part = FOLDER_ALL};
    if (folder_samples_open(&o, spec, &samples, &err) != ST_OK)
        fail_msg("%s", err.message);
    assert_int_equal(samples->count, pictures);
    assert_int_equal(folder_samples_unlabelled(samples), 0);
    frame_init(&frame);
    label_map_init(&labels);
    rng_init(&rng, 1, 0);
    assert_int_equal(frame_resize(&frame, spec->width, spec->height, &err), ST_OK);
    assert_int_equal(samples_size_labels(spec, &labels, &err), ST_OK);
    for (uint64_t n = 0; n < pictures; n++)
        if (samples_draw(samples, n, &rng, &frame, &labels, &err) != ST_OK)
            fail_msg("%s", err.message);
    frame_clear(&frame);
    label_map_clear(&labels);
    samples_close(&samples);
}

/* The program's summary. */
static json_t *run_export(const struct kit *kit, const char *out, const char *more)
{
    char command[1400], line[2048];
    assert_non_null(getenv("ATTUNE_PROGRAM"));
    snprintf(command, sizeof command,
             "%s label export --state %s --out %s --limit 6 --since 1d --json %s",
             getenv("ATTUNE_PROGRAM"), kit->options.settings.state, out, more);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(line, 1, sizeof line, f);
    assert_int_equal(pclose(f), 0);
    return json_loadb(line, n, 0, NULL);
}

/* Of each as the masks' readers want it, inside its box, which is inside the picture. */
static void check_polygons(json_t *coco)
{
    const json_t *a;
    size_t i;
    json_int_t area = 0;
    json_array_foreach(json_object_get(coco, "annotations"), i, a)
    {
        const json_t *list = json_object_get(a, "segmentation"), *points = json_array_get(list, 0);
        const json_t *bbox = json_object_get(a, "bbox");
        assert_true(whole(a, "iscrowd") == 0 && json_array_size(list) == 1);
        assert_true(json_array_size(points) >= 8 && json_array_size(points) % 2 == 0);
        for (size_t k = 0; k < json_array_size(points); k++) {
            double low = at(bbox, k % 2), v = at(points, k);
            assert_true(v >= low && v <= low + at(bbox, 2 + k % 2));
        }
        assert_true(whole(a, "area") >= EXPORT_AREA_MIN);
        area += whole(a, "area");
    }
    const json_t *image = json_array_get(json_object_get(coco, "images"), 0);
    double all = 6.0 * (double)(whole(image, "width") * whole(image, "height"));
    assert_true((double)area > 0.8 * all); /* all that is no speck */
}

static void masks_of_a_running_server(void **state)
{
    (void)state;
    char out[100];
    uint64_t seq = 0;
    struct kit *kit = kit_open();
    kit->options.no_worker = true;
    kit_start(kit);
    kit_hello(kit, "gate");
    kit_upload(kit, "gate", &seq);
    kit_upload(kit, "gate", &seq);
    kit_await(kit, "labelled", kit_await(kit, "labelled", 0));
    snprintf(out, sizeof out, "%s/masks", dir);
    json_t *summary = run_export(kit, out, "");
    assert_int_equal(whole(summary, "pictures"), 6);
    assert_int_equal(whole(summary, "damaged_chunks"), 0);
    json_t *coco = load(out, "annotations.json");
    assert_int_equal(json_array_size(json_object_get(coco, "images")), 6);
    assert_int_equal(json_array_size(json_object_get(coco, "categories")), KIT_CLASSES);
    assert_int_equal(json_array_size(json_object_get(coco, "annotations")),
                     (size_t)whole(summary, "annotations"));
    check_masks(out, coco);
    check_training_takes_it(kit, out, 6);
    json_decref(coco);
    json_decref(summary);
    snprintf(out, sizeof out, "%s/polygons", dir);
    json_decref(run_export(kit, out, "--polygons"));
    coco = load(out, "annotations.json");
    check_polygons(coco);
    json_decref(coco);
    kit_close(&kit);
}

/* ---- boxes and classes ---- */

static const char names[][CLASS_NAME_CHARS_MAX + 1] = {"car", "a \"person\"", "bicycle"};

/* A folder with one camera's chunk of three pictures and these labels. */
static void make_state(const char *folder, const struct label_set *labels)
{
    struct store *store;
    struct store_options o;
    struct error err;
    struct buf chunk, text;
    char path[PATH_MAX];
    store_options_init(&o);
    o.disk_free_min_mb = 0;
    assert_int_equal(store_open(folder, &o, &store, &err), ST_OK);
    struct store_camera c = {.width = 48, .height = 32, .fps = 1, .sampling_fps = 1};
    bool is_new;
    snprintf(c.id, sizeof c.id, "gate");
    assert_int_equal(store_camera_hello(store, &c, &is_new, &err), ST_OK);
    buf_init(&chunk);
    buf_init(&text);
    kit_chunk("gate", 1, 3, T_US, 2, &chunk);
    assert_int_equal(
        store_chunk_put(store, "gate", 1, chunk.data, chunk.size_bytes, T_US, &is_new, &err),
        ST_OK);
    assert_int_equal(label_set_write(labels, &text, &err), ST_OK);
    store_label_path(store, "gate", 1, path);
    assert_int_equal(file_write(path, text.data, text.size_bytes, &err), ST_OK);
    store_label_path(store, "gate", 2, path); /* a damaged file, and no chunk */
    assert_int_equal(file_write(path, "ATLB", 4, &err), ST_OK);
    buf_clear(&chunk);
    buf_clear(&text);
    store_close(&store);
}

static struct export_options options_for(const char *out, enum task_kind task,
                                         enum export_format format)
{
    return (struct export_options){.state = state_dir,
                                   .out = out,
                                   .format = format,
                                   .task = task,
                                   .class_count = 3,
                                   .class_name = names,
                                   .teacher = "abc",
                                   .quality = 95,
                                   .now_us = T_US};
}

static void fill_boxes(struct label_set *l)
{
    struct error err;
    const struct detection three[] = {{{0.25f, 0.25f, 0.5f, 0.75f, 1, 0.9f}, false},
                                      {{0, 0, 1, 1, 0, 0.4f}, false},
                                      {{0.5f, 0.5f, 0.75f, 0.75f, 2, 0.8f}, true}};
    struct task_spec *spec = calloc(1, sizeof *spec);
    spec->task = TASK_DETECT;
    spec->class_count = 3;
    spec->out_width = DETECT_ROW_BYTES;
    spec->out_height = DETECT_BOXES_MAX;
    assert_int_equal(label_set_init_for(l, 3, spec, &err), ST_OK);
    for (int i = 0; i < 3; i++) {
        l->t_us[i] = T_US + (uint64_t)i * 1000000;
        detect_write(three, i == 2 ? 0 : 3, label_set_map(l, i).classes);
    }
    free(spec);
}

static void check_coco_boxes(const char *out)
{
    json_t *coco = load(out, "annotations.json"), *a;
    const json_t *list = json_object_get(coco, "annotations");
    size_t i;
    assert_int_equal(json_array_size(list), 4); /* 0.4 is below 0.5 */
    json_array_foreach(list, i, a)
    {
        const json_t *bbox = json_object_get(a, "bbox");
        bool unsure = whole(a, "iscrowd") == 1;
        assert_int_equal(whole(a, "id"), (json_int_t)i + 1);
        assert_int_equal(whole(a, "category_id"), unsure ? 3 : 2);
        assert_true(fabs(at(bbox, 0) - (unsure ? 24 : 12)) < 0.01);
        assert_true(fabs(at(bbox, 1) - (unsure ? 16 : 8)) < 0.01);
        assert_true(fabs(at(bbox, 2) - 12) < 0.01);
        assert_true(fabs(at(bbox, 3) - (unsure ? 8 : 16)) < 0.01);
        assert_true(
            fabs(json_number_value(json_object_get(a, "area")) - at(bbox, 2) * at(bbox, 3)) < 1e-3);
        assert_true(fabs(json_number_value(json_object_get(a, "score")) - (unsure ? 0.8 : 0.9)) <
                    0.01);
        assert_true(json_is_true(json_object_get(json_object_get(a, "attributes"), "teacher")));
    }
    const json_t *image = json_array_get(json_object_get(coco, "images"), 0);
    assert_string_equal(json_string_value(json_object_get(image, "date_captured")),
                        "2026-11-21T22:23:26.000Z");
    assert_int_equal(whole(image, "model_version"), 2);
    const json_t *person = json_array_get(json_object_get(coco, "categories"), 1);
    assert_string_equal(json_string_value(json_object_get(person, "name")), "a \"person\"");
    json_decref(coco);
}

static void check_yolo(const char *out)
{
    char path[300];
    struct buf text;
    struct error err;
    int class_id;
    double x, y, w, h;
    buf_init(&text);
    snprintf(path, sizeof path, "%s/labels/train/gate-000001-000.txt", out);
    assert_int_equal(file_read(path, 10000, &text, &err), ST_OK);
    buf_put_u8(&text, 0);
    assert_int_equal(
        sscanf((const char *)text.data, "%d %lf %lf %lf %lf", &class_id, &x, &y, &w, &h), 5);
    assert_int_equal(class_id, 1);
    assert_true(fabs(x - 0.375) < 1e-4 && fabs(y - 0.5) < 1e-4);
    assert_true(fabs(w - 0.25) < 1e-4 && fabs(h - 0.5) < 1e-4);
    assert_non_null(strstr((const char *)text.data, "\n0 0.5"));
    assert_null(strstr((const char *)text.data, "\n2 ")); /* nobody is sure of it */
    text.size_bytes = 0;
    snprintf(path, sizeof path, "%s/data.yaml", out);
    assert_int_equal(file_read(path, 10000, &text, &err), ST_OK);
    buf_put_u8(&text, 0);
    assert_non_null(strstr((const char *)text.data, "  1: \"a \\\"person\\\"\"\n"));
    buf_clear(&text);
}

static void boxes(void **state)
{
    (void)state;
    char out[128];
    struct label_set labels = {0};
    struct export_summary s;
    struct error err;
    fill_boxes(&labels);
    make_state(state_dir, &labels);
    snprintf(out, sizeof out, "%s/coco", dir);
    struct export_options o = options_for(out, TASK_DETECT, EXPORT_COCO);
    o.min_score = 0.5;
    o.png = true;
    assert_int_equal(export_labels(&o, &s, &err), ST_OK);
    assert_true(s.pictures == 3 && s.cameras == 1 && s.damaged == 1 && s.annotations == 4);
    check_coco_boxes(out);
    assert_int_equal(export_labels(&o, &s, &err), ST_CONFLICT); /* it is there */
    snprintf(out, sizeof out, "%s/yolo", dir);
    o = options_for(out, TASK_DETECT, EXPORT_YOLO);
    assert_int_equal(export_labels(&o, &s, &err), ST_OK);
    assert_int_equal(s.annotations, 4);
    check_yolo(out);
    snprintf(out, sizeof out, "%s/two", dir);
    o = options_for(out, TASK_DETECT, EXPORT_YOLO);
    o.since_us = T_US;
    o.limit = 1;
    assert_int_equal(export_labels(&o, &s, &err), ST_OK);
    assert_int_equal(s.pictures, 1);
    label_set_clear(&labels);
}

static void classes(void **state)
{
    (void)state;
    char out[128];
    struct label_set labels = {0};
    struct export_summary s;
    struct class_list list;
    struct error err;
    assert_int_equal(label_set_init(&labels, 3, 1, 1, 3, &err), ST_OK);
    for (int i = 0; i < 3; i++) {
        labels.t_us[i] = T_US + (uint64_t)i;
        labels.classes[i] = i == 1 ? LABEL_IGNORE : (uint8_t)i;
    }
    snprintf(state_dir, sizeof state_dir, "%s/classes-state", dir);
    make_state(state_dir, &labels);
    snprintf(out, sizeof out, "%s/classes", dir);
    struct export_options o = options_for(out, TASK_CLASSIFY, EXPORT_FOLDERS);
    assert_int_equal(export_labels(&o, &s, &err), ST_OK);
    assert_int_equal(s.pictures, 2);
    assert_int_equal(class_list_read(out, NULL, &list, &err), ST_OK);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.class_count, 2); /* nobody is the person */
    assert_string_equal(list.class_name[list.classes[0]], "car");
    assert_string_equal(list.class_name[list.classes[1]], "bicycle");
    class_list_clear(&list);
    label_set_clear(&labels);
}

static void what_cannot_be_is_said(void **state)
{
    (void)state;
    char out[128];
    struct export_summary s;
    struct error err = {0};
    snprintf(out, sizeof out, "%s/never", dir);
    struct export_options o = options_for(out, TASK_SEGMENT, EXPORT_YOLO);
    assert_int_equal(export_labels(&o, &s, &err), ST_INVALID);
    assert_non_null(strstr(err.message, "take coco"));
    o = options_for(out, TASK_CLASSIFY, EXPORT_COCO);
    assert_int_equal(export_labels(&o, &s, &err), ST_INVALID);
    o = options_for(out, TASK_CLASSIFY, EXPORT_FOLDERS);
    o.camera = "nobody";
    assert_int_equal(export_labels(&o, &s, &err), ST_NOT_FOUND);
    o.camera = NULL;
    o.since_us = T_US + 1000000000;
    assert_int_equal(export_labels(&o, &s, &err), ST_NOT_FOUND);
    o.state = "/nowhere";
    assert_int_equal(export_labels(&o, &s, &err), ST_NOT_FOUND);
    char text[64];
    assert_int_equal(store_peek_meta("/nowhere", "task", text, sizeof text, &err), ST_NOT_FOUND);
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outlines_go_round_each_area),
        cmocka_unit_test(masks_of_a_running_server),
        cmocka_unit_test(boxes),
        cmocka_unit_test(classes),
        cmocka_unit_test(what_cannot_be_is_said),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
