/* recording.c - frames and labels of a video, a folder of images, pictures with a class each, or a
 * camera of the town; then, where crops are asked for, the crops of each. */
#include "eval/recording.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "synth/crops.h"
#include "synth/source.h"
#include "synth/things.h"
#include "task/box_list.h"
#include "task/class_list.h"
#include "task/regions.h"
#include "video/crop.h"
#include "video/frame.h"
#include "video/image.h"
#include "video/image_list.h"
#include "video/source.h"

/* Boxes of the picture that is there, taken one after the other. */
struct crops {
    bool wanted;
    struct regions regions; /* count 0: the town's boxes */
    struct cropper cropper;
    struct frame frame; /* the crop, owned */
    struct box boxes[TOWN_CROPS_MAX > REGIONS_MAX ? TOWN_CROPS_MAX : REGIONS_MAX];
    size_t count, next;
};

struct recording {
    struct video_source *video; /* one of the three */
    struct synth_source *town;
    struct class_list list; /* count 0: not that */
    struct box_list boxes;  /* of a video's frames; count 0: none */
    double video_fps;       /* of its frame numbers */
    enum task_kind task;
    size_t next;            /* picture of the list */
    const char *labels_dir; /* borrowed */
    double fps;
    uint64_t end_us;
    uint64_t town_skip; /* frames of the town between two that are scored */
    struct frame frame; /* lent by the source */
    struct synth_view view;
    struct frame picture, fitted; /* of the list, owned; at the first one's size */
    struct scaler scaler;
    struct label_map labels;            /* owned */
    uint8_t label;                      /* of a picture or a crop... */
    struct label_map one;               /* ...as a map */
    uint8_t label_of[TOWN_CLASS_COUNT]; /* of the town's crops, or of its classes in boxes */
    struct crops crops;
};

static enum status open_town(struct recording *s, const struct eval_options *o, struct error *err)
{
    enum status st = synth_source_open(o->source, &s->town, err);
    if (st != ST_OK)
        return st;
    const struct synth_url *url = synth_source_url(s->town);
    if (o->seconds <= 0 && url->seconds <= 0)
        return error_set(err, ST_INVALID, "the town has no end: give --seconds");
    s->town_skip = url->fps > o->fps ? (uint64_t)(url->fps / o->fps + 0.5) - 1 : 0;
    return ST_OK;
}

