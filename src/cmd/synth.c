/* synth.c - `attune synth`: the town as videos or as labelled pictures in a folder. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/progress.h"
#include "cmd/cmd.h"
#include "synth/town.h"
#include "video/image.h"
#include "video/overlay.h"

#define NAME "synth"
#define FRAMES_MAX 1000000

static const char help[] =
    "usage: attune synth --out FOLDER [OPTIONS]\n\n"
    "Renders the synthetic town: streets that do not exist, with exact labels.\n\n"
    "  --out FOLDER        where to write; made when it is not there\n"
    "  --format png|mp4    png: cameraC_NNNNNN.png, the classes as gray values in\n"
    "                      cameraC_NNNNNN_label.png, boxes.csv; mp4: cameraC.mp4. Default mp4\n"
    "  --scenario NAME     clear, demo, day, all, bump, faults, or a scenario file.\n"
    "                      Default demo\n"
    "  --cameras N         0 to N-1 are rendered, default 2\n"
    "  --camera C          only this one\n"
    "  --districts N       cameras are spread over them, default 2\n"
    "  --seconds S         default: the scenario's duration, 60 where it has none\n"
    "  --start S           scenario time of the first frame, default 0\n"
    "  --fps X             default 15\n"
    "  --size WxH          default 640x384; even, 64 to 1920\n"
    "  --seed N            another town, default 1\n"
    "  --labels            mp4: labels and boxes drawn over the picture\n"
    "  --quiet             no progress bar\n\n"
    "example: attune synth --out /tmp/town --scenario demo --seconds 60 --labels\n"
    "         attune eval and attune camera take the town directly: town:camera=0,scenario=demo\n";

struct arguments {
    struct town_options town;
    struct scenario scenario;
    const char *out, *scenario_name;
    double seconds, start_s, fps;
    int camera; /* -1: all */
    bool png, labels, quiet;
};

enum option_id {
    OPTION_OUT = 256,
    OPTION_FORMAT,
    OPTION_SCENARIO,
    OPTION_CAMERAS,
    OPTION_CAMERA,
    OPTION_DISTRICTS,
    OPTION_SECONDS,
    OPTION_START,
    OPTION_FPS,
    OPTION_SIZE,
    OPTION_SEED,
    OPTION_LABELS,
    OPTION_QUIET
};

static const struct option options[] = {{"out", required_argument, NULL, OPTION_OUT},
                                        {"format", required_argument, NULL, OPTION_FORMAT},
                                        {"scenario", required_argument, NULL, OPTION_SCENARIO},
                                        {"cameras", required_argument, NULL, OPTION_CAMERAS},
                                        {"camera", required_argument, NULL, OPTION_CAMERA},
                                        {"districts", required_argument, NULL, OPTION_DISTRICTS},
                                        {"seconds", required_argument, NULL, OPTION_SECONDS},
                                        {"start", required_argument, NULL, OPTION_START},
                                        {"fps", required_argument, NULL, OPTION_FPS},
                                        {"size", required_argument, NULL, OPTION_SIZE},
                                        {"seed", required_argument, NULL, OPTION_SEED},
                                        {"labels", no_argument, NULL, OPTION_LABELS},
                                        {"quiet", no_argument, NULL, OPTION_QUIET},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};

static bool take_format(struct arguments *a, const char *text)
{
    a->png = strcmp(text, "png") == 0;
    if (!a->png && strcmp(text, "mp4") != 0) {
        cmd_usage(NAME, "--format is png or mp4, not '%s'", text);
        return false;
    }
    return true;
}

static bool take_size(struct arguments *a, const char *text)
{
    int used = 0;
    if (sscanf(text, "%dx%d%n", &a->town.width, &a->town.height, &used) != 2 || text[used]) {
        cmd_usage(NAME, "--size takes WIDTHxHEIGHT, such as 640x384, not '%s'", text);
        return false;
    }
    return true; /* town_open checks the range */
}

