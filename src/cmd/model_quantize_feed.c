/* Pictures for `attune model quantize`: the town, or a folder or video. */
#include <stdlib.h>
#include <string.h>

#include "cmd/model_quantize.h"
#include "train/town_samples.h"
#include "video/frame.h"
#include "video/source.h"

#define TOWN_SEED 1

struct quantize_feed {
    struct samples *town; /* or */
    struct video_source *source;
    struct frame frame; /* of the town its own, of a source lent */
    struct label_map drawn, labels;
    uint64_t next;
    bool odd; /* of a source: frames 1, 3, 5, ... instead of 0, 2, 4, ... */
};

static enum status open_town(const struct quantize_arguments *a, const struct task_spec *spec,
                             enum quantize_part part, struct quantize_feed *f, struct error *err)
{
    int trials = strcmp(a->conditions, "all") == 0 ? TOWN_TRIAL_COUNT : 1;
    enum status st = part == QUANTIZE_CALIBRATION
                         ? town_samples_open(spec, a->conditions, TOWN_SEED, &f->town, err)
                         : town_trial_samples_open(spec, town_trials, trials, &f->town, err);
    if (st == ST_OK)
        st = frame_resize(&f->frame, spec->width, spec->height, err);
    if (st == ST_OK)
        st = label_map_resize(&f->drawn, spec->width, spec->height, err);
    return st == ST_OK ? label_map_resize(&f->labels, spec->out_width, spec->out_height, err) : st;
}

static enum status open_source(const struct quantize_arguments *a, const struct task_spec *spec,
                               struct quantize_feed *f, struct error *err)
{
    struct video_source_options o;
    video_source_options_init(&o);
    o.width = spec->width;
    o.height = spec->height;
    return video_source_open(a->frames, &o, &f->source, err);
}

enum status quantize_feed_open(const struct quantize_arguments *a, const struct task_spec *spec,
                               enum quantize_part part, struct quantize_feed **ret,
                               struct error *err)
{
    struct quantize_feed *f = calloc(1, sizeof *f);
    if (!f)
        return error_set(err, ST_NOMEM, "no memory for pictures");
    f->odd = part == QUANTIZE_COMPARISON;
    enum status st = a->frames ? open_source(a, spec, f, err) : open_town(a, spec, part, f, err);
    if (st == ST_OK)
        *ret = f;
    else
        quantize_feed_close(&f);
    return st;
}

void quantize_feed_close(struct quantize_feed **f)
{
    if (!f || !*f)
        return;
    if ((*f)->town)
        frame_clear(&(*f)->frame);
    samples_close(&(*f)->town);
    video_source_close(&(*f)->source);
    label_map_clear(&(*f)->drawn);
    label_map_clear(&(*f)->labels);
    free(*f);
    *f = NULL;
}

static enum status next_of_town(struct quantize_feed *f, struct error *err)
{
    struct rng r;
    rng_init(&r, TOWN_SEED, f->next);
    enum status st = samples_draw(f->town, f->next++, &r, &f->frame, &f->drawn, err);
    if (st == ST_OK)
        task_resize_labels(&f->drawn, &f->labels);
    return st;
}

static enum status next_of_source(struct quantize_feed *f, struct error *err)
{
    int steps = f->next++ == 0 ? 1 + f->odd : 2;
    enum status st = ST_OK;
    for (int i = 0; i < steps && st == ST_OK; i++)
        st = video_source_next(f->source, &f->frame, err);
    return st;
}

enum status quantize_feed_next(struct quantize_feed *f, const struct frame **ret,
                               const struct label_map **ret_labels, struct error *err)
{
    enum status st = f->town ? next_of_town(f, err) : next_of_source(f, err);
    if (st != ST_OK)
        return st;
    *ret = &f->frame;
    *ret_labels = f->town ? &f->labels : NULL;
    return ST_OK;
}
