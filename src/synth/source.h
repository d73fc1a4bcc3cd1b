/* source.h - the town as a camera:
 * "town:camera=0,seed=1,scenario=demo,width=320,height=192,fps=15".
 *
 * Keys, each at most once, all optional: camera (0), cameras (camera + 1, at least 2), districts
 * (2), seed (1), scenario (clear; a preset's name or a path without commas), width (320), height
 * (192), fps (15), seconds (0: the scenario's duration, endless without one), start (0, seconds).
 *
 * Owns:    synth_source everything; frame, labels and boxes are lent until the next call.
 * Threads: one at a time.
 * Time:    frame n is of t_us = start + n * 1e6 / fps; stamps count from 0. Does not pace.
 * Errors:  ST_INVALID names the key; ST_NOT_FOUND; ST_END after the last frame.
 */
#ifndef ATTUNE_SYNTH_SOURCE_H
#define ATTUNE_SYNTH_SOURCE_H

#include "synth/town.h"

struct synth_url {
    struct town_options town; /* town.scenario is NULL: see scenario */
    struct scenario scenario;
    int camera;
    double fps, seconds, start_s;
};

/* True for "town:...", without looking further. */
bool synth_url_is(const char *url);

enum status synth_url_parse(const char *url, struct synth_url *ret, struct error *err);

struct synth_source;

enum status synth_source_open(const char *url, struct synth_source **ret, struct error *err);
void synth_source_close(struct synth_source **s);

struct synth_view {
    struct frame frame; /* t_us from 0 */
    struct label_map labels;
    const struct box *boxes;
    size_t box_count;
    char condition[64]; /* town_condition_text */
};

enum status synth_source_next(struct synth_source *s, struct synth_view *out, struct error *err);

/* Leaves out `frames` frames (a source that fell behind live time). */
void synth_source_skip(struct synth_source *s, uint64_t frames);

const struct synth_url *synth_source_url(const struct synth_source *s);

#endif
