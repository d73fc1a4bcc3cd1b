/* Detectors from elsewhere: any metadata makes a head that keeps its promises, or an error; any
 * output decodes to a table that is one; any table is refused, or counted, moved and mapped.
 *
 * Input: a byte that chooses the network, lines KEY=VALUE, a zero byte, and numbers (float32). */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/build.h"
#include "nn/describe.h"
#include "task/detect_loss.h"
#include "task/task.h"

#define NUMBERS_MAX 4096
#define PROPERTIES_MAX 16
#define TEXT_MAX 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* [1,channels,2,2] of a 32 x 32 picture. */
static const struct buf *network(int channels)
{
    static struct buf files[8];
    struct buf *file = &files[channels % 8];
    struct nn_build *b = NULL;
    if (file->size_bytes)
        return file;
    buf_init(file);
    assert(nn_build_open(32, 32, 1, &b, NULL) == ST_OK);
    nn_value x = nn_build_conv(b, nn_build_input(b), 5 + channels % 8, 1, 16, 1, 1, true);
    assert(nn_build_finish(b, x, file, NULL) == ST_OK);
    nn_build_close(&b);
    return file;
}

/* Lines of text[] become properties, in place. */
static int split(char *text, struct nn_property *ret)
{
    int count = 0;
    for (char *at = text; at && count < PROPERTIES_MAX;) {
        char *end = strchr(at, '\n'), *value;
        if (end)
            *end++ = '\0';
        if ((value = strchr(at, '='))) {
            *value++ = '\0';
            ret[count++] = (struct nn_property){at, value};
        }
        at = end;
    }
    return count;
}

static void check_decode(const struct detect_head *h, struct nn_view *v)
{
    static float slopes[NUMBERS_MAX];
    uint8_t table[DETECT_TABLE_BYTES];
    struct nn_view grad = *v;
    grad.data = slopes;
    detect_decode(h, v, 0, NULL, table);
    assert(detect_check(table, h->class_count, NULL) == ST_OK);
    (void)detect_loss(h, v, table, NULL, 1, &grad);
}

/* The numbers as an output of the head's shape, zeros where they end. */
static void decode(const struct detect_head *h, const uint8_t *bytes, size_t n)
{
    static float numbers[NUMBERS_MAX];
    int channels = 5;
    for (int k = 0; k < h->class_count; k++)
        channels = h->channel[k] + 6 > channels ? h->channel[k] + 6 : channels;
    int64_t cells = h->cell_count, all = cells * channels;
    if (all > NUMBERS_MAX)
        return;
    memset(numbers, 0, sizeof numbers);
    memcpy(numbers, bytes, n < (size_t)all * 4 ? n : (size_t)all * 4);
    struct nn_view v = {numbers, 3, {1, cells, channels}, {all, channels, 1}};
    if (h->kind != DETECT_YOLOX)
        v = (struct nn_view){numbers,
                             4,
                             {1, channels, h->levels[0].height, h->levels[0].width},
                             {all, 1, (int64_t)h->levels[0].width * channels, channels}};
    check_decode(h, &v);
}

static void check_head(const struct detect_head *h)
{
    assert(h->class_count >= 1 && h->class_count <= DETECT_CLASSES_MAX);
    assert(h->cell_count >= 1 && h->cell_count <= DETECT_CELLS_MAX);
    assert(h->unsure > 0 && h->unsure <= h->threshold && h->threshold <= 1 && h->nms_iou > 0);
}

static void check_file(int channels, char *text, const uint8_t *numbers, size_t n)
{
    const struct buf *file = network(channels);
    struct nn_property properties[PROPERTIES_MAX];
    struct nn_model *m = NULL;
    struct task_spec spec;
    struct error err = {.message = ""};
    struct buf described;
    int count = split(text, properties);
    buf_init(&described);
    assert(nn_describe(file->data, file->size_bytes, properties, count, &described, NULL) == ST_OK);
    if (nn_model_read(described.data, described.size_bytes, NULL, &m, &err) == ST_OK) {
        if (task_spec_read(m, &spec, &err) != ST_OK)
            assert(err.message[0]);
        else if (spec.task == TASK_DETECT) {
            check_head(&spec.head);
            decode(&spec.head, numbers, n);
        }
    }
    nn_model_close(&m);
    buf_clear(&described);
}

static void check_table(const uint8_t *bytes, size_t n)
{
    static struct confusion counts;
    const struct detect_window window = {0.1f, 0.2f, 0.5f, true};
    const uint8_t to_class[CLASSES_MAX] = {1, LABEL_IGNORE, 0};
    uint8_t table[DETECT_TABLE_BYTES], moved[DETECT_TABLE_BYTES];
    memset(table, LABEL_IGNORE, sizeof table);
    memcpy(table, bytes, n < sizeof table ? n : sizeof table);
    if (detect_check(table, 3, NULL) != ST_OK)
        return;
    detect_move(&window, table, moved);
    assert(detect_check(moved, 3, NULL) == ST_OK);
    task_counts_init(TASK_DETECT, 3, &counts);
    detect_count(&counts, table, moved);
    detect_map_classes(to_class, table);
    assert(detect_check(table, 2, NULL) == ST_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    /* The list of a YOLOX, which the small network does not give. */
    const struct detect_head yolox = {.kind = DETECT_YOLOX,
                                      .level_count = 3,
                                      .cell_count = 21,
                                      .levels = {{4, 4, 0}, {2, 2, 16}, {1, 1, 20}},
                                      .class_count = 2,
                                      .channel = {1, 0},
                                      .threshold = 0.4f,
                                      .unsure = 0.2f,
                                      .nms_iou = 0.5f};
    char text[TEXT_MAX];
    if (n < 2)
        return 0;
    size_t length = strnlen((const char *)data + 1, n - 1);
    if (length >= sizeof text)
        return 0;
    memcpy(text, data + 1, length);
    text[length] = '\0';
    size_t behind = length + 2 < n ? length + 2 : n;
    check_file(data[0] % 8, text, data + behind, n - behind);
    decode(&yolox, data + behind, n - behind);
    check_table(data + behind, n - behind);
    return 0;
}
