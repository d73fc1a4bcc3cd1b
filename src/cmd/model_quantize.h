/* model_quantize.h - inside src/cmd: `attune model quantize` in its parts: arguments and report
 * (model_quantize.c), pictures (model_quantize_feed.c), the comparison (model_quantize_compare.c).
 */
#ifndef ATTUNE_CMD_MODEL_QUANTIZE_H
#define ATTUNE_CMD_MODEL_QUANTIZE_H

#include "nn/calibrate.h"
#include "nn/session.h"
#include "task/task.h"

#define QUANTIZE_NAME "model quantize"
#define QUANTIZE_FRAMES_MAX 100000

struct quantize_arguments {
    const char *path, *out;
    const char *frames;     /* a folder or video; NULL: the town */
    const char *conditions; /* of the town: "clear" or "all" */
    int size[2], threads;
    int count, compared; /* pictures to calibrate on, and to compare on */
    enum nn_clip clip;
    double headroom;
    bool town, json;
};

/* Pictures of the network's size, one after the other. */
struct quantize_feed;

enum quantize_part { QUANTIZE_CALIBRATION = 1, QUANTIZE_COMPARISON };

/* Of a folder or video every second frame is of a part: no frame is in both. Towns of the
 * comparison are never those of the calibration. */
enum status quantize_feed_open(const struct quantize_arguments *a, const struct task_spec *spec,
                               enum quantize_part part, struct quantize_feed **ret,
                               struct error *err);
void quantize_feed_close(struct quantize_feed **f);

/* ST_END after the last one. Lent until the next call; *ret_labels, of the size of the network's
 * answer, is NULL where nobody knows them. */
enum status quantize_feed_next(struct quantize_feed *f, const struct frame **ret,
                               const struct label_map **ret_labels, struct error *err);

/* One precision on the pictures of the comparison. */
struct quantize_result {
    enum nn_precision precision;
    bool runs;            /* the processor has it */
    double ms;            /* median of a forward pass; all precisions take turns at every picture */
    enum task_kind task;  /* of the network */
    double agreement;     /* share of pixels, or pictures, with the class that float32 gives */
    double accuracy;      /* against the labels (task_score); NaN where nobody knows them */
    size_t session_bytes; /* nn_session_bytes */
};

enum { QUANTIZE_F32, QUANTIZE_BF16, QUANTIZE_INT8, QUANTIZE_RESULTS };

/* m: calibrated. *ret_frames: how many pictures there were, at most a->compared. */
enum status quantize_compare(const struct quantize_arguments *a, const struct nn_model *m,
                             struct quantize_result ret[QUANTIZE_RESULTS], int *ret_frames,
                             struct error *err);

#endif
