/* records.h - the nouns, in the order in which data flows.
 *
 * Units are last in the names; times are microseconds: *_us on whatever clock drives the node
 * (monotonic on a camera, wall on the wire and in the store, virtual in attune eval).
 */
#ifndef ATTUNE_FLOW_RECORDS_H
#define ATTUNE_FLOW_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Camera ids: [a-z0-9_-], 1 to 63 characters. */
#define CAMERA_ID_CHARS_MAX 63
#define FRAME_SIDE_MAX 8192
#define CLASSES_MAX 64
#define CLASS_NAME_CHARS_MAX 31
#define LABEL_IGNORE 255

/* A picture: RGB, 8 bits, rows without padding (3 * width bytes each). */
struct frame {
    int width, height;
    uint64_t t_us;   /* capture time */
    uint8_t *pixels; /* [height][width][3] */
};

/* A class for every pixel, or for every cell of a coarser grid: 1 x 1 where it is the picture's
 * class. LABEL_IGNORE where there is none. */
struct label_map {
    int width, height;
    uint8_t *classes; /* [height][width] */
};

/* A box in pixels, corners inclusive of x0,y0 and exclusive of x1,y1. */
struct box {
    float x0, y0, x1, y1;
    int class_id;
    float score; /* 1 for ground truth */
};

#define SIGNATURE_VALUES 32

/* A camera's present conditions as a vector (drift/signature.h). */
struct signature {
    float value[SIGNATURE_VALUES];
};

/* What has happened to a camera's world. Enumerator, name (in messages, rows and events). */
#define DRIFT_KIND_LIST(X)                                                                         \
    X(SCENE, "scene")       /* its answers or its pictures are not what they were */               \
    X(VIEW, "view")         /* it was moved: other things are in the picture */                    \
    X(ACCURACY, "accuracy") /* it agrees less with the teacher than it did */                      \
    X(DIRTY, "dirty")       /* a part of the lens is covered or blurred: no request, an event */   \
    X(BLIND, "blind")       /* nothing to see, or a frozen picture: no request, an event */        \
    X(MANUAL, "manual")     /* nothing: a person wants it to be trained */

enum drift_kind {
    DRIFT_NONE,
#define ENUMERATOR(name, text) DRIFT_##name,
    DRIFT_KIND_LIST(ENUMERATOR)
#undef ENUMERATOR
        DRIFT_KIND_COUNT
};

#define DRIFT_TEXT_CHARS_MAX 255

/* A camera, or the server for it, asks for training: its world has changed. */
struct drift_request {
    char camera[CAMERA_ID_CHARS_MAX + 1];
    enum drift_kind kind;               /* SCENE, VIEW, ACCURACY or MANUAL */
    bool at_server;                     /* noticed from the teacher's labels */
    uint64_t t_us;                      /* when it was noticed, microseconds since 1970 */
    uint64_t since_us;                  /* since when, as far as can be told */
    double score;                       /* distance over the threshold: 1 and more */
    double latitude_deg, longitude_deg; /* NaN: not known */
    uint64_t seq; /* newest chunk when it was raised: those after it show the new world;
                   * MANUAL 0: any will do, else the store takes the newest that it has */
    bool has_signature;
    struct signature signature;
    char text[DRIFT_TEXT_CHARS_MAX + 1]; /* what was seen, a sentence without its full stop */
};

#endif
