/* shared_link.h - one link for many under the virtual clock: whoever has bits to send gets a part
 * of the rate by weight, and nobody's part lies idle while another waits. It is what weighted GAIMD
 * (uplink/gaimd.h) settles at, without its way there. Internal.
 */
#ifndef ATTUNE_EVAL_SHARED_LINK_H
#define ATTUNE_EVAL_SHARED_LINK_H

/* One of those who send. */
struct shared_link_user {
    double weight;  /* > 0 */
    double offered; /* bits that it ever wanted to send... */
    double sent;    /* ...and those that are through */
};

/* dt_s seconds of the link pass: ->sent grows. Time: at most `count` steps over the users. */
void shared_link_advance(double rate_kbps, struct shared_link_user *const *users, int count,
                         double dt_s);

#endif
