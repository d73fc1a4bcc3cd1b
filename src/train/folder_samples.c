/* The order of the pictures is a permutation of its own each time through the folder, drawn from
 * the seed and the number of the pass. Weights of the classes come from a look at some labels. */
#include "train/folder_samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "task/class_list.h"
#include "video/frame.h"
#include "video/image.h"
#include "video/image_list.h"
#include "video/scale.h"

#define WEIGHT_FILES_MAX 64 /* label files looked at for the frequencies of the classes */
#define WEIGHT_POWER 0.35
#define WEIGHT_MIN 0.3
#define WEIGHT_MAX 4.0

struct folder_samples {
    struct samples head;
    struct image_list list; /* of this part, with labels */
    uint8_t *classes;       /* [list.count] of a classification, else NULL */
    char *labels_dir;       /* of label pictures, NULL: beside the pictures */
    uint64_t seed, unlabelled;
    bool shuffle;
    uint32_t *order; /* of pass `pass` */
    uint64_t pass;
    struct frame picture;
    struct label_map labels;
    struct scaler scaler;
};

static void close_folder(struct samples *s)
{
    struct folder_samples *p = (struct folder_samples *)s;
    image_list_clear(&p->list);
    free(p->classes);
    free(p->labels_dir);
    free(p->order);
    frame_clear(&p->picture);
    label_map_clear(&p->labels);
    scaler_clear(&p->scaler);
    free(p);
}

uint64_t folder_samples_unlabelled(const struct samples *s)
{
    return ((const struct folder_samples *)s)->unlabelled;
}

/* Fisher-Yates over the pictures for that pass. */
static void shuffle(struct folder_samples *p, uint64_t pass)
{
    struct rng r;
    rng_init(&r, p->seed, rng_hash(pass, 0x5348, 0, 0));
    for (uint32_t i = 0; i < p->head.count; i++)
        p->order[i] = i;
    for (uint32_t i = (uint32_t)p->head.count; p->shuffle && i > 1; i--) {
        uint32_t k = rng_below(&r, i), keep = p->order[i - 1];
        p->order[i - 1] = p->order[k];
        p->order[k] = keep;
    }
    p->pass = pass;
}

/* Reads the labels of a picture and turns what is not scored into LABEL_IGNORE. */
static enum status read_labels(struct folder_samples *p, const char *image, struct error *err)
{
    char path[PATH_MAX];
    if (!image_label_path(image, p->labels_dir, path))
        return error_set(err, ST_LIMIT, "the path of the labels of %s is too long", image);
    enum status st = image_labels_open(path, &p->labels, err);
    if (st != ST_OK)
        return st;
    size_t n = (size_t)p->labels.width * (size_t)p->labels.height;
    const struct class_map *map = &p->head.map;
    for (size_t i = 0; i < n; i++) {
        uint8_t *label = &p->labels.classes[i];
        if (*label == LABEL_IGNORE || *label == map->ignore)
            *label = LABEL_IGNORE;
        else if (*label >= map->label_count)
            return error_set(err, ST_UNSUPPORTED,
                             "%s has a pixel with label %u, but there are %d classes: a class map "
                             "can say what it is (--class-map)",
                             path, *label, map->label_count);
    }
    return ST_OK;
}

static enum status draw_folder(struct samples *s, uint64_t n, struct rng *r, struct frame *frame,
                               struct label_map *labels, struct error *err)
{
    (void)r;
    struct folder_samples *p = (struct folder_samples *)s;
    if (n / s->count != p->pass)
        shuffle(p, n / s->count);
    uint32_t index = p->order[n % s->count];
    const char *image = p->list.paths[index];
    enum status st = image_open(image, &p->picture, err);
    if (st == ST_OK && p->classes) {
        memset(labels->classes, p->classes[index], (size_t)labels->width * (size_t)labels->height);
        return scaler_run(&p->scaler, &p->picture, frame, err);
    }
    if (st == ST_OK)
        st = read_labels(p, image, err);
    if (st != ST_OK)
        return st;
    if (p->labels.width != p->picture.width || p->labels.height != p->picture.height)
        return error_set(err, ST_UNSUPPORTED, "%s is %d x %d, but its labels are %d x %d", image,
                         p->picture.width, p->picture.height, p->labels.width, p->labels.height);
    task_resize_labels(&p->labels, labels);
    return scaler_run(&p->scaler, &p->picture, frame, err);
}

