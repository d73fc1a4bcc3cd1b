/* AMS's adaptive sampling rate in its label form. */
#include "train/asr.h"

#include <math.h>

void asr_options_init(struct asr_options *o)
{
    *o = (struct asr_options){
        .rate_min_fps = 0.1, .rate_max_fps = 1, .target = 0.6, .gain = 20, .step_fps = 0.2};
}

static double box_similarity(const struct label_map *a, const struct label_map *b, int class_count)
{
    struct confusion c;
    confusion_init_boxes(&c, class_count);
    confusion_add(&c, a->classes, b->classes, DETECT_TABLE_BYTES);
    return confusion_f1(&c);
}

double asr_similarity(enum task_kind task, const struct label_map *a, const struct label_map *b,
                      int class_count, const uint8_t *class_chosen)
{
    if (task == TASK_DETECT)
        return box_similarity(a, b, class_count);
    if (a->width != b->width || a->height != b->height)
        return NAN;
    size_t count_a[256] = {0}, count_b[256] = {0}, both[256] = {0};
    size_t pixels = (size_t)a->width * (size_t)a->height;
    for (size_t i = 0; i < pixels; i++) {
        uint8_t x = a->classes[i], y = b->classes[i];
        if (x >= class_count || y >= class_count)
            continue;
        if (class_chosen && (!class_chosen[x] || !class_chosen[y]))
            continue;
        count_a[x]++;
        count_b[y]++;
        both[x] += x == y;
    }
    double sum = 0;
    int classes = 0;
    for (int c = 0; c < class_count && c < 256; c++) {
        size_t either = count_a[c] + count_b[c] - both[c];
        if (either == 0)
            continue;
        sum += (double)both[c] / (double)either;
        classes++;
    }
    return classes ? sum / classes : NAN;
}

double asr_rate(const struct asr_options *o, double rate_fps, double similarity)
{
    if (!isnan(similarity))
        rate_fps -= o->step_fps * tanh(o->gain * (similarity - o->target));
    return fmin(fmax(rate_fps, o->rate_min_fps), o->rate_max_fps);
}

double asr_mean_similarity(enum task_kind task, const struct label_map *labels, int count,
                           int class_count, const uint8_t *class_chosen)
{
    double sum = 0;
    int pairs = 0;
    for (int i = 0; i + 1 < count; i++) {
        double s = asr_similarity(task, &labels[i], &labels[i + 1], class_count, class_chosen);
        if (isnan(s))
            continue;
        sum += s;
        pairs++;
    }
    return pairs ? sum / pairs : NAN;
}
