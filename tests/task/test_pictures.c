/* Pictures with a class each: folders, CSV files and what is wrong with them; regions; crops. */
#include <math.h>
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
#include "synth/crops.h"
#include "task/class_list.h"
#include "task/regions.h"
#include "task/task.h"
#include "video/crop.h"
#include "video/frame.h"

static char dir[64];

static const char *in_dir(const char *name)
{
    static char path[4][256];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", dir, name);
    return path[next];
}

static void put(const char *name, const char *text)
{
    assert_int_equal(file_write(in_dir(name), text, strlen(text), NULL), ST_OK);
}

static void make_folder(const char *name)
{
    assert_int_equal(mkdir(in_dir(name), 0700), 0);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/attune-pictures-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void folders_are_classes(void **state)
{
    (void)state;
    make_folder("night");
    make_folder("day");
    make_folder(".hidden");
    const char *const files[] = {"day/10.jpg",   "night/2.png",  "day/9.jpeg",
                                 "night/11.JPG", "day/note.txt", "loose.jpg"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        put(files[i], "x");
    struct class_list l;
    assert_int_equal(class_list_read(dir, NULL, &l, NULL), ST_OK);
    assert_int_equal(l.class_count, 2);
    assert_string_equal(l.class_name[0], "day");
    assert_string_equal(l.class_name[1], "night");
    assert_int_equal(l.count, 4); /* by their own names: 2, 9, 10, 11 */
    const char *const paths[] = {"night/2.png", "day/9.jpeg", "day/10.jpg", "night/11.JPG"};
    const uint8_t classes[] = {1, 0, 0, 1};
    for (int i = 0; i < 4; i++) {
        assert_string_equal(l.paths[i], in_dir(paths[i]));
        assert_int_equal(l.classes[i], classes[i]);
    }
    /* Another network's order, and one that does not know the night. */
    struct class_map map = {.label_count = 3, .label_name = {"dusk", "night", "day"}};
    assert_int_equal(class_list_fit(&l, &map, NULL), ST_OK);
    assert_int_equal(l.class_count, 3);
    assert_true(l.classes[0] == 1 && l.classes[1] == 2 && l.classes[2] == 2 && l.classes[3] == 1);
    struct class_map other = {.label_count = 2, .label_name = {"day", "dusk"}};
    struct error err;
    assert_int_equal(class_list_fit(&l, &other, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "'night' is none of"));
    class_list_clear(&l);
}

static void bad_folders_say_why(void **state)
{
    (void)state;
    struct class_list l;
    struct error err;
    assert_int_equal(class_list_read(in_dir("nowhere"), NULL, &l, &err), ST_NOT_FOUND);
    assert_int_equal(class_list_read(dir, NULL, &l, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.message, "holds 0 folders"));
    make_folder("one");
    put("one/a.jpg", "x");
    assert_int_equal(class_list_read(dir, NULL, &l, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.message, "holds 1 folders"));
    make_folder("empty");
    assert_int_equal(class_list_read(dir, NULL, &l, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.message, "empty holds no jpg"));
    make_folder("a_name_that_is_longer_than_any_class");
    assert_int_equal(class_list_read(dir, NULL, &l, &err), ST_LIMIT);
}

static void csv_names_classes(void **state)
{
    (void)state;
    put("l.csv", "file,class\r\nb.jpg,night\nsub/a.jpg,day\r\n\nc.jpg,night");
    struct class_list l;
    assert_int_equal(class_list_read(dir, in_dir("l.csv"), &l, NULL), ST_OK);
    assert_int_equal(l.count, 3); /* in the file's order; classes in that of their names */
    assert_int_equal(l.class_count, 2);
    assert_string_equal(l.class_name[0], "day");
    assert_string_equal(l.paths[1], in_dir("sub/a.jpg"));
    assert_true(l.classes[0] == 1 && l.classes[1] == 0 && l.classes[2] == 1);
    class_list_clear(&l);
}

static void bad_csv_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "names 0 classes"},
        {"file,class\n", "names 0 classes"},
        {"name,label\na,b\n", "l.csv:1: the first line is 'file,class'"},
        {"file,class\na.jpg\n", "l.csv:2: a line is NAME,CLASS"},
        {"file,class\na.jpg,x\n,day\n", "l.csv:3: a line is NAME,CLASS"},
        {"file,class\na.jpg,\n", "l.csv:2: a line is NAME,CLASS"},
        {"file,class\na.jpg,x,y\n", "l.csv:2: a line is NAME,CLASS"},
        {"file,class\na.jpg,a name that is longer than any class\n", "l.csv:2: at most 64 classes"},
        {"file,class\na.jpg,day\nb.jpg,day\n", "names 1 classes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct class_list l;
        struct error err;
        put("l.csv", cases[i].text);
        assert_int_equal(class_list_read(dir, in_dir("l.csv"), &l, &err), ST_FORMAT);
        if (!strstr(err.message, cases[i].message))
            fail_msg("'%s' does not say '%s'", err.message, cases[i].message);
    }
    /* Every truncation, and every flipped bit of it, is a usable list or an error with a place. */
    char good[] = "file,class\nb.jpg,night\nsub/a.jpg,day\n";
    for (size_t n = 0; n < sizeof good; n++)
        for (int bit = 0; bit < 8 && n < sizeof good - 1; bit++) {
            struct class_list l;
            struct error err;
            good[n] ^= (char)(1 << bit);
            for (size_t length = n; length < sizeof good; length += 7)
                if (class_list_parse(good, length, "l.csv", "d", &l, &err) == ST_OK) {
                    assert_true(l.class_count >= 2 && l.count >= 2);
                    for (size_t i = 0; i < l.count; i++)
                        assert_true(l.classes[i] < l.class_count);
                    class_list_clear(&l);
                } else {
                    assert_memory_equal(err.message, "l.csv", 5);
                }
            good[n] ^= (char)(1 << bit);
        }
    /* Sixty-five classes. */
    char text[2048] = "file,class\n";
    for (int k = 0; k < CLASSES_MAX + 1; k++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "a.jpg,c%d\n", k);
    put("l.csv", text);
    struct class_list l;
    struct error err;
    assert_int_equal(class_list_read(dir, in_dir("l.csv"), &l, &err), ST_FORMAT);
    assert_non_null(strstr(err.message, "l.csv:66:"));
}

