/* controller.h - transmission controller: at which frame rate and size a camera sends its samples,
 * given what its group can train on and what its uplink carries.
 *
 * Source: ECCO (arXiv 2512.11727) says in its abstract that a controller at each camera configures
 * frame sampling from the compute that the camera's group got; the rule here is our reading. A
 * group that has `share` processors to train uses share * trainable_fps new frames a second, and
 * its members divide them. Among what is within that and within the bandwidth, the controller takes
 * the highest accuracy of the table, the cheapest where accuracies are equal (within the slack).
 *
 * With AMS's adaptive sampling rate (train/asr.h), which follows the scene, the lower of the two
 * rates counts: more frames than the scene is worth, or than the group can use, are waste.
 *
 * Owns:    plain values.
 * Threads: pure functions.
 */
#ifndef ATTUNE_UPLINK_CONTROLLER_H
#define ATTUNE_UPLINK_CONTROLLER_H

#include <stdbool.h>

#include "uplink/controller_table.h"

struct controller_input {
    double share;          /* processors that train the camera's group, 0: none */
    int members;           /* of the group, the camera among them, 1 or more */
    double bandwidth_kbps; /* as measured; INFINITY: no limit is known */
    double asr_fps;        /* AMS's rate, INFINITY: no such rule */
    int width, height;     /* at scale 1, what the student takes; 0: the table's */
    double cost; /* bits of this camera's pictures, in those of the table's; 0: as there */
    double scale_min, scale_max; /* of the server's wishes; sizes outside are not chosen, unless all
                                    are: then the nearest; 0: no limit */
};

struct controller_choice {
    double fps;
    int width, height; /* even, 16 or more */
    double scale;
    double kbps;     /* never above bandwidth_kbps */
    double accuracy; /* that the table promises the group, 0..1 */
};

/* Everything follows from the arguments. Where not even the cheapest row fits the bandwidth, it is
 * that row at as low a rate as fits, but not below CONTROLLER_FPS_MIN. */
void controller_choose(const struct controller_table *t, const struct controller_input *in,
                       struct controller_choice *ret);

/* What the table expects of this camera at a rate and a scale of the table, kbit/s. */
double controller_expected_kbps(const struct controller_table *t, const struct controller_input *in,
                                double scale, double fps);

/* Keeps a camera from going to and fro: what would change the size, or send more, comes into force
 * when the next window chooses the same again; what sends less does at once. */
struct controller {
    bool started, pending;
    struct controller_choice now, next;
};

void controller_init(struct controller *c);

/* Once a window, after measuring. *ret is what is in force until the next call; its kbps is not
 * above in->bandwidth_kbps, its fps not above in->asr_fps. */
void controller_step(struct controller *c, const struct controller_table *t,
                     const struct controller_input *in, struct controller_choice *ret);

#endif
