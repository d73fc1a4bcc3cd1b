/* internal.h - the grouper's state, and what its files call of each other. Internal.
 *
 * grouper.c   open and close; settings.c defaults and ranges
 * cameras.c   ids and numbers
 * members.c   who is in which group, the only writers of it: group_form, group_enter
 * looks.c     whether cameras look alike
 * nearby.c    which groups are worth trying for a request, or for each other
 * evidence.c  differences of scores with their standard errors
 * decide.c    a request's decision; review.c a window's trials; conclude.c its actions, with
 *             merge.c, personal.c and rest.c
 * split.c     groups of two kinds; why.c sentences; state.c bytes
 */
#ifndef ATTUNE_GROUP_INTERNAL_H
#define ATTUNE_GROUP_INTERNAL_H

#include "group/group.h"

#define PAIRS_MAX 256    /* of groups that were compared lately and could be one */
#define MOVES_MAX 10     /* a wait doubles so often at most */
#define MOVES_WINDOWS 8  /* in peace, until one move is forgotten */
#define OFFSET_WINDOWS 8 /* in a group, in which a camera's offset is learned */
#define OFFSET_MAX 0.25
#define USUAL_LOOKS 4   /* from so many on it is known how a camera usually looks */
#define CROSS_SAMPLES 2 /* members of a group that another group's model is tried on */

struct camera {
    char id[CAMERA_ID_CHARS_MAX + 1]; /* "": unused */
    uint64_t group;                   /* 0: none */
    struct group_conditions conditions;
    struct signature usual;    /* mean of all looks at it */
    int looks;                 /* behind that */
    double accuracy, previous; /* of the last two windows, NaN */
    int frames;                /* behind accuracy */
    int behind;                /* windows in a row */
    double offset;             /* how much better than its group it usually is */
    int offset_windows;
    bool personal;
    int personal_windows; /* in a row that spoke for a change of it */
    /* Of its own delta, too, but not of the saved state: a trial ends with the process. */
    bool personal_tried, personal_faded; /* one is on trial; the one in use is to be made anew */
    int personal_barren;                 /* reviews in a row in which a trial had no score */
    int personal_wait, personal_fails;   /* windows until the next trial; trials that failed */
    bool moved;                          /* by the review; the request that follows is no drift */
    int moves, peace;                    /* out of groups lately; windows since */
    uint64_t apart;                      /* a group that it left, */
    int apart_windows;                   /* and for how long it will not go back */
    struct group_why why;
};

struct group {
    uint64_t id, formed_us;
    int *members; /* [count], growing */
    int count, capacity;
    struct group_conditions centre;
    struct signature usual; /* mean of its members', */
    bool usual_known;       /* where all have one */
    double accuracy;        /* NaN */
    int frames;
    double previous, gain; /* accuracy a window ago; smoothed difference. NaN */
    int windows, flat;
    bool resting;
    double rested;     /* accuracy when it came to rest */
    double best;       /* accuracy that it had, slowly forgotten; NaN */
    int below;         /* windows in a row in which it was well below that */
    int probes, quiet; /* splits by looks so far; windows until there may be another */
};

/* Two groups that one model served in the last windows in which they were compared. */
struct pair {
    uint64_t a, b; /* a < b */
    int agreed;    /* in a row, 1 and more */
    uint32_t window;
};

struct grouper {
    struct group_settings settings;
    struct camera *cameras; /* [limit], of capacity */
    int limit, capacity;
    int *index;            /* [index_size] camera + 1 by hash of its id, 0: none */
    int index_size;        /* a power of 2 */
    int unused;            /* numbers below limit */
    struct group **groups; /* [group_count] by growing id */
    int group_count, group_capacity;
    uint64_t next_id;
    uint32_t window;              /* that have ended */
    uint64_t merge_from;          /* the id with which the next review goes on looking for pairs */
    int personal_from;            /* likewise the camera */
    struct pair pairs[PAIRS_MAX]; /* [pair_count] */
    int pair_count;
};

/* ---- cameras.c, members.c ---- */

bool camera_id_valid(const char *id);
void camera_forget(struct grouper *g, int camera); /* the number is free; it must be in no group */
/* As the number `limit`; "" for one that is not in use. */
enum status camera_append(struct grouper *g, const char *id, struct error *err);

void group_free(struct group *k);
struct group *group_find(const struct grouper *g, uint64_t id); /* NULL */