static bool take_option(struct arguments *a, int id, const char *text)
{
    double v = 0;
    switch (id) {
    case OPTION_OUT:
        a->out = text;
        return true;
    case OPTION_FORMAT:
        return take_format(a, text);
    case OPTION_SCENARIO:
        a->scenario_name = text;
        return true;
    case OPTION_CAMERAS:
        return cmd_whole(NAME, "cameras", text, 1, TOWN_CAMERAS_MAX, &a->town.cameras);
    case OPTION_CAMERA:
        return cmd_whole(NAME, "camera", text, 0, TOWN_CAMERAS_MAX - 1, &a->camera);
    case OPTION_DISTRICTS:
        return cmd_whole(NAME, "districts", text, 1, SCENARIO_DISTRICTS_MAX, &a->town.districts);
    case OPTION_SECONDS:
        return cmd_number(NAME, "seconds", text, 0.01, SCENARIO_TIME_S_MAX, &a->seconds);
    case OPTION_START:
        return cmd_number(NAME, "start", text, 0, SCENARIO_TIME_S_MAX, &a->start_s);
    case OPTION_FPS:
        return cmd_number(NAME, "fps", text, 0.01, 120, &a->fps);
    case OPTION_SIZE:
        return take_size(a, text);
    case OPTION_SEED:
        if (!cmd_number(NAME, "seed", text, 0, 9e15, &v))
            return false;
        a->town.seed = (uint64_t)v;
        return true;
    case OPTION_LABELS:
        return a->labels = true;
    default:
        return a->quiet = true;
    }
}