static void regions_are_parsed(void **state)
{
    (void)state;
    struct regions r;
    assert_int_equal(regions_parse(NULL, &r, NULL), ST_OK);
    assert_int_equal(r.count, 0);
    assert_int_equal(regions_parse("0,0,1,1;0.25,0.5,0.5,0.75", &r, NULL), ST_OK);
    assert_int_equal(r.count, 2);
    struct box b = region_box(&r.at[1], 80, 40);
    assert_true(b.x0 == 20 && b.y0 == 20 && b.x1 == 40 && b.y1 == 30);
    static const char *const bad[] = {"",          "0,0,1",       "0,0,1,1;", "0,0,1,1,1",
                                      "0,0,0,1",   "0.5,0,0.2,1", "0,0,1,2",  "-0.1,0,1,1",
                                      "nan,0,1,1", "0,0,1,1 ",    "a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(regions_parse(bad[i], &r, NULL), ST_INVALID);
    assert_int_equal(r.count, 2); /* untouched */
    char many[REGIONS_MAX * 8 + 16] = "0,0,1,1";
    for (int i = 1; i < REGIONS_MAX; i++)
        memcpy(many + strlen(many), ";0,0,1,1", 9);
    assert_int_equal(regions_parse(many, &r, NULL), ST_OK);
    assert_int_equal(r.count, REGIONS_MAX);
    memcpy(many + strlen(many), ";0,0,1,1", 9);
    assert_int_equal(regions_parse(many, &r, NULL), ST_INVALID);
}

static void crops_are_what_is_in_the_box(void **state)
{
    (void)state;
    enum { W = 20, H = 14 };
    uint8_t pixels[W * H * 3];
    for (int i = 0; i < W * H * 3; i++)
        pixels[i] = (uint8_t)(i * 7);
    const struct frame src = {W, H, 99, pixels};
    struct cropper c;
    struct frame dst;
    cropper_init(&c);
    frame_init(&dst);
    assert_int_equal(frame_resize(&dst, 6, 4, NULL), ST_OK);
    /* Without scaling: the very pixels, the box rounded outwards. */
    const struct box box = {.x0 = 3.2f, .y0 = 5, .x1 = 8.7f, .y1 = 8.1f};
    assert_int_equal(cropper_cut(&c, &src, &box, &dst, NULL), ST_OK);
    assert_int_equal(dst.t_us, 99);
    for (int y = 0; y < 4; y++)
        assert_memory_equal(dst.pixels + y * 18, pixels + ((5 + y) * W + 3) * 3, 18);
    /* Cut off at the edges; a picture of one colour stays so at any size. */
    memset(pixels, 77, sizeof pixels);
    const struct box large = {.x0 = -50, .y0 = -INFINITY, .x1 = 3e9f, .y1 = 7};
    assert_int_equal(cropper_cut(&c, &src, &large, &dst, NULL), ST_OK);
    for (int i = 0; i < 6 * 4 * 3; i++)
        assert_int_equal(dst.pixels[i], 77);
    const struct box bad[] = {{.x0 = 20, .x1 = 30, .y1 = 9},
                              {.x0 = 5, .x1 = 5, .y1 = 9},
                              {.x0 = NAN, .y0 = NAN, .x1 = NAN, .y1 = NAN},
                              {.x0 = -9, .x1 = -3, .y1 = 2}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(cropper_cut(&c, &src, &bad[i], &dst, NULL), ST_INVALID);
    cropper_clear(&c);
    frame_clear(&dst);
}

static bool overlap(const struct box *a, const struct box *b)
{
    return fmaxf(a->x0, b->x0) < fminf(a->x1, b->x1) && fmaxf(a->y0, b->y0) < fminf(a->y1, b->y1);
}

static void check_crops(const struct box *boxes, size_t boxes_count, const struct box *crops,
                        size_t count)
{
    int of_class[TOWN_CROP_CLASS_COUNT] = {0};
    for (size_t i = 0; i < count; i++) {
        const struct box *c = &crops[i];
        assert_in_range(c->class_id, 0, TOWN_CROP_CLASS_COUNT - 1);
        of_class[c->class_id]++;
        assert_true(c->x0 >= 0 && c->y0 >= 0 && c->x1 <= 320 && c->y1 <= 192);
        assert_true(c->x1 - c->x0 >= TOWN_CROP_SIDE_MIN && c->y1 - c->y0 >= TOWN_CROP_SIDE_MIN);
        for (size_t k = 0; k < boxes_count; k++)
            assert_false(c->class_id == TOWN_CROP_BACKGROUND && overlap(c, &boxes[k]));
    }
    assert_in_range(of_class[TOWN_CROP_BACKGROUND], 0, TOWN_CROPS_BACKGROUND);
    for (int k = 1; k < TOWN_CROP_CLASS_COUNT; k++)
        assert_in_range(of_class[k], 0, TOWN_CROPS_OF_A_CLASS);
}

/* Crops of real frames keep the rules, are the town's boxes, and come out the same again. */
static void crops_of_the_town(void **state)
{
    (void)state;
    struct town *t;
    assert_int_equal(town_open(NULL, &t, NULL), ST_OK);
    struct frame f;
    frame_init(&f);
    assert_int_equal(frame_resize(&f, 320, 192, NULL), ST_OK);
    size_t seen[TOWN_CROP_CLASS_COUNT] = {0};
    for (uint64_t i = 0; i < 12; i++) {
        struct box boxes[TOWN_BOXES_MAX], crops[2][TOWN_CROPS_MAX];
        size_t count, found[2];
        assert_int_equal(town_render(t, (int)(i & 1), i * 9000000, &f, NULL, boxes, TOWN_BOXES_MAX,
                                     &count, NULL),
                         ST_OK);
        for (int k = 0; k < 2; k++) {
            struct rng r;
            rng_init(&r, 4, i);
            memset(crops[k], 0, sizeof crops[k]);
            found[k] = town_crops(boxes, count, 320, 192, &r, crops[k]);
        }
        assert_int_equal(found[0], found[1]);
        assert_memory_equal(crops[0], crops[1], sizeof crops[0]);
        check_crops(boxes, count, crops[0], found[0]);
        for (size_t c = 0; c < found[0]; c++) {
            size_t same = 0;
            for (size_t k = 0; k < count; k++)
                same += boxes[k].x0 == crops[0][c].x0 && boxes[k].y1 == crops[0][c].y1 &&
                        strcmp(town_class_names[boxes[k].class_id],
                               town_crop_class_names[crops[0][c].class_id]) == 0;
            assert_true((same > 0) == (crops[0][c].class_id != TOWN_CROP_BACKGROUND));
            seen[crops[0][c].class_id]++;
        }
    }
    assert_true(seen[TOWN_CROP_BACKGROUND] && seen[TOWN_CROP_CAR] && seen[TOWN_CROP_PERSON]);
    frame_clear(&f);
    town_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folders_are_classes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_folders_say_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(csv_names_classes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_csv_says_where, set_up, tear_down),
        cmocka_unit_test(regions_are_parsed),
        cmocka_unit_test(crops_are_what_is_in_the_box),
        cmocka_unit_test(crops_of_the_town),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
