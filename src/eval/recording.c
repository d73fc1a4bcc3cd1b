/* recording.c - frames and labels of a video, a folder of images, or a camera of the town. */
#include "eval/recording.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "synth/source.h"
#include "video/frame.h"
#include "video/image.h"
#include "video/image_list.h"
#include "video/source.h"

struct recording {
    struct video_source *video; /* NULL for the town */
    struct synth_source *town;
    const char *labels_dir; /* borrowed */
    double fps;
    uint64_t end_us;
    uint64_t town_skip; /* frames of the town between two that are scored */
    struct frame frame; /* lent by the source */
    struct synth_view view;
    struct label_map labels; /* owned */
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

enum status recording_open(const struct eval_options *o, struct recording **ret, struct error *err)
{
    struct recording *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory for the source");
    label_map_init(&s->labels);
    s->labels_dir = o->labels_dir;
    s->fps = o->fps;
    s->end_us = o->seconds > 0 ? (uint64_t)(o->seconds * 1e6) : UINT64_MAX;
    enum status st = synth_url_is(o->source) ? open_town(s, o, err) : open_video(s, o, err);
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
    video_source_close(&(*s)->video);
    synth_source_close(&(*s)->town);
    free(*s);
    *s = NULL;
}

static enum status read_truth(struct recording *s, const struct label_map **ret, struct error *err)
{
    const char *image = video_source_name(s->video);
    char path[PATH_MAX];
    *ret = NULL;
    if (!image || !image_label_path(image, s->labels_dir, path))
        return ST_OK;
    enum status st = image_labels_open(path, &s->labels, err);
    if (st == ST_NOT_FOUND)
        return ST_OK;
    if (st == ST_OK)
        *ret = &s->labels;
    return st;
}

static enum status next_town(struct recording *s, const struct label_map **ret_truth,
                             struct error *err)
{
    enum status st = synth_source_next(s->town, &s->view, err);
    if (st != ST_OK)
        return st;
    synth_source_skip(s->town, s->town_skip);
    s->frame = s->view.frame;
    *ret_truth = &s->view.labels;
    return ST_OK;
}

enum status recording_next(struct recording *s, const struct frame **ret_frame,
                           const struct label_map **ret_truth, struct error *err)
{
    enum status st =
        s->town ? next_town(s, ret_truth, err) : video_source_next(s->video, &s->frame, err);
    if (st == ST_OK && s->frame.t_us >= s->end_us)
        st = ST_END;
    if (st == ST_OK && s->video)
        st = read_truth(s, ret_truth, err);
    if (st != ST_OK)
        return st;
    *ret_frame = &s->frame;
    return ST_OK;
}

uint64_t recording_frames(const struct recording *s)
{
    uint64_t length_us = s->end_us;
    if (s->video) {
        struct video_source_info info;
        video_source_info(s->video, &info);
        if (info.duration_us && info.duration_us < length_us)
            length_us = info.duration_us;
    }
    return length_us == UINT64_MAX ? 0 : (uint64_t)((double)length_us * s->fps / 1e6 + 0.5);
}