/* -1: go on; otherwise the exit status. */
static int parse(struct arguments *a, int argc, char **argv)
{
    town_options_init(&a->town);
    a->town.width = 640;
    a->town.height = 384;
    a->scenario_name = "demo";
    a->fps = 15;
    a->camera = -1;
    for (int id; (id = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (id == 'h') {
            cmd_help(help);
            return CMD_OK;
        }
        if (id == '?' || !take_option(a, id, optarg))
            return CMD_USAGE;
    }
    if (optind < argc)
        return cmd_usage(NAME, "'%s' is one argument too many", argv[optind]);
    if (!a->out)
        return cmd_usage(NAME, "--out is needed: the folder to write to");
    if (a->camera >= a->town.cameras)
        a->town.cameras = a->camera + 1;
    struct error err;
    if (scenario_open(a->scenario_name, &a->scenario, &err) != ST_OK)
        return cmd_fail(NAME, &err);
    a->town.scenario = &a->scenario;
    if (a->seconds <= 0)
        a->seconds = a->scenario.duration_s > 0 ? (double)a->scenario.duration_s : 60;
    if (a->seconds * a->fps > FRAMES_MAX)
        return cmd_usage(NAME, "that would be more than %d frames", FRAMES_MAX);
    return -1;
}

struct job {
    const struct arguments *a;
    struct town *town;
    struct frame frame;
    struct label_map labels;
    struct box boxes[TOWN_BOXES_MAX];
    size_t box_count;
    struct palette palette;
    FILE *csv;
    struct progress bar;
    uint64_t done;
};

static enum status write_bytes(const char *path, struct buf *bytes, struct error *err)
{
    enum status st = file_write(path, bytes->data, bytes->size_bytes, err);
    bytes->size_bytes = 0;
    return st;
}

static enum status write_pictures(struct job *j, int camera, uint64_t n, struct error *err)
{
    char path[4096];
    struct buf bytes;
    buf_init(&bytes);
    enum status st = image_png_write(&j->frame, &bytes, err);
    if (st == ST_OK) {
        snprintf(path, sizeof path, "%s/camera%d_%06llu.png", j->a->out, camera,
                 (unsigned long long)n);
        st = write_bytes(path, &bytes, err);
    }
    if (st == ST_OK)
        st = image_labels_write(&j->labels, &bytes, err);
    if (st == ST_OK) {
        snprintf(path, sizeof path, "%s/camera%d_%06llu_label.png", j->a->out, camera,
                 (unsigned long long)n);
        st = write_bytes(path, &bytes, err);
    }
    buf_clear(&bytes);
    return st;
}

static enum status write_boxes(struct job *j, int camera, uint64_t n, struct error *err)
{
    for (size_t i = 0; i < j->box_count; i++) {
        const struct box *b = &j->boxes[i];
        fprintf(j->csv, "%d,%llu,%.6f,%s,%.0f,%.0f,%.0f,%.0f\n", camera, (unsigned long long)n,
                (double)j->frame.t_us / 1e6, town_class_names[b->class_id], (double)b->x0,
                (double)b->y0, (double)b->x1, (double)b->y1);
    }
    if (ferror(j->csv))
        return error_set(err, ST_IO, "cannot write %s/boxes.csv: %s", j->a->out, strerror(errno));
    return ST_OK;
}

static enum status write_frame(struct job *j, struct overlay_writer *video, int camera, uint64_t n,
                               struct error *err)
{
    enum status st = write_boxes(j, camera, n, err);
    if (st != ST_OK)
        return st;
    if (!video)
        return write_pictures(j, camera, n, err);
    if (j->a->labels) {
        overlay_labels(&j->frame, &j->labels, &j->palette, 110);
        overlay_boxes(&j->frame, j->boxes, (int)j->box_count, &j->palette);
    }
    return overlay_writer_add(video, &j->frame, err);
}

static enum status render_camera(struct job *j, int camera, uint64_t frames, struct error *err)
{
    struct overlay_writer *video = NULL;
    enum status st = ST_OK;
    if (!j->a->png) {
        char path[4096];
        snprintf(path, sizeof path, "%s/camera%d.mp4", j->a->out, camera);
        st = overlay_writer_open(path, j->frame.width, j->frame.height, &video, err);
    }
    for (uint64_t n = 0; n < frames && st == ST_OK; n++) {
        uint64_t t_us = (uint64_t)((j->a->start_s + (double)n / j->a->fps) * 1e6 + 0.5);
        st = town_render(j->town, camera, t_us, &j->frame, &j->labels, j->boxes, TOWN_BOXES_MAX,
                         &j->box_count, err);
        if (st == ST_OK)
            st = write_frame(j, video, camera, n, err);
        struct town_condition c = town_condition_at(j->town, camera, t_us);
        char note[96];
        int used = snprintf(note, sizeof note, "camera %d: ", camera);
        town_condition_text(&c, note + used, sizeof note - (size_t)used);
        progress_update(&j->bar, ++j->done, note, clock_mono_us());
    }
    if (st == ST_OK && video)
        st = overlay_writer_finish(video, err);
    overlay_writer_close(&video);
    return st;
}

static enum status prepare(struct job *j, struct error *err)
{
    const struct arguments *a = j->a;
    enum status st = town_open(&a->town, &j->town, err);
    if (st == ST_OK)
        st = file_mkdirs(a->out, err);
    if (st != ST_OK)
        return st;
    size_t n = (size_t)a->town.width * (size_t)a->town.height;
    j->frame =
        (struct frame){.width = a->town.width, .height = a->town.height, .pixels = malloc(3 * n)};
    j->labels = (struct label_map){a->town.width, a->town.height, malloc(n)};
    if (!j->frame.pixels || !j->labels.classes)
        return error_set(err, ST_NOMEM, "no memory for pictures of %dx%d", a->town.width,
                         a->town.height);
    palette_init(&j->palette);
    for (int c = 0; c < TOWN_CLASS_COUNT; c++)
        memcpy(j->palette.rgb[c], town_class_colors[c], 3);
    char path[4096];
    snprintf(path, sizeof path, "%s/boxes.csv", a->out);
    j->csv = fopen(path, "we");
    if (!j->csv)
        return error_set(err, ST_IO, "cannot write %s: %s", path, strerror(errno));
    fputs("camera,frame,t_s,class,x0,y0,x1,y1\n", j->csv);
    return ST_OK;
}

static enum status run(struct job *j, struct error *err)
{
    const struct arguments *a = j->a;
    uint64_t frames = (uint64_t)(a->seconds * a->fps + 0.5);
    int first = a->camera < 0 ? 0 : a->camera;
    int last = a->camera < 0 ? a->town.cameras - 1 : a->camera;
    frames = frames ? frames : 1;
    progress_init(&j->bar, "rendering", frames * (uint64_t)(last - first + 1), a->quiet,
                  clock_mono_us());
    enum status st = ST_OK;
    for (int camera = first; camera <= last && st == ST_OK; camera++)
        st = render_camera(j, camera, frames, err);
    progress_clear(&j->bar);
    if (st == ST_OK && fflush(j->csv) != 0)
        st = error_set(err, ST_IO, "cannot write %s/boxes.csv: %s", a->out, strerror(errno));
    if (st == ST_OK && !a->quiet)
        printf("%s: %llu frames of cameras %d to %d%s\n", a->out, (unsigned long long)j->done,
               first, last, a->png ? ", their labels and boxes.csv" : ", boxes.csv");
    return st;
}

int cmd_synth(int argc, char **argv)
{
    struct arguments a = {.out = NULL};
    int rc = parse(&a, argc, argv);
    if (rc >= 0)
        return rc;
    struct error err = {0};
    struct job *j = calloc(1, sizeof *j);
    if (!j) {
        error_set(&err, ST_NOMEM, "no memory");
        return cmd_fail(NAME, &err);
    }
    j->a = &a;
    enum status st = prepare(j, &err);
    if (st == ST_OK)
        st = run(j, &err);
    town_close(&j->town);
    free(j->frame.pixels);
    free(j->labels.classes);
    if (j->csv)
        fclose(j->csv);
    free(j);
    return st == ST_OK ? CMD_OK : cmd_fail(NAME, &err);
}