/* True for the names that are held back. */
static bool is_validation(const char *path, const struct folder_samples_options *o)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    uint64_t h = rng_hash(file_crc32(name, strlen(name)), strlen(name), o->seed, 0x564c);
    return (double)(h >> 11) * 0x1p-53 < o->validation;
}

static bool wanted(const char *path, const struct folder_samples_options *o)
{
    return o->part == FOLDER_ALL || is_validation(path, o) == (o->part == FOLDER_VALIDATION);
}

/* Leaves the pictures of this part that have labels. */
static void keep_part(struct folder_samples *p, const struct folder_samples_options *o)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->list.count; i++) {
        char *image = p->list.paths[i], label[PATH_MAX];
        bool has =
            p->classes || (image_label_path(image, o->labels, label) && access(label, F_OK) == 0);
        p->unlabelled += !has;
        if (!has || !wanted(image, o)) {
            free(image);
            continue;
        }
        if (p->classes)
            p->classes[kept] = p->classes[i];
        p->list.paths[kept++] = image;
    }
    p->list.count = kept;
}

static enum status read_classes(struct folder_samples *p, const struct folder_samples_options *o,
                                struct error *err)
{
    struct class_list all;
    enum status st = class_list_read(o->dir, o->labels, &all, err);
    if (st != ST_OK)
        return st;
    st = class_list_fit(&all, &p->head.map, err);
    if (st != ST_OK) {
        class_list_clear(&all);
        return st;
    }
    p->list = (struct image_list){all.paths, all.count};
    p->classes = all.classes;
    return ST_OK;
}

static enum status list_pictures(struct folder_samples *p, const struct folder_samples_options *o,
                                 enum task_kind task, struct error *err)
{
    enum status st =
        task == TASK_CLASSIFY ? read_classes(p, o, err) : image_list_read(o->dir, &p->list, err);
    if (st != ST_OK)
        return st;
    size_t all = p->list.count;
    keep_part(p, o);
    p->head.count = p->list.count;
    if (p->unlabelled == all)
        return error_set(err, ST_NOT_FOUND,
                         "none of the %zu pictures in %s has labels: NAME.jpg needs NAME_label.png "
                         "in %s",
                         all, o->dir, o->labels ? o->labels : "the same folder");
    if (!p->list.count)
        return error_set(err, ST_NOT_FOUND,
                         "%s has %zu labelled pictures, too few for a part of %g for validation",
                         o->dir, all - (size_t)p->unlabelled, o->validation);
    p->order = malloc(p->list.count * sizeof *p->order);
    if (!p->order)
        return error_set(err, ST_NOMEM, "no memory for the order of %zu pictures", p->list.count);
    shuffle(p, 0);
    return ST_OK;
}

/* Labels of all pictures of a classification, else of some that are spread evenly. */
static enum status count_labels(struct folder_samples *p, uint64_t count[CLASSES_MAX],
                                struct error *err)
{
    for (size_t i = 0; p->classes && i < p->list.count; i++)
        count[p->classes[i]]++;
    if (p->classes)
        return ST_OK;
    size_t files = p->list.count < WEIGHT_FILES_MAX ? p->list.count : WEIGHT_FILES_MAX;
    for (size_t i = 0; i < files; i++) {
        enum status st = read_labels(p, p->list.paths[i * p->list.count / files], err);
        if (st != ST_OK)
            return st;
        size_t n = (size_t)p->labels.width * (size_t)p->labels.height;
        for (size_t k = 0; k < n; k++)
            if (p->labels.classes[k] != LABEL_IGNORE)
                count[p->labels.classes[k]]++;
    }
    return ST_OK;
}

