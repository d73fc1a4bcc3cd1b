/* sending.h - how often each camera of a fleet sends frames, and its part of the uplink, from its
 * group's part of the compute for training.
 *
 * The labels that the machine can make are the same under every rule. Fixed: every camera has the
 * same part of them and of the uplink. By share (ECCO, arXiv 2512.11727, abstract; our reading): a
 * group has its part of the training compute of them, never more than it can train on, and its
 * members divide that; bandwidth goes by the same weights, as GAIMD settles at (gaimd.h), and what
 * a camera has no use for goes to the others. Ours: of a part of the labels it goes by share, the
 * rest is even, as frames also say who drifts, and a share follows a drift with a delay.
 *
 * `attune eval --fleet` has its cameras send so; the server tells cameras their weight, and each
 * chooses its rate within its group's share (controller.h).
 *
 * Owns:    plain values.
 * Threads: pure functions.
 */
#ifndef ATTUNE_UPLINK_SENDING_H
#define ATTUNE_UPLINK_SENDING_H

#include <stdbool.h>

struct sending_rules {
    double by_share;         /* 0..1, of the labels that follow the groups' parts; all cameras have
                                the same of the rest */
    bool weighted;           /* bandwidth follows the rates, else all have the same */
    double total_fps;        /* frames a second that can be labelled, of all cameras together */
    double trainable_fps;    /* that all training together can use; INFINITY: not known */
    double fps_min, fps_max; /* of a camera */
};

struct sending_group {
    int members; /* 1 or more */
    double part; /* of the training compute, 0..1; NaN: not known, then as its members are of all */
};

/* Of each member. */
struct sending_member {
    double part;   /* its group's, as above but known */
    double labels; /* its group's part of the labels, before the bounds of the rates: all groups'
                    * together are 1 where their parts are */
    double fps;    /* within fps_min..fps_max */
    double weight; /* in the uplink; 1 on the average of all cameras */
};

/* ret[count]: a group each. */
void sending_divide(const struct sending_rules *r, const struct sending_group *groups, int count,
                    struct sending_member *ret);

#endif
