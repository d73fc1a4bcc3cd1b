/* detect_head.h - what the output of a detector means: anchor-free heads, a box a cell.
 *
 * A head has cells on one or several grids over the picture. A cell says whether a thing is there
 * (objectness), where, and of what class:
 *
 *   grid        [N,5+C,h,w], one grid. All logits; box dx, dy, log w, log h as YOLOX's. Ours, of
 *               the town's detectors.
 *   yolox       [N,A,5+C], grids of strides 8, 16 and 32, one after the other. Objectness and
 *               classes are probabilities; centre = (cell + d) * stride, sides = exp * stride.
 *               Score: objectness * class. (Ge et al., "YOLOX", arXiv:2107.08430, section 2.1; the
 *               authors' ONNX export, boxes not decoded in the file.)
 *   fastestdet  [N,5+C,h,w], one grid. Objectness sigmoid, classes softmax, in the file; centre =
 *               cell + tanh, sides = sigmoid, as fractions of the picture. Score: objectness^0.6 *
 *               class^0.4. (The author's code, github.com/dog-qiuqiu/FastestDet.)
 *
 * Metadata (nn_model_metadata): attune.detect.head names the head; attune.detect.channels says
 * which of the file's classes each class of attune.classes is, "0,1,2,3,5,7", where they are not
 * all of them in order; attune.detect.threshold and attune.detect.unsure: scores from which a box
 * is answered, and answered as unsure (task/detect.h); attune.detect.nms: intersection over union
 * from which the weaker of two boxes of a class goes.
 *
 * Owns:    plain values.
 * Threads: pure functions.
 */
#ifndef ATTUNE_TASK_DETECT_HEAD_H
#define ATTUNE_TASK_DETECT_HEAD_H

#include "nn/session.h"
#include "task/detect.h"

#define DETECT_LEVELS_MAX 3
#define DETECT_CELLS_MAX 16384
#define DETECT_CHANNELS_MAX 256 /* classes of a file */

enum detect_head_kind { DETECT_GRID = 1, DETECT_YOLOX, DETECT_FASTESTDET };

struct detect_level {
    int width, height; /* of the grid */
    int first;         /* cell */
};

struct detect_head {
    enum detect_head_kind kind;
    int level_count, cell_count;
    struct detect_level levels[DETECT_LEVELS_MAX];
    int class_count;                     /* ours */
    uint8_t channel[DETECT_CLASSES_MAX]; /* of a class, among the file's classes */
    float threshold, unsure, nms_iou;    /* 0..1, unsure <= threshold */
};

/* From metadata and output shape; class_count as attune.classes says, 0: as many as the file has,
 * then *ret's says how many. ST_UNSUPPORTED with a sentence. */
enum status detect_head_read(const struct nn_model *m, int class_count, struct detect_head *ret,
                             struct error *err);

/* ---- a cell ---- */

/* Where a cell's numbers are, in an output or in its gradient: number k is at[k * stride]: box
 * 0..3, objectness, classes from 5 on (heads differ in the order, the calls below do not). */
struct detect_cell {
    float *at;
    int64_t stride;
    int objectness, box; /* indices of the first */
    float x, y;          /* of the cell on its grid */
    float width, height; /* of the grid */
};

struct detect_cell detect_cell_at(const struct detect_head *h, const struct nn_view *output,
                                  int image, int index);

/* Probability that something is there, and of a class. */
float detect_cell_objectness(const struct detect_head *h, const struct detect_cell *c);
float detect_cell_class(const struct detect_head *h, const struct detect_cell *c, int class_id);

/* Centre and sides in fractions of the picture, centre_sides[4], and (NULL: not wanted) their
 * derivatives by the four raw numbers, each of its own. */
void detect_cell_box(const struct detect_head *h, const struct detect_cell *c,
                     float centre_sides[4], float derivative[4]);

/* ---- a picture ---- */

/* The boxes of image `image`: of every cell its best chosen class (NULL: all), weaker ones of a
 * class removed by overlap (greedy non-maximum suppression), the best DETECT_BOXES_MAX, best first.
 * Cells beyond the 1024 best are not looked at. table[DETECT_TABLE_BYTES]. */
void detect_decode(const struct detect_head *h, const struct nn_view *output, int image,
                   const uint8_t *class_chosen, uint8_t *table);

#endif