/* (mean frequency / frequency) ^ WEIGHT_POWER of each label. */
static enum status weigh_classes(struct folder_samples *p, struct error *err)
{
    uint64_t count[CLASSES_MAX] = {0}, all = 0;
    enum status st = count_labels(p, count, err);
    if (st != ST_OK)
        return st;
    int occur = 0;
    for (int c = 0; c < p->head.map.label_count; c++) {
        occur += count[c] > 0;
        all += count[c];
    }
    for (int c = 0; c < p->head.map.label_count; c++) {
        double w = count[c] ? pow((double)all / occur / (double)count[c], WEIGHT_POWER) : 1;
        p->head.class_weight[c] = (float)fmin(fmax(w, WEIGHT_MIN), WEIGHT_MAX);
    }
    return all ? ST_OK : error_set(err, ST_UNSUPPORTED, "no label in this folder is ever scored");
}

/* The names of this part, and the classes where it has them, in one number. */
static uint32_t names_crc(const struct folder_samples *p)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < p->list.count; i++) {
        const char *slash = strrchr(p->list.paths[i], '/');
        const char *name = slash ? slash + 1 : p->list.paths[i];
        crc = (uint32_t)rng_hash(crc, file_crc32(name, strlen(name)), strlen(name),
                                 p->classes ? p->classes[i] : 0);
    }
    return crc;
}

static enum status read_map(struct folder_samples *p, const char *path,
                            const struct task_spec *spec, struct error *err)
{
    class_map_identity(spec, &p->head.map);
    if (!path)
        return ST_OK;
    enum status st = class_map_open(path, &p->head.map, err);
    if (st == ST_OK && p->head.map.network_count != spec->class_count)
        st = error_set(err, ST_UNSUPPORTED, "%s maps %d classes, but the network has %d", path,
                       p->head.map.network_count, spec->class_count);
    return st;
}

static enum status open_parts(struct folder_samples *p, const struct folder_samples_options *o,
                              const struct task_spec *spec, struct error *err)
{
    p->labels_dir = o->labels ? strdup(o->labels) : NULL;
    if (o->labels && !p->labels_dir)
        return error_set(err, ST_NOMEM, "no memory to open %s", o->dir);
    enum status st = read_map(p, o->class_map, spec, err);
    if (st == ST_OK)
        st = list_pictures(p, o, spec->task, err);
    if (st == ST_OK)
        st = weigh_classes(p, err);
    snprintf(p->head.text, sizeof p->head.text,
             "samples=folder\npictures=%zu\nnames=%08x\nclass_map=%08x\n", p->list.count,
             names_crc(p), file_crc32(p->head.map.to_label, sizeof p->head.map.to_label));
    return st;
}

enum status folder_samples_open(const struct folder_samples_options *options,
                                const struct task_spec *spec, struct samples **ret,
                                struct error *err)
{
    static const struct samples_kind kind = {draw_folder, close_folder};
    if (!(options->validation >= 0 && options->validation <= 0.9))
        return error_set(err, ST_INVALID, "the share for validation is 0 to 0.9, not %g",
                         options->validation);
    if (spec->task == TASK_DETECT)
        return error_set(err, ST_UNSUPPORTED,
                         "a detector trains on the town, or against a teacher on a camera's "
                         "frames; folders of pictures with boxes are not read");
    struct folder_samples *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, ST_NOMEM, "no memory to open %s", options->dir);
    p->head.kind = &kind;
    p->seed = options->seed;
    p->shuffle = options->shuffle;
    frame_init(&p->picture);
    label_map_init(&p->labels);
    scaler_init(&p->scaler);
    enum status st = open_parts(p, options, spec, err);
    if (st != ST_OK) {
        close_folder(&p->head);
        return st;
    }
    *ret = &p->head;
    return ST_OK;
}
