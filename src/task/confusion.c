/* The counts and the numbers made of them. */
#include "task/confusion.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "task/detect.h"

void confusion_init(struct confusion *c, int class_count)
{
    assert(class_count > 0 && class_count <= CLASSES_MAX);
    memset(c, 0, sizeof *c);
    c->class_count = class_count;
}

void confusion_init_boxes(struct confusion *c, int class_count)
{
    confusion_init(c, class_count + 1);
    c->boxes = true;
}

static void add_tables(struct confusion *c, const uint8_t *truth, const uint8_t *answer, size_t n)
{
    assert(n % DETECT_TABLE_BYTES == 0);
    for (size_t at = 0; at < n; at += DETECT_TABLE_BYTES)
        detect_count(c, truth + at, answer + at);
}

void confusion_add(struct confusion *c, const uint8_t *truth, const uint8_t *predicted, size_t n)
{
    if (c->boxes) {
        add_tables(c, truth, predicted, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (truth[i] < c->class_count && predicted[i] < c->class_count)
            c->count[truth[i]][predicted[i]]++;
}

void confusion_merge(struct confusion *into, const struct confusion *from)
{
    assert(into->class_count == from->class_count && into->boxes == from->boxes);
    for (int t = 0; t < into->class_count; t++)
        for (int p = 0; p < into->class_count; p++)
            into->count[t][p] += from->count[t][p];
}

void confusion_subtract(struct confusion *from, const struct confusion *part)
{
    assert(from->class_count == part->class_count);
    for (int t = 0; t < from->class_count; t++)
        for (int p = 0; p < from->class_count; p++) {
            assert(from->count[t][p] >= part->count[t][p]);
            from->count[t][p] -= part->count[t][p];
        }
}

/* True pixels of class k, and those that truth or prediction have of it. */
static uint64_t class_union(const struct confusion *c, int k, uint64_t *ret_true)
{
    uint64_t in_truth = 0, in_prediction = 0;
    for (int j = 0; j < c->class_count; j++) {
        in_truth += c->count[k][j];
        in_prediction += c->count[j][k];
    }
    *ret_true = in_truth;
    return in_truth + in_prediction - c->count[k][k];
}

double confusion_accuracy(const struct confusion *c)
{
    uint64_t right = 0, all = 0;
    for (int t = 0; t < c->class_count; t++) {
        right += c->count[t][t];
        for (int p = 0; p < c->class_count; p++)
            all += c->count[t][p];
    }
    return all > 0 ? (double)right / (double)all : NAN;
}

double confusion_recall(const struct confusion *c, int class_id)
{
    uint64_t in_truth;
    class_union(c, class_id, &in_truth);
    return in_truth > 0 ? (double)c->count[class_id][class_id] / (double)in_truth : NAN;
}

double confusion_iou(const struct confusion *c, int class_id)
{
    uint64_t in_truth, either = class_union(c, class_id, &in_truth);
    return either > 0 ? (double)c->count[class_id][class_id] / (double)either : NAN;
}

double confusion_miou(const struct confusion *c)
{
    double sum = 0;
    int present = 0;
    for (int k = 0; k < c->class_count; k++) {
        double iou = confusion_iou(c, k);
        if (isnan(iou))
            continue;
        sum += iou;
        present++;
    }
    return present ? sum / present : NAN;
}

double confusion_class_f1(const struct confusion *c, int class_id)
{
    uint64_t in_truth, either = class_union(c, class_id, &in_truth);
    uint64_t right = c->count[class_id][class_id];
    return either > 0 ? 2 * (double)right / (double)(either + right) : NAN;
}

double confusion_f1(const struct confusion *c)
{
    uint64_t right = 0, both = 0;
    int things = c->boxes ? c->class_count - 1 : c->class_count;
    for (int k = 0; k < things; k++) {
        uint64_t in_truth, either = class_union(c, k, &in_truth);
        right += c->count[k][k];
        both += either + c->count[k][k];
    }
    return both > 0 ? 2 * (double)right / (double)both : NAN;
}

double confusion_fwiou(const struct confusion *c)
{
    double sum = 0, total = 0;
    for (int k = 0; k < c->class_count; k++) {
        uint64_t in_truth, either = class_union(c, k, &in_truth);
        if (either > 0)
            sum += (double)in_truth * (double)c->count[k][k] / (double)either;
        total += (double)in_truth;
    }
    return total > 0 ? sum / total : NAN;
}
