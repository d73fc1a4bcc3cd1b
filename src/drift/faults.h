/* faults.h - what is wrong with the camera itself, told apart from a scene that changed: it sees
 * nothing (BLIND), a part of its lens is spoilt (DIRTY), it was moved (VIEW).
 *
 * Made of the pictures alone (picture.h), against the camera's own long-term background:
 *   BLIND  the picture is flat, whatever its level, or it is the same to the bit. Noise alone does
 *          not make structure, since cells are means of many pixels.
 *   DIRTY  a connected region has lost its fine detail while the rest of the picture keeps its own.
 *          What counts is what a block keeps while nothing passes by, and not that of windows and
 *          lamps which went out: at night both are most of the detail that there is.
 *          Detail is what block differences have above the sensor's noise (the tenth percentile of
 *          the blocks). Dusk, rain, fog and snow change the detail everywhere: the rest does not
 *          keep its own, and nothing is said until it does.
 *   VIEW   edges are no longer where they were, within seconds, and either a shift of the picture
 *          brings them back or light, contrast and amount of edges stayed the same: weather moves
 *          the latter and leaves edges where they are.
 * A fault that stays for DRIFT_FAULT_ACCEPT_S is how the camera looks now: it ends without having
 * been mended. The rules and thresholds are ours, set on the town (docs/benchmarks.md).
 *
 * Usage: drift_faults_add for pictures in the order of time, a few a second; an event when it says
 *        so. After VIEW the background is new: faults are looked for again after
 *        DRIFT_FAULT_WARM_S.
 * Owns:    a plain value of about 35 KiB.
 * Threads: one at a time.
 * Memory:  nothing is allocated.
 * Time:    t_us never decreases; a gap of more than DRIFT_FAULT_GAP_S starts anew.
 * Cost:    tens of microseconds a picture, 0.2 ms once a second while a move is in doubt.
 */
#ifndef ATTUNE_DRIFT_FAULTS_H
#define ATTUNE_DRIFT_FAULTS_H

#include "drift/picture.h"

#define DRIFT_FAULT_WARM_S 20
#define DRIFT_FAULT_GAP_S 30
#define DRIFT_FAULT_ACCEPT_S 900

/* Structure at half the cells' resolution, where shifts are looked for. */
#define DRIFT_COARSE_X (DRIFT_CELLS_X / 2)
#define DRIFT_COARSE_Y (DRIFT_CELLS_Y / 2)

/* Since when something holds, and whether for long enough. */
struct drift_lasting {
    bool on;
    uint64_t since_us;
};

/* What the last picture was measured to be: for messages, tests and tuning. */
struct drift_fault_measures {
    double flatness;           /* standard deviation of cell luma */
    double match;              /* correlation of edges now with the background's, -1..1 */
    double shifted;            /* the same at the best shift, when it was looked for, else match */
    int shift_x, shift_y;      /* cells */
    int region;                /* blocks of the largest region that lost its detail */
    double others, others_p80; /* change of detail elsewhere, |log|: median and 80th percentile */
};

struct drift_faults {
    enum drift_kind state; /* DRIFT_NONE, DRIFT_BLIND, DRIFT_DIRTY */
    uint64_t since_us;     /* of state */
    bool frozen;           /* of BLIND: not flat, but always the same */
    struct drift_fault_measures now;

    bool started;
    uint64_t first_us, last_us, checked_us;
    struct drift_lasting flat, same, seeing, moved, spoilt, clean;
    uint64_t doubt_us; /* since when the edges do not match, 0: they do */
    float last_luma[DRIFT_CELLS_Y][DRIFT_CELLS_X];
    float edges_now[DRIFT_CELLS_Y][DRIFT_CELLS_X], edges_long[DRIFT_CELLS_Y][DRIFT_CELLS_X];
    float detail_now[DRIFT_BLOCKS_Y][DRIFT_BLOCKS_X], detail_long[DRIFT_BLOCKS_Y][DRIFT_BLOCKS_X];
    float detail_kept[DRIFT_BLOCKS_Y][DRIFT_BLOCKS_X]; /* while nothing passes by */
    float shine_now[DRIFT_BLOCKS_Y][DRIFT_BLOCKS_X], shine_long[DRIFT_BLOCKS_Y][DRIFT_BLOCKS_X];
    float noise; /* of the sensor: fine differences where there is nothing */
    float light_now[DRIFT_FEATURES], light_long[DRIFT_FEATURES];
};

struct drift_fault_event {
    enum drift_kind kind; /* BLIND, DIRTY or VIEW */
    bool over;            /* it has ended; VIEW never does */
    uint64_t since_us;
    double score;      /* 1 and more */
    const char *what;  /* a clause, what was seen */
    const char *to_do; /* a clause, what a person should do */
};

void drift_faults_init(struct drift_faults *f);

/* True: *ret is an event of this moment. */
bool drift_faults_add(struct drift_faults *f, const struct drift_picture *p, uint64_t t_us,
                      struct drift_fault_event *ret);

#endif
