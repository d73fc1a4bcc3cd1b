/* library.h - inside src/library only: what the public functions (attune/attune.h) share.
 *
 * Threads: `followed` from any; the rest as attune.h says of a student.
 */
#ifndef ATTUNE_LIBRARY_LIBRARY_H
#define ATTUNE_LIBRARY_LIBRARY_H

#include <stdatomic.h>

#include "attune/attune.h"
#include "edge/student.h"
#include "task/detect.h"
#include "video/planes.h"

struct attune_student {
    struct student *network;
    struct planes_scaler scaler;
    struct frame frame;      /* of the network's size */
    struct label_map answer; /* of the last run */
    struct nn_view logits;   /* the same, lent by the network */
    bool answered;
    attune_box boxes[ATTUNE_BOXES_MAX];
    int box_count;
    atomic_bool followed; /* updates are an attune_updates' */
};

/* Copies what is in err and returns st as the public status; to may be NULL. */
attune_status library_status(enum status st, const struct error *err, attune_error *to);

/* ATTUNE_INVALID with "WHAT must not be NULL". */
attune_status library_null(const char *what, attune_error *to);

#endif
