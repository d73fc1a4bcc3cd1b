/* model_quantize.c - `attune model quantize`: a network made ready for int8 inference. */
#include "cmd/model_quantize.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/progress.h"
#include "bench/case.h"
#include "bench/times.h"
#include "cmd/model.h"
#include "nn/calibrate.h"
#include "train/town_samples.h"

static const char help[] =
    "usage: attune model quantize FILE.onnx (--frames PATH | --town) --out FILE.onnx [OPTIONS]\n\n"
    "Makes a network ready for int8 inference, which a camera with VNNI runs at "
    "about\n"
    "twice the speed of float32. The network is run on pictures as its camera sees them, and the\n"
    "range of every activation is written into the file beside the weights. These stay float32 and "
    "as\n"
    "they are: training and updates go on from the file as before, other runtimes read it, and "
    "the\n"
    "camera (attune camera --student) makes bytes of the weights whenever an update came.\n\n"
    "Then float32, bfloat16 and int8 take turns on other pictures, and a table says how fast they\n"
    "are, and how many pixels, or crops, get the class that float32 gives them.\n\n"
    "  --frames PATH     a folder of pictures or a video from the camera; every second frame is\n"
    "                    kept for the comparison\n"
    "  --town            the synthetic town; the comparison is on towns that it was not "
    "calibrated\n"
    "                    on, and against their exact labels\n"
    "  --conditions SET  of the town: clear (default) or all\n"
    "  --out FILE        the ONNX file to write\n"
    "  --count N         pictures to calibrate on, default 100\n"
    "  --compare N       pictures to compare on, default 100\n"
    "  --clip WHAT       error: ranges with the least squared error (default); none: ranges that "
    "hold\n"
    "                    every value that was seen\n"
    "  --headroom X      ranges so many times as wide as what was seen, default 2: a student that "
    "goes\n"
    "                    on learning leaves the ranges that its first weights gave; 1 for one "
    "whose\n"
    "                    weights stay, such as a teacher\n"
    "  --threads N       default 1\n"
    "  --size WxH        of the input, where the file leaves it open or for another size\n"
    "  --json            as JSON\n\n"
    "example: attune model quantize student.onnx --frames yesterday.mp4 --out student-int8.onnx\n"
    "         attune camera --student student-int8.onnx ...\n";

/* Runs up to a->count pictures; *ret_count says how many there were. */
static enum status watch(const struct quantize_arguments *a, const struct task_spec *spec,
                         struct nn_calibration *c, int *ret_count, struct error *err)
{
    struct quantize_feed *feed = NULL;
    struct progress bar;
    int done = 0;
    enum status st = quantize_feed_open(a, spec, QUANTIZE_CALIBRATION, &feed, err);
    progress_init(&bar, "calibrating", (uint64_t)a->count, a->json, clock_mono_us());
    while (done < a->count && st == ST_OK) {
        const struct frame *frame;
        const struct label_map *labels;
        struct nn_view input = nn_calibration_input(c, 0);
        st = quantize_feed_next(feed, &frame, &labels, err);
        if (st != ST_OK)
            break;
        task_input(spec, frame, &input, 0);
        st = nn_calibration_run(c, err);
        progress_update(&bar, (uint64_t)++done, NULL, clock_mono_us());
    }
    progress_clear(&bar);
    quantize_feed_close(&feed);
    *ret_count = done;
    return st == ST_END && done > 0 ? ST_OK : st;
}

static enum status calibrate(const struct quantize_arguments *a, const struct nn_model *m,
                             struct buf *file, int *ret_count, struct error *err)
{
    struct task_spec spec;
    struct nn_calibration *c = NULL;
    struct nn_range *ranges = calloc((size_t)nn_model_graph(m)->tensor_count, sizeof *ranges);
    enum status st = ranges ? ST_OK : error_set(err, ST_NOMEM, "no memory for ranges");
    if (st == ST_OK)
        st = a->town ? town_spec_read(m, &spec, err) : task_spec_read(m, &spec, err);
    if (st == ST_OK)
        st = nn_calibration_open(m, NULL, a->threads, &c, err);
    if (st == ST_OK)
        st = watch(a, &spec, c, ret_count, err);
    if (st == ST_OK)
        st = nn_calibration_ranges(c, a->clip, (float)a->headroom, ranges, err);
    if (st == ST_OK)
        st = nn_model_write_calibrated(m, NULL, ranges, file, err);
    nn_calibration_close(&c);
    free(ranges);
    return st;
}

struct outcome {
    int calibrated, compared;
    size_t file_bytes;
    struct quantize_result result[QUANTIZE_RESULTS];
};

static enum status quantize(const struct quantize_arguments *a, struct outcome *ret,
                            struct error *err)
{
    struct nn_model *m = NULL, *calibrated = NULL;
    struct nn_model_options o = cmd_model_options(a->size);
    struct buf file;
    buf_init(&file);
    enum status st = nn_model_open(a->path, &o, &m, err);
    if (st == ST_OK)
        st = calibrate(a, m, &file, &ret->calibrated, err);
    if (st == ST_OK)
        st = nn_model_read(file.data, file.size_bytes, NULL, &calibrated, err);
    if (st == ST_OK)
        st = quantize_compare(a, calibrated, ret->result, &ret->compared, err);
    if (st == ST_OK)
        st = file_write(a->out, file.data, file.size_bytes, err);
    ret->file_bytes = file.size_bytes;
    nn_model_close(&calibrated);
    nn_model_close(&m);
    buf_clear(&file);
    return st;
}

