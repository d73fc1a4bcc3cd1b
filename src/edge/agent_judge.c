/* agent_judge.c - what the teacher says of answers that would have been held.
 *
 * A probe (agent_infer.c) ends on a frame that is sampled. Its answers are kept until the server
 * has labelled that frame, some seconds later; then each is scored against the labels, next to the
 * full configuration's own. A slot goes from EMPTY to WAITING (capture thread), to JUDGED (upload
 * thread) and back to EMPTY (capture thread, which has the profile), or to EMPTY without a verdict;
 * who sees it in a state that is his has it to himself.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "edge/agent_internal.h"
#include "label/label_file.h"
#include "video/frame.h"

#define ASK_US 3000000 /* between questions about one frame */
#define PATIENCE_US 180000000

enum { EMPTY, WAITING, JUDGED };

enum status agent_judge_open(struct agent *a, struct error *err)
{
    const struct inference_grid *g = &a->infer.profile.grid;
    size_t answers = (size_t)g->scale_count * (size_t)g->stride_count;
    struct label_map *m = &a->judge.labels;
    for (int i = 0; i < AGENT_VERDICTS_MAX; i++) {
        a->judge.slots[i].answers = malloc((answers + 1) * task_cells(&a->spec));
        if (!a->judge.slots[i].answers)
            return error_set(err, ST_NOMEM, "no memory to keep answers");
    }
    return label_map_resize(m, a->spec.out_width, a->spec.out_height, err);
}

void agent_judge_close(struct agent *a)
{
    for (int i = 0; i < AGENT_VERDICTS_MAX; i++)
        free(a->judge.slots[i].answers);
    label_map_clear(&a->judge.labels);
}

static struct verdict *slot_in(struct agent *a, int state)
{
    for (int i = 0; i < AGENT_VERDICTS_MAX; i++)
        if (atomic_load(&a->judge.slots[i].state) == state)
            return &a->judge.slots[i];
    return NULL;
}

/* Where a slot keeps a scale's answer of an age; the last place is the full one's to the frame. */
static uint8_t *answer_of(const struct agent *a, const struct verdict *v, int scale, int stride)
{
    return v->answers +
           (size_t)(scale * a->infer.profile.grid.stride_count + stride) * task_cells(&a->spec);
}

void agent_judge_keep(struct agent *a, uint64_t index, uint64_t t_us)
{
    const struct agent_infer *f = &a->infer;
    const struct inference_grid *g = &f->profile.grid;
    const uint8_t *full = inference_watch_answer(f->watch, index, 0);
    struct verdict *v = slot_in(a, EMPTY);
    if (!v || !full || !a->samples)
        return;
    for (int s = 0; s < g->scale_count; s++)
        for (int i = 0; i < g->stride_count; i++) {
            uint64_t age = (uint64_t)g->strides[i] - 1;
            const uint8_t *held =
                index >= age ? inference_watch_answer(f->watch, index - age, s) : NULL;
            v->got[s][i] = held && (s > 0 || i > 0) ? 0 : NAN;
            if (held)
                memcpy(answer_of(a, v, s, i), held, task_cells(&a->spec));
        }
    memcpy(answer_of(a, v, g->scale_count, 0), full, task_cells(&a->spec));
    v->t_us = t_us;
    v->asked_us = v->kept_us = clock_mono_us();
    atomic_store(&v->state, WAITING);
}

/* ---- upload thread ---- */

static double score(struct agent *a, const uint8_t *answer)
{
    struct agent_judge *j = &a->judge;
    task_counts_init(a->spec.task, a->spec.class_count, &j->confusion);
    confusion_add(&j->confusion, j->labels.classes, answer, task_cells(&a->spec));
    return task_score(a->spec.task, &j->confusion);
}

static void judge(struct agent *a, struct verdict *v)
{
    const struct inference_grid *g = &a->infer.profile.grid;
    v->full = score(a, answer_of(a, v, g->scale_count, 0));
    for (int s = 0; s < g->scale_count; s++)
        for (int i = 0; i < g->stride_count; i++)
            if (!isnan(v->got[s][i]))
                v->got[s][i] = score(a, answer_of(a, v, s, i));
    atomic_store(&v->state, isnan(v->full) ? EMPTY : JUDGED);
}

static enum status read_labels(struct agent *a, const struct buf *bytes, struct error *err)
{
    struct label_set set;
    enum status st = label_set_read(bytes->data, bytes->size_bytes, &set, err);
    if (st != ST_OK)
        return st;
    if (set.count == 1 && set.class_count == a->spec.class_count) {
        const struct label_map map = label_set_map(&set, 0);
        task_resize_labels(&map, &a->judge.labels);
    } else {
        st = error_set(err, ST_FORMAT, "the labels are of another student or frame");
    }
    label_set_clear(&set);
    return st;
}

void agent_judge_ask(struct agent *a, struct buf *room)
{
    struct verdict *v = NULL;
    struct error err;
    uint64_t now_us = clock_mono_us();
    for (int i = 0; i < AGENT_VERDICTS_MAX && !v; i++) {
        struct verdict *w = &a->judge.slots[i];
        if (atomic_load(&w->state) == WAITING && now_us - w->asked_us >= ASK_US)
            v = w;
    }
    if (!v)
        return;
    v->asked_us = now_us;
    room->size_bytes = 0;
    enum status st = client_get_labels(a->upload_client, v->t_us, room, &err);
    if (st == ST_OK)
        st = read_labels(a, room, &err);
    if (st == ST_OK)
        judge(a, v);
    else if (st == ST_FORMAT || now_us - v->kept_us > PATIENCE_US) {
        log_write(LOG_DEBUG, "labels given up", "reason=\"%s\"", err.message);
        atomic_store(&v->state, EMPTY);
    }
}

/* ---- capture thread ---- */

void agent_judge_take(struct agent *a)
{
    const struct inference_grid *g = &a->infer.profile.grid;
    struct verdict *v = slot_in(a, JUDGED);
    if (!v)
        return;
    for (int s = 0; s < g->scale_count; s++)
        for (int i = 0; i < g->stride_count; i++)
            if (!isnan(v->got[s][i]))
                inference_profile_add_accuracy(&a->infer.profile, s, g->strides[i] - 1,
                                               v->got[s][i], v->full);
    atomic_store(&v->state, EMPTY);
}
