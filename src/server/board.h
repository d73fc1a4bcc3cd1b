/* board.h - what the server wishes of each camera's inference, and what each has told of it.
 *
 * Wishes come from the configuration file and from whoever plans shares; cameras learn of a change
 * through their long poll (docs/api.md), within a second. What cameras tell is kept in memory only:
 * after a restart they say it again.
 *
 * Owns:    a bounded table, an entry a camera.
 * Threads: safe.
 * Time:    now_us on the monotonic clock.
 */
#ifndef ATTUNE_SERVER_BOARD_H
#define ATTUNE_SERVER_BOARD_H

#include "server/config.h"
#include "uplink/message.h"

struct board;

/* For cameras_max cameras. `config` is borrowed. Revisions count from `revision`, which differs
 * from start to start. */
enum status board_open(struct config *config, int cameras_max, uint64_t revision,
                       struct board **ret, struct error *err);
void board_close(struct board **b);

/* Fills in uplink_kbps, share, infer, send and revision. */
void board_settings(struct board *b, const char *camera, struct client_settings *ret);
uint64_t board_revision(struct board *b, const char *camera);

/* The configuration has changed: every camera has to be told. Ring the bell. */
void board_changed(struct board *b);

/* The plan's share, processors (INFINITY: no limit); a share in the file goes before it. True when
 * the camera has to be told: ring the bell. False also beyond cameras_max. */
bool board_set_share(struct board *b, const char *camera, double share);

/* Whom a camera trains with. */
struct board_group {
    char id[CAMERA_ID_CHARS_MAX + 1]; /* "": alone */
    int members;                      /* the camera among them, 1 or more */
    double share;                     /* processors that train the group; 0: not known, then cameras
                                       * choose no rate by it */
    double weight;                    /* of the uplink (uplink/gaimd.h), 1: like the others */
};

/* Alone, no share known, weight 1: what a camera has until somebody says. */
void board_group_init(struct board_group *g);

/* True when the camera has to be told: ring the bell. Shares and weights that differ by less than
 * BOARD_SAME_PART are the same, or every plan would be news. False also beyond cameras_max. */
#define BOARD_SAME_PART 0.1
bool board_set_group(struct board *b, const char *camera, const struct board_group *g);
void board_get_group(struct board *b, const char *camera, struct board_group *ret);

/* Number of the personal delta (delta/personal.h) that the camera is to have, 0 (at first): none.
 * set: true when the camera has to be told: ring the bell. */
bool board_set_own(struct board *b, const char *camera, uint64_t number);
uint64_t board_own(struct board *b, const char *camera);

/* A report that came. Beyond cameras_max it is dropped. *ret_before (NULL allowed): the last one.
 */
void board_report(struct board *b, const char *camera, const struct inference_report *r,
                  uint64_t now_us, struct inference_report *ret_before);

/* True, with its age, when the camera has told something. */
bool board_told(struct board *b, const char *camera, uint64_t now_us, struct inference_report *ret,
                uint64_t *ret_age_us);

/* How long its inferences took of late: in the last BOARD_RECENT_US to twice that; empty when
 * nothing was told. */
#define BOARD_RECENT_US ((uint64_t)60 * 1000000)
void board_timing(struct board *b, const char *camera, struct inference_timing *ret);

/* Was the camera, last seen at seen_us (wall clock), heard of lately, and does its source deliver
 * as far as it told? now_us is on the wall clock, too. */
#define BOARD_SILENT_US ((uint64_t)60 * 1000000)
bool board_is_up(struct board *b, const char *camera, uint64_t seen_us, uint64_t now_us);

/* True: the server infers for it. */
bool board_infers_here(const struct board *b, const char *camera);

#endif