static void print_outcome(const struct quantize_arguments *a, const struct outcome *o)
{
    printf("calibrated on %d pictures, compared on %d others\n", o->calibrated, o->compared);
    printf("%-10s %10s %10s %12s %8s %12s\n", "precision", "ms", "speed", "same class",
           task_score_name(o->result[QUANTIZE_F32].task), "memory");
    for (int i = 0; i < QUANTIZE_RESULTS; i++) {
        const struct quantize_result *r = &o->result[i];
        const char *name = bench_precision_name(r->precision);
        if (!r->runs) {
            printf("%-10s this processor does not have it\n", name);
            continue;
        }
        printf("%-10s %10.3f %9.2fx %10.2f %% ", name, r->ms, o->result[QUANTIZE_F32].ms / r->ms,
               100 * r->agreement);
        if (isnan(r->accuracy))
            printf("%8s", "-");
        else
            printf("%8.2f", 100 * r->accuracy);
        printf(" %8.1f MiB\n", (double)r->session_bytes / 0x1p20);
    }
    printf("written       %s, %zu bytes\n", a->out, o->file_bytes);
}

static json_t *real(double v)
{
    return isnan(v) ? json_null() : json_real(v);
}

static json_t *result_json(const struct quantize_result *r)
{
    json_t *o =
        json_pack("{s:s, s:f, s:f, s:o, s:I}", "precision", bench_precision_name(r->precision),
                  "ms", r->ms, "agreement", r->agreement, "accuracy", real(r->accuracy),
                  "session_bytes", (json_int_t)r->session_bytes);
    if (r->task == TASK_SEGMENT)
        json_object_set_new(o, "miou", real(r->accuracy));
    return o;
}

static json_t *outcome_json(const struct quantize_arguments *a, const struct outcome *o)
{
    json_t *list = json_array();
    for (int i = 0; i < QUANTIZE_RESULTS; i++) {
        const struct quantize_result *r = &o->result[i];
        if (r->runs)
            json_array_append_new(list, result_json(r));
    }
    return json_pack("{s:s, s:s, s:i, s:i, s:I, s:o}", "file", a->path, "out", a->out,
                     "calibrated_on", o->calibrated, "compared_on", o->compared, "file_bytes",
                     (json_int_t)o->file_bytes, "results", list);
}

int cmd_model_quantize(int argc, char **argv)
{
    struct quantize_arguments a = {
        .conditions = "clear", .headroom = 2, .threads = 1, .count = 100, .compared = 100};
    const char *clip = "error";
    const struct cmd_option options[] = {{"frames", CMD_TEXT, &a.frames, 0, 0},
                                         {"town", CMD_FLAG, &a.town, 0, 0},
                                         {"conditions", CMD_TEXT, &a.conditions, 0, 0},
                                         {"out", CMD_TEXT, &a.out, 0, 0},
                                         {"count", CMD_WHOLE, &a.count, 1, QUANTIZE_FRAMES_MAX},
                                         {"compare", CMD_WHOLE, &a.compared, 1, BENCH_RUNS_MAX},
                                         {"clip", CMD_TEXT, &clip, 0, 0},
                                         {"headroom", CMD_NUMBER, &a.headroom, 1, 16},
                                         {"threads", CMD_WHOLE, &a.threads, 1, 256},
                                         {"size", CMD_SIZE, a.size, 1, CMD_MODEL_SIDE_MAX},
                                         {"json", CMD_FLAG, &a.json, 0, 0},
                                         {0}};
    int code = cmd_parse(QUANTIZE_NAME, help, options, argc, argv, &a.path, 1, 1, NULL);
    if (code >= 0)
        return code;
    if (!a.out)
        return cmd_usage(QUANTIZE_NAME, "--out is needed");
    if (a.town == (a.frames != NULL))
        return cmd_usage(QUANTIZE_NAME, "one of --frames and --town is needed");
    if (strcmp(a.conditions, "clear") != 0 && strcmp(a.conditions, "all") != 0)
        return cmd_usage(QUANTIZE_NAME, "--conditions is clear or all, not '%s'", a.conditions);
    if (strcmp(clip, "error") != 0 && strcmp(clip, "none") != 0)
        return cmd_usage(QUANTIZE_NAME, "--clip is error or none, not '%s'", clip);
    a.clip = strcmp(clip, "none") == 0 ? NN_CLIP_MIN_MAX : NN_CLIP_ERROR;
    struct error err = {0};
    struct outcome o = {0};
    if (quantize(&a, &o, &err) != ST_OK)
        return cmd_fail(QUANTIZE_NAME, &err);
    if (a.json)
        return cmd_json(QUANTIZE_NAME, outcome_json(&a, &o));
    print_outcome(&a, &o);
    return CMD_OK;
}
