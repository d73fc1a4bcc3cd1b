/* detect_precision.c - matches are made picture by picture, since no match depends on another
 * picture; what is kept is each answer's score and whether it was right. */
#include "task/detect_precision.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "task/detect_match.h"

struct answer {
    float score;
    uint32_t number; /* in the order of adding, with the class in the low bits */
    bool right;
};

struct detect_precision {
    int class_count;
    uint64_t truths[DETECT_CLASSES_MAX];
    struct answer *answers;
    size_t count, capacity;
};

enum status detect_precision_open(int class_count, struct detect_precision **ret, struct error *err)
{
    assert(class_count >= 1 && class_count <= DETECT_CLASSES_MAX);
    struct detect_precision *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, ST_NOMEM, "no memory for average precision");
    p->class_count = class_count;
    *ret = p;
    return ST_OK;
}

void detect_precision_close(struct detect_precision **p)
{
    if (!p || !*p)
        return;
    free((*p)->answers);
    free(*p);
    *p = NULL;
}

static enum status make_room(struct detect_precision *p, struct error *err)
{
    if (p->count + DETECT_BOXES_MAX <= p->capacity)
        return ST_OK;
    if (p->count + DETECT_BOXES_MAX > DETECT_ANSWERS_MAX)
        return error_set(err, ST_LIMIT, "average precision takes at most %zu answers",
                         DETECT_ANSWERS_MAX);
    size_t capacity = p->capacity ? p->capacity * 2 : 4096;
    struct answer *answers = realloc(p->answers, capacity * sizeof *answers);
    if (!answers)
        return error_set(err, ST_NOMEM, "no memory for average precision");
    p->answers = answers;
    p->capacity = capacity;
    return ST_OK;
}

enum status detect_precision_add(struct detect_precision *p, const uint8_t *truth_table,
                                 const uint8_t *answer_table, struct error *err)
{
    struct detect_side truth, answer;
    enum status st = make_room(p, err);
    if (st != ST_OK)
        return st;
    detect_side_read(&truth, truth_table, p->class_count);
    detect_side_read(&answer, answer_table, p->class_count);
    detect_side_order(&answer);
    for (int i = 0; i < truth.count; i++)
        if (!truth.at[i].unsure && !truth.taken[i])
            p->truths[truth.at[i].box.class_id]++;
    for (int i = 0; i < answer.count; i++) {
        const struct box *b = &answer.at[i].box;
        int t = answer.taken[i] ? -1 : detect_best_truth(&truth, b, false);
        if (answer.taken[i] || (t < 0 && detect_is_excused(&truth, b)))
            continue;
        if (t >= 0)
            truth.taken[t] = true;
        p->answers[p->count] = (struct answer){
            b->score, (uint32_t)(p->count * CLASSES_MAX + (size_t)b->class_id), t >= 0};
        p->count++;
    }
    return ST_OK;
}

static int by_score(const void *a, const void *b)
{
    const struct answer *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->number > y->number) - (x->number < y->number);
}

/* The area under the curve, from the end: there precision is as high as it still gets. */
static double area(const struct answer *sorted, size_t count, uint64_t right, double truths)
{
    double best = 0, sum = 0;
    for (size_t i = count; i-- > 0;) {
        double precision = (double)right / (double)(i + 1);
        best = precision > best ? precision : best;
        if (!sorted[i].right)
            continue;
        sum += best;
        right--;
    }
    return sum / truths;
}

double detect_precision_class(const struct detect_precision *p, int class_id)
{
    size_t count = 0;
    uint64_t right = 0;
    if (!p->truths[class_id])
        return NAN;
    struct answer *sorted = malloc((p->count + 1) * sizeof *sorted);
    if (!sorted)
        return NAN;
    for (size_t i = 0; i < p->count; i++)
        if (p->answers[i].number % CLASSES_MAX == (uint32_t)class_id) {
            sorted[count++] = p->answers[i];
            right += p->answers[i].right;
        }
    qsort(sorted, count, sizeof *sorted, by_score);
    double ap = area(sorted, count, right, (double)p->truths[class_id]);
    free(sorted);
    return ap;
}

double detect_precision_mean(const struct detect_precision *p)
{
    double sum = 0;
    int present = 0;
    for (int k = 0; k < p->class_count; k++) {
        double ap = detect_precision_class(p, k);
        if (isnan(ap))
            continue;
        sum += ap;
        present++;
    }
    return present ? sum / present : NAN;
}
