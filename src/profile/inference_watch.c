/* inference_watch.c - a ring of answers, looked up by the index of their frame. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "profile/inference.h"

/* The answers of one frame that are kept. */
struct kept {
    bool used;
    uint64_t index;
    bool present[INFERENCE_SCALES_MAX];
};

struct inference_watch {
    struct inference_grid grid;
    size_t answer_bytes;
    inference_score *score;
    void *context;
    int span; /* frames in the ring */
    struct kept kept[INFERENCE_STRIDE_MAX];
    uint8_t *answers; /* [span][scale][answer_bytes] */
};

enum status inference_watch_open(const struct inference_grid *grid, size_t answer_bytes,
                                 inference_score *score, void *context,
                                 struct inference_watch **ret, struct error *err)
{
    struct inference_watch *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(err, ST_NOMEM, "no memory to compare answers");
    w->grid = *grid;
    w->answer_bytes = answer_bytes;
    w->score = score;
    w->context = context;
    w->span = grid->strides[grid->stride_count - 1];
    w->answers = calloc((size_t)w->span * (size_t)grid->scale_count, answer_bytes);
    if (!w->answers) {
        inference_watch_close(&w);
        return error_set(err, ST_NOMEM, "no memory to compare answers");
    }
    *ret = w;
    return ST_OK;
}

void inference_watch_close(struct inference_watch **w)
{
    if (!w || !*w)
        return;
    free((*w)->answers);
    free(*w);
    *w = NULL;
}

static uint8_t *answer_at(const struct inference_watch *w, int slot, int scale)
{
    return w->answers +
           ((size_t)slot * (size_t)w->grid.scale_count + (size_t)scale) * w->answer_bytes;
}

static void keep(struct inference_watch *w, uint64_t index, const uint8_t *const *answers)
{
    int slot = (int)(index % (uint64_t)w->span);
    struct kept *k = &w->kept[slot];
    *k = (struct kept){.used = true, .index = index};
    for (int s = 0; s < w->grid.scale_count; s++)
        if (answers[s]) {
            k->present[s] = true;
            memcpy(answer_at(w, slot, s), answers[s], w->answer_bytes);
        }
}

/* labels NULL: with the full configuration's answer. */
static void compare(struct inference_watch *w, const struct kept *k, int age_frames,
                    const uint8_t *labels, const uint8_t *answer, double full,
                    struct inference_profile *p)
{
    int slot = (int)(k->index % (uint64_t)w->span);
    for (int s = 0; s < w->grid.scale_count; s++) {
        if (!k->present[s] || (s == 0 && age_frames == 0))
            continue;
        double got = w->score(w->context, labels ? labels : answer, answer_at(w, slot, s));
        if (isnan(got))
            continue;
        if (labels)
            inference_profile_add_accuracy(p, s, age_frames, got, full);
        else
            inference_profile_add_agreement(p, s, age_frames, got);
    }
}

void inference_watch_frame(struct inference_watch *w, uint64_t index, const uint8_t *const *answers,
                           const uint8_t *labels, bool reset, struct inference_profile *p)
{
    if (reset)
        memset(w->kept, 0, sizeof w->kept);
    keep(w, index, answers);
    if (!answers[0])
        return;
    double full = labels ? w->score(w->context, labels, answers[0]) : 1;
    if (isnan(full))
        return;
    for (int i = 0; i < w->grid.stride_count; i++) {
        uint64_t age = (uint64_t)w->grid.strides[i] - 1;
        const struct kept *k = &w->kept[(index - age) % (uint64_t)w->span];
        if (index >= age && k->used && k->index == index - age)
            compare(w, k, (int)age, labels, answers[0], full, p);
    }
}

const uint8_t *inference_watch_answer(const struct inference_watch *w, uint64_t index, int scale)
{
    int slot = (int)(index % (uint64_t)w->span);
    const struct kept *k = &w->kept[slot];
    return k->used && k->index == index && k->present[scale] ? answer_at(w, slot, scale) : NULL;
}
