/* fleet_response.h - how soon a fleet recovers from planted changes.
 *
 * After each change of a camera's conditions (changes_s of the scenario) until the next one: what
 * is recovered is the highest accuracy that any of the compared policies reaches there, so that a
 * policy which never recovers is not quick; the response time is until a policy's accuracy, over a
 * sliding 10 s, is first at 90 % of that after it was below it. One that does not get there counts
 * with the whole time until the next change.
 *
 * Threads: pure.
 */
#ifndef ATTUNE_EVAL_FLEET_RESPONSE_H
#define ATTUNE_EVAL_FLEET_RESPONSE_H

#include "eval/fleet.h"

struct fleet_response {
    int changes, reached; /* counted; and of them, recovered from */
    double mean_s;        /* NaN without a change */
};

/* Of runs[which]; all runs are of the scenario s. */
struct fleet_response fleet_response_of(const struct fleet_scenario *s,
                                        const struct fleet_result *runs, int count, int which);

#endif
