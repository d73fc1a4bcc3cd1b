/* message.h - the JSON that camera and server exchange (docs/api.md), written and read in one
 * place: what the server wishes of a camera, and what a camera tells of its inference.
 *
 * Owns:    plain values; objects that are returned are the caller's reference.
 * Threads: pure functions.
 * Errors:  ST_FORMAT: not in the interface's form; ST_NOMEM.
 */
#ifndef ATTUNE_UPLINK_MESSAGE_H
#define ATTUNE_UPLINK_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/durations.h"
#include "base/error.h"
#include "flow/records.h"
#include "profile/inference.h"
#include "uplink/gaimd.h"

/* How a camera should send its samples: its group, and its part of an uplink that others share. */
struct transmission_wish {
    char group[CAMERA_ID_CHARS_MAX + 1]; /* for people; "": it trains alone */
    int members;                         /* of the group, 1 or more */
    double group_share; /* processors that train the group; 0: nobody says, no controller */
    double weight;      /* gaimd.h; 1: a camera like the others */
    enum gaimd_law law; /* 0: not paced */
    double exponent;    /* of GAIMD_AIMD */
    double scale_min, scale_max; /* of the pictures' sides; 0: no limit */
};

/* Alone, not paced, no controller: as before there were groups. */
void transmission_wish_init(struct transmission_wish *w);

/* The server's wishes, within the bounds that a camera accepts. */
struct client_settings {
    uint64_t version; /* newest that the server has for this camera */
    double sampling_fps;
    double chunk_s;
    double uplink_kbps;
    uint64_t next_seq;
    bool adapt;
    uint64_t revision;           /* of what follows and of uplink_kbps; 0: an older server */
    double share;                /* processors, INFINITY: as many as there are */
    struct inference_wish infer; /* what is left free follows from the share */
    struct transmission_wish send;
};

/* A new object; NULL: no memory. */
json_t *message_settings(const struct client_settings *s);
enum status message_read_settings(const void *text, size_t n, struct client_settings *ret,
                                  struct error *err);

#define MESSAGE_TEXT_CHARS_MAX 159

/* Of the answers since the camera started, a view of regions for itself; none from a camera that is
 * older than this. */
struct inference_timing {
    struct durations run; /* the student's answer to a picture */
    struct durations age; /* of the frame when it was answered, since it was there to be taken */
};

/* What a camera, or the server in its place, tells every few seconds. */
struct inference_report {
    struct inference_configuration running;
    double share;  /* processors that it was given, INFINITY: no limit */
    double demand; /* of what is running, processors */
    double factor;
    uint64_t frames, held, skipped;          /* inferred; answered with a held answer; left out */
    char source[MESSAGE_TEXT_CHARS_MAX + 1]; /* why it does not deliver, "" when it does */
    bool no_upload;      /* its frames never leave it: nothing comes to be labelled */
    uint64_t reconnects; /* how often the source was opened again since the camera started */
    struct inference_timing timing;
    char note[MESSAGE_TEXT_CHARS_MAX + 1]; /* what is not on offer, and why; "" */
    struct inference_table table;          /* no point: nothing is measured */
    /* What the camera thinks of its world, for as long as it does; kind DRIFT_NONE: nothing. Of it
     * kind, times, score, text and signature. */
    struct drift_request drift;
};

/* A new object; NULL: no memory. */
json_t *message_report(const struct inference_report *r);

/* Refuses numbers out of range and more points than a table has. Texts are cut to plain ASCII. */
enum status message_read_report(const void *text, size_t n, struct inference_report *ret,
                                struct error *err);

#endif
