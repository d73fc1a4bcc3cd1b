/* trace.h - measured retrainings of several cameras, to replay schedulers on.
 *
 * Two forms are read: a flat CSV (docs/formats.md, "retraining profiles"):
 * city,window,config,epochs,start_acc,end_acc,gpu_seconds and, where there are estimates,
 * est_start_acc,est_end_acc; and the JSON of Ekya's simulator, one file a city (or a folder of
 * them): taskwise_train_profiles {window: [["CONFIG_EPOCH", start, end, gpu_seconds, model], ...]}
 * and, optionally, taskwise_predicted_profiles of the same form.
 *
 * Owns:    rows and names until trace_clear.
 * Errors:  of base/csv.h; ST_FORMAT names file and place.
 */
#ifndef ATTUNE_EVAL_TRACE_H
#define ATTUNE_EVAL_TRACE_H

#include <stdbool.h>

#include "base/error.h"
#include "schedule/schedule.h"

#define TRACE_NAME_CHARS_MAX 63
#define TRACE_CAMERAS_MAX 4096
#define TRACE_FILES_MAX 4096

struct trace_row {
    int camera, window; /* camera: index into names */
    int config, epochs;
    double start, end, compute_s;
    double est_start, est_end; /* NaN: not estimated */
};

struct trace {
    struct trace_row *rows; /* by camera (in order of names) and window, as in the file within */
    int count, capacity;
    char (*names)[TRACE_NAME_CHARS_MAX + 1]; /* sorted */
    int camera_count;
};

enum status trace_open(const char *path, struct trace *ret, struct error *err);
void trace_clear(struct trace *t);

/* CSV text; JSON text of one city. name is for messages. */
enum status trace_read_csv(const void *text, size_t n, const char *name, struct trace *ret,
                           struct error *err);
enum status trace_read_json(const void *text, size_t n, const char *name, struct trace *ret,
                            struct error *err);

/* Rows of one window of a camera: [*ret_first, the result's end). */
int trace_window(const struct trace *t, int camera, int window, int *ret_first);

/* A curve of at most SCHEDULE_POINTS_MAX points from a CSV. Shares of training: columns share or
 * gpu_percent, and throughput or relative_throughput. Inference: share (or subsampling: the share
 * is demand / subsampling) and factor (or c1). */
struct trace_curve {
    struct schedule_point points[SCHEDULE_POINTS_MAX];
    struct schedule_curve curve; /* its points are those; kind set */
};
enum status trace_open_throughput(const char *path, struct trace_curve *ret, struct error *err);
enum status trace_open_inference(const char *path, double demand, struct trace_curve *ret,
                                 struct error *err);

#endif
