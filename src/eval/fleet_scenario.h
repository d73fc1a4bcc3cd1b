/* fleet_scenario.h - several cameras on one server with a stated budget of compute, as a YAML file.
 *
 * docs/formats.md, "fleet scenario". Compute is charged by a stated model, not measured, so results
 * do not depend on how busy the machine is: an inference of the student costs infer_s of one
 * processor, and everything else as many times that as it has floating-point operations.
 *
 * Owns:    plain values.
 * Errors:  ST_FORMAT with file:line:column, ST_LIMIT.
 */
#ifndef ATTUNE_EVAL_FLEET_SCENARIO_H
#define ATTUNE_EVAL_FLEET_SCENARIO_H

#include <stdbool.h>

#include "base/error.h"
#include "flow/records.h"
#include "train/configuration.h"

#define FLEET_CAMERAS_MAX 64
#define FLEET_TEXT_BYTES 512
#define FLEET_CHANGES_MAX 16

struct fleet_source {
    char id[CAMERA_ID_CHARS_MAX + 1];
    char source[FLEET_TEXT_BYTES]; /* video, folder of images, or town:... */
    bool placed;                   /* x_m and y_m are known */
    double x_m, y_m;               /* where it stands */
    int change_count;              /* when its conditions change, in order: */
    double changes_s[FLEET_CHANGES_MAX];
    char district[32]; /* cameras of one district drift alike: the planted truth that
                        * groups are compared with; "" for none */
};

struct fleet_scenario {
    char name[64];
    char student[FLEET_TEXT_BYTES], teacher[FLEET_TEXT_BYTES]; /* ONNX; paths as given */
    char recipe[FLEET_TEXT_BYTES]; /* "name=value,..." over attune's recipe; "" for none */
    double seconds;                /* of video, 10..86400; default 240 */
    double fps;                    /* of every camera, 0.1..60; default 4 */
    double window_s;               /* default 60 */
    double capacity;               /* processors, default 1 */
    double infer_part;             /* what all cameras at full rate would take of it; default 0.6 */
    double infer_s;                /* compute of one inference; 0: what infer_part comes to */
    bool at_cameras; /* cameras infer on computers of their own, nothing of the capacity is theirs
                      * ("infers: camera"; default "server") */
    double uplink_kbps; /* of the site, shared by all cameras; 0 (the default): frames are
                         * labelled as they were captured, nothing is sent */
    double chunk_s;     /* between two uploads of a camera; default 5 */
    double label_fps;   /* frames that the teacher labels, each camera; default 0.2 */
    double label_part; /* ... as far as that takes no more than this of the capacity; default 0.2 */
    double accuracy_min; /* floor, 0: none */
    int frames_min;      /* labelled frames that a training needs, default 6 */
    int camera_count;
    struct fleet_source cameras[FLEET_CAMERAS_MAX];
    struct train_configurations configurations;
};

enum status fleet_scenario_open(const char *path, struct fleet_scenario *ret, struct error *err);
enum status fleet_scenario_read(const void *text, size_t n, const char *name,
                                struct fleet_scenario *ret, struct error *err);

#endif