static enum status open_video(struct recording *s, const struct eval_options *o, struct error *err)
{
    struct video_source_options v;
    video_source_options_init(&v);
    v.fps = o->fps;
    return video_source_open(o->source, &v, &s->video, err);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Pictures with a class each; a folder of pictures alone is a video without truth. */
static enum status open_pictures(struct recording *s, const struct eval_options *o,
                                 const struct class_map *map, struct error *err)
{
    struct error why;
    enum status st = class_list_read(o->source, o->labels_dir, &s->list, &why);
    if (st == ST_NOT_FOUND && !o->labels_dir && open_video(s, o, err) == ST_OK)
        return ST_OK;
    if (st != ST_OK)
        return error_set(err, st, "%s", why.message);
    return class_list_fit(&s->list, map, err);
}

/* Frame numbers are those of the video at its own rate. */
static enum status open_boxes(struct recording *s, const struct eval_options *o,
                              const struct class_map *map, struct error *err)
{
    struct video_source_info info;
    video_source_info(s->video, &info);
    s->video_fps = info.native_fps;
    if (!(s->video_fps > 0))
        return error_set(err, ST_UNSUPPORTED,
                         "%s does not say its frame rate, which --labels needs", o->source);
    return box_list_open(o->labels_dir, map, &s->boxes, err);
}

static enum status open_source(struct recording *s, const struct eval_options *o,
                               const struct class_map *map, struct error *err)
{
    if (synth_url_is(o->source))
        return open_town(s, o, err);
    if (s->task == TASK_CLASSIFY && is_folder(o->source))
        return open_pictures(s, o, map, err);
    enum status st = open_video(s, o, err);
    if (st == ST_OK && s->task == TASK_DETECT && o->labels_dir)
        st = open_boxes(s, o, map, err);
    return st;
}

/* The labels that the town's crops have, or its classes in boxes. */
static enum status match_town(struct recording *s, const struct class_map *map, struct error *err)
{
    bool boxes = s->task == TASK_DETECT;
    int known = 0, count = boxes ? TOWN_CLASS_COUNT : TOWN_CROP_CLASS_COUNT;
    const char *const *names = boxes ? town_class_names : town_crop_class_names;
    for (int c = 0; c < count; c++) {
        s->label_of[c] = LABEL_IGNORE;
        for (int k = 0; k < map->label_count; k++)
            if (strcmp(names[c], map->label_name[k]) == 0)
                s->label_of[c] = (uint8_t)k;
        known += s->label_of[c] != LABEL_IGNORE;
    }
    return known >= (boxes ? 1 : 2)
               ? ST_OK
               : error_set(err, ST_UNSUPPORTED,
                           "the student has none of the classes of the town's boxes (car, "
                           "person, ...): give --regions to classify parts of the picture");
}

static enum status open_crops(struct recording *s, const struct eval_options *o,
                              const struct recording_use *use, struct error *err)
{
    enum status st = regions_parse(o->regions, &s->crops.regions, err);
    if (st == ST_OK && s->crops.regions.count && s->task != TASK_CLASSIFY)
        st = error_set(err, ST_INVALID, "--regions is for networks that classify");
    bool boxes = s->town && s->task == TASK_CLASSIFY && !s->crops.regions.count;
    if (st == ST_OK && (boxes || (s->town && s->task == TASK_DETECT)))
        st = match_town(s, use->map, err);
    s->crops.wanted = boxes || s->crops.regions.count > 0;
    if (st != ST_OK || !s->crops.wanted)
        return st;
    return frame_resize(&s->crops.frame, use->crop_width, use->crop_height, err);
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

struct recording_use recording_use_of(const struct task_spec *student,
                                      const struct task_spec *teacher, const struct class_map *map)
{
    return (struct recording_use){.task = student->task,
                                  .map = map,
                                  .crop_width = larger(student->width, teacher->width),
                                  .crop_height = larger(student->height, teacher->height)};
}

enum status recording_open(const struct eval_options *o, const struct recording_use *use,
                           struct recording **ret, struct error *err)
{
    struct recording *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory for the source");
    label_map_init(&s->labels);
    frame_init(&s->picture);
    frame_init(&s->fitted);
    scaler_init(&s->scaler);
    frame_init(&s->crops.frame);
    cropper_init(&s->crops.cropper);
    s->one = (struct label_map){1, 1, &s->label};
    s->task = use->task;
    s->labels_dir = o->labels_dir;
    s->fps = o->fps;
    s->end_us = o->seconds > 0 ? (uint64_t)(o->seconds * 1e6) : UINT64_MAX;
    enum status st = open_source(s, o, use->map, err);
    if (st == ST_OK && s->task == TASK_DETECT)
        st = label_map_resize(&s->labels, DETECT_ROW_BYTES, DETECT_BOXES_MAX, err);
    if (st == ST_OK)
        st = open_crops(s, o, use, err);
    if (st != ST_OK) {
        recording_close(&s);
        return st;
    }
    *ret = s;
    return ST_OK;
}

void recording_close(struct recording **s)
{
    if (!s || !*s)
        return;
    label_map_clear(&(*s)->labels);
    frame_clear(&(*s)->picture);
    frame_clear(&(*s)->fitted);
    scaler_clear(&(*s)->scaler);
    frame_clear(&(*s)->crops.frame);
    cropper_clear(&(*s)->crops.cropper);
    class_list_clear(&(*s)->list);
    box_list_clear(&(*s)->boxes);
    video_source_close(&(*s)->video);
    synth_source_close(&(*s)->town);
    free(*s);
    *s = NULL;
}

/* As a box list counts. */
static int frame_number(const struct recording *s)
{
    double n = (double)s->frame.t_us * 1e-6 * s->video_fps + 1;
    return n < BOX_LIST_FRAME_MAX ? (int)(n + 0.5) : BOX_LIST_FRAME_MAX;
}

static enum status read_truth(struct recording *s, const struct label_map **ret, struct error *err)
{
    const char *image = video_source_name(s->video);
    char path[PATH_MAX];
    *ret = NULL;
    if (s->boxes.count && box_list_table(&s->boxes, frame_number(s), s->frame.width,
                                         s->frame.height, s->labels.classes))
        *ret = &s->labels;
    if (s->task != TASK_SEGMENT || !image || !image_label_path(image, s->labels_dir, path))
        return ST_OK;
    enum status st = image_labels_open(path, &s->labels, err);
    if (st == ST_NOT_FOUND)
        return ST_OK;
    if (st == ST_OK)
        *ret = &s->labels;
    return st;
}

static enum status next_video(struct recording *s, const struct label_map **ret_truth,
                              struct error *err)
{
    enum status st = video_source_next(s->video, &s->frame, err);
    return st == ST_OK ? read_truth(s, ret_truth, err) : st;
}

static enum status next_town(struct recording *s, const struct label_map **ret_truth,
                             struct error *err)
{
    enum status st = synth_source_next(s->town, &s->view, err);
    if (st != ST_OK)
        return st;
    synth_source_skip(s->town, s->town_skip);
    s->frame = s->view.frame;
    *ret_truth = s->task == TASK_SEGMENT  ? &s->view.labels
                 : s->task == TASK_DETECT ? &s->labels
                                          : NULL;
    if (s->task == TASK_DETECT)
        detect_from_boxes(s->view.boxes, s->view.box_count, s->frame.width, s->frame.height,
                          s->label_of, TOWN_THING_SIDE_MIN, s->labels.classes);
    return ST_OK;
}

static enum status next_of_list(struct recording *s, const struct label_map **ret_truth,
                                struct error *err)
{
    if (s->next == s->list.count)
        return ST_END;
    enum status st = image_open(s->list.paths[s->next], &s->picture, err);
    if (st == ST_OK && s->next == 0)
        st = frame_resize(&s->fitted, s->picture.width, s->picture.height, err);
    if (st == ST_OK)
        st = scaler_run(&s->scaler, &s->picture, &s->fitted, err);
    if (st != ST_OK)
        return st;
    s->frame = s->fitted;
    s->frame.t_us = (uint64_t)((double)s->next * 1e6 / s->fps + 0.5);
    s->label = s->list.classes[s->next++];
    *ret_truth = &s->one;
    return ST_OK;
}

static enum status next_picture(struct recording *s, const struct label_map **ret_truth,
                                struct error *err)
{
    enum status st = s->town         ? next_town(s, ret_truth, err)
                     : s->list.count ? next_of_list(s, ret_truth, err)
                                     : next_video(s, ret_truth, err);
    return st == ST_OK && s->frame.t_us >= s->end_us ? ST_END : st;
}

/* Where the crops of s->frame are. */
static void find_boxes(struct recording *s)
{
    struct crops *c = &s->crops;
    c->next = 0;
    if (!c->regions.count) {
        struct rng r;
        rng_init(&r, synth_source_url(s->town)->town.seed, s->frame.t_us);
        c->count = town_crops(s->view.boxes, s->view.box_count, s->frame.width, s->frame.height, &r,
                              c->boxes);
        return;
    }
    c->count = (size_t)c->regions.count;
    for (size_t i = 0; i < c->count; i++)
        c->boxes[i] = region_box(&c->regions.at[i], s->frame.width, s->frame.height);
}

/* A region has the truth of no box. */
static enum status next_crop(struct recording *s, const struct label_map **ret_truth,
                             struct error *err)
{
    struct crops *c = &s->crops;
    while (c->next == c->count) {
        enum status st = next_picture(s, ret_truth, err);
        if (st != ST_OK)
            return st;
        find_boxes(s);
    }
    const struct box *box = &c->boxes[c->next++];
    *ret_truth = NULL;
    if (!c->regions.count) {
        s->label = s->label_of[box->class_id];
        *ret_truth = &s->one;
    }
    return cropper_cut(&c->cropper, &s->frame, box, &c->frame, err);
}

enum status recording_next(struct recording *s, const struct frame **ret_frame,
                           const struct label_map **ret_truth, struct error *err)
{
    enum status st =
        s->crops.wanted ? next_crop(s, ret_truth, err) : next_picture(s, ret_truth, err);
    if (st == ST_OK)
        *ret_frame = s->crops.wanted ? &s->crops.frame : &s->frame;
    return st;
}

uint64_t recording_frames(const struct recording *s)
{
    uint64_t length_us = s->end_us;
    if (s->crops.wanted)
        return 0;
    if (s->list.count)
        return s->list.count;
    if (s->video) {
        struct video_source_info info;
        video_source_info(s->video, &info);
        if (info.duration_us && info.duration_us < length_us)
            length_us = info.duration_us;
    }
    return length_us == UINT64_MAX ? 0 : (uint64_t)((double)length_us * s->fps / 1e6 + 0.5);
}
