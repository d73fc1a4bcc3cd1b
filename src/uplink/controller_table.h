/* controller_table.h - what a frame rate and a picture size cost on the uplink, and bring in
 * training: the profile that the transmission controller (controller.h) chooses from.
 *
 * Text form: YAML, docs/formats.md "transmission table"; `attune profile` measures one.
 *
 * Owns:    a plain value.
 * Threads: pure functions.
 * Errors:  ST_FORMAT with file:line:column; ST_LIMIT over a bound; ST_IO.
 */
#ifndef ATTUNE_UPLINK_CONTROLLER_TABLE_H
#define ATTUNE_UPLINK_CONTROLLER_TABLE_H

#include "base/buf.h"
#include "base/error.h"

#define CONTROLLER_SIZES_MAX 6
#define CONTROLLER_RATES_MAX 12
#define CONTROLLER_SHARES_MAX 8
#define CONTROLLER_FPS_MIN 0.01
#define CONTROLLER_FPS_MAX 30.0
#define CONTROLLER_SCALE_MIN 0.1
#define CONTROLLER_KBPS_MAX 1e6
#define CONTROLLER_SHARE_MAX 1024.0

/* One size of the pictures. */
struct controller_size {
    double scale;         /* of the sides, CONTROLLER_SCALE_MIN..1 */
    double trainable_fps; /* new frames a second that one processor labels and trains on */
    double kbps[CONTROLLER_RATES_MAX]; /* of one camera that sends that many frames a second */
    double accuracy[CONTROLLER_SHARES_MAX][CONTROLLER_RATES_MAX]; /* 0..1, by share, group's rate */
};

struct controller_table {
    int width, height;  /* pictures at scale 1, 16..FRAME_SIDE_MAX */
    double rate_factor; /* x264's CRF of the uploads that were measured, 0..51 */
    double slack;       /* accuracies that are nearer than this are equal, 0..1 */
    int size_count, rate_count, share_count; /* 1 or more each */
    double fps[CONTROLLER_RATES_MAX];    /* rising; of a camera for kbps, of a group for accuracy */
    double share[CONTROLLER_SHARES_MAX]; /* rising; processors that train, above 0 */
    struct controller_size sizes[CONTROLLER_SIZES_MAX]; /* scales differ, falling */
};

/* Measured on the town with the shipped segmentation student (docs/benchmarks.md). */
void controller_table_init(struct controller_table *t);

/* `name` is for messages. On failure *ret is as before. */
enum status controller_table_read(const void *text, size_t n, const char *name,
                                  struct controller_table *ret, struct error *err);
enum status controller_table_open(const char *path, struct controller_table *ret,
                                  struct error *err);

/* Appends the text that controller_table_read gives back. */
void controller_table_write(const struct controller_table *t, struct buf *out);

/* kbit/s of one camera at this rate: between two rates on a straight line, below the lowest in
 * proportion to the rate, above the highest as there. */
double controller_table_kbps(const struct controller_table *t, int size, double fps);

/* Accuracy where the group trains with `share` on group_fps frames a second: on straight lines
 * between the points, beyond the first and last as there. */
double controller_table_accuracy(const struct controller_table *t, int size, double share,
                                 double group_fps);

#endif