/* A new group of this camera, which leaves the one that it is in. All of them: *ret_left is that
 * one where it is another (0: none), *ret_emptied whether it has ended. */
enum status group_form(struct grouper *g, int camera, uint64_t now_us, struct group **ret,
                       uint64_t *ret_left, bool *ret_emptied, struct error *err);
enum status group_enter(struct grouper *g, struct group *to, int camera, uint64_t *ret_left,
                        bool *ret_emptied, struct error *err);
/* Its offset becomes v, within what is allowed. */
void camera_offset(struct camera *c, double v);
void group_recentre(struct grouper *g, struct group *k);
bool group_make_room(struct group *k, int members); /* false: no memory */

/* ---- looks.c ---- */

struct looks {
    const struct signature *now, *usual; /* borrowed; NULL: unknown */
};

/* Takes in a valid signature. */
void camera_look(struct camera *c, const struct signature *s);
struct looks camera_looks(const struct camera *c);
struct looks group_looks(const struct group *k);
/* NaN where one is unknown. */
double looks_distance(struct looks a, struct looks b);

/* ---- nearby.c ---- */

struct near {
    struct group *group;
    double place_m, signature; /* NaN; in units */
    double unlikeness;         /* what they are sorted by */
};

/* The groups other than `self` (0: none) that place and looks make candidates, best first. room:
 * how many members they must be able to take. now_us 0: whatever their age. */
int near_groups(const struct grouper *g, const struct group_place *place, struct looks looks,
                uint64_t now_us, uint64_t self, uint64_t apart, int room, int most,
                struct near *ret);

/* ---- evidence.c ---- */

struct evidence {
    double difference, error; /* and its standard error; NaN: nothing known */
};

double score_error(const struct group_settings *s, const struct group_score *x);
/* a less b, models on the same frames. */
struct evidence score_difference(const struct group_settings *s, const struct group_score *a,
                                 const struct group_score *b);
bool score_known(const struct group_score *x);
/* What a camera's accuracy lacks to that of a group that it may be like: reference + offset -
 * accuracy, with the spread between cameras in its error. */
struct evidence shortfall(const struct group_settings *s, double accuracy, int frames,
                          double offset, double reference, int reference_frames, int members);
/* How much of it passes for none. */
double shortfall_allowed(const struct group_settings *s, const struct evidence *e);

/* The shortfall with which a member may stay: more where it looks like its group. */
double leave_allowed(const struct grouper *g, const struct group *k, int camera,
                     const struct evidence *e);

/* ---- review.c ---- */

enum status review_add(struct group_review *r, int *capacity, enum group_review_kind kind,
                       uint64_t group, int camera, struct error *err);
/* Trials of merge.c and personal.c. */
enum status merge_review(struct grouper *g, struct group_review *r, int *capacity,
                         struct error *err);
enum status personal_review(struct grouper *g, struct group_review *r, int *capacity,
                            struct error *err);

/* ---- conclude.c ---- */

/* What is at hand while a window is concluded. */
struct conclusion {
    struct grouper *g;
    const struct group_review *review;
    /* [limit] of the member trials that count, and of those with an own delta; NULL */
    const struct group_score **scores, **personal;
    struct group_actions *actions;
    int capacity; /* of actions */
    struct error *err;
};

/* Adds an action of which why holds the numbers; fills in what both have in common, and is the
 * camera's last decision. */
enum status act(struct conclusion *c, enum group_action_kind kind, int camera, uint64_t group,
                uint64_t other, bool emptied, struct group_why why);
struct group_why why_none(enum group_why_code code); /* all numbers unknown */

/* Leavers [n] of group `from` form one; whys are theirs, codes included. On the way a window's end.
 */
enum status leave_for_new(struct conclusion *c, uint64_t from, const int *leavers,
                          const struct group_why *whys, int n, enum group_action_kind kind);
/* split.c: parts a group that does badly as a whole and looks like two. */
enum status split_mixed(struct conclusion *c, struct group *k);
enum status merge_conclude(struct conclusion *c);
/* What the camera has: its own delta's score where that is in use, else the shared model's; NULL.
 */
const struct group_score *personal_score(const struct conclusion *c, int camera);
enum status personal_conclude(struct conclusion *c);
/* It has none any more, nor one on trial. */
void personal_forget(struct camera *m);
enum status rest_conclude(struct conclusion *c);

#endif
