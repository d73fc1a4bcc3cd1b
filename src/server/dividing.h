/* dividing.h - what the settings `sharing`, `policy`, `grouping` and `zoo_models` come to together:
 * who learns with whom, and who decides whose training is next. Internal.
 *
 * `sharing` names a row of group/sharing.h; `policy` and `grouping` say otherwise where they are
 * not "auto".
 */
#ifndef ATTUNE_SERVER_DIVIDING_H
#define ATTUNE_SERVER_DIVIDING_H

#include "group/sharing.h"
#include "server/settings.h"

enum dividing_by {
    DIVIDING_TURNS = 1, /* AMS's round robin (turns.c) */
    DIVIDING_PLANS,     /* the planner's plans (windows.c) */
    DIVIDING_MICRO      /* the allocator's micro-windows (micro.c) */
};

struct dividing {
    const struct sharing *sharing;
    enum dividing_by by;
    enum schedule_policy plan; /* of plans */
    enum group_policy grouping;
    bool zoo; /* past models are kept and tried */
};

/* ST_INVALID: an unknown name, or micro-windows where the server infers for a camera. */
enum status dividing_read(const struct settings *s, const struct camera_list *cameras,
                          struct dividing *ret, struct error *err);

/* "round-robin", "plans", "micro-windows". */
const char *dividing_by_name(enum dividing_by by);

/* What decides, for people: "round-robin", a policy of plans, "micro-windows". */
const char *dividing_policy(const struct dividing *d);

#endif
