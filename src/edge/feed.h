/* feed.h - a source at its own pace: live streams as they come, files and the town in real time.
 *
 * A frame is made ready before it is due and handed out when it is due. Frames that are overdue by
 * more than a frame period are left out and counted, so the camera stays at the present whatever
 * happens to it. A live source that breaks off, or sends nothing for timeout_s, is opened again,
 * for ever, after waits that double up to FEED_WAIT_MAX_US and start over once it has delivered for
 * FEED_STEADY_US. Its clock may jump; its codec, size and frame rate may be others after that:
 * frames keep the size of the first.
 *
 * Owns:    the source; what feed_next lends is valid until the next call.
 * Threads: one at a time; options.cancel may be set from any.
 * Time:    paces by base/clock.h.
 * Memory:  nothing is allocated for a frame after the first.
 */
#ifndef ATTUNE_EDGE_FEED_H
#define ATTUNE_EDGE_FEED_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "flow/records.h"
#include "video/source.h"

#define FEED_WAIT_FIRST_US ((uint64_t)500000)
#define FEED_WAIT_MAX_US ((uint64_t)30 * 1000000)
#define FEED_STEADY_US ((uint64_t)30 * 1000000)

struct feed_options {
    const char *url;              /* video/source.h or synth/source.h */
    const char *credentials_file; /* NULL: none; its first line is USER:PASSWORD, read at each
                                   * opening, so that it may change */
    enum video_transport transport;
    const char *tls_ca; /* video/source.h; NULL: whoever answers is taken for the camera */
    double timeout_s;   /* without a picture, after which a live source is opened anew; 0: 10 */
    int width, height;  /* of the frames handed out: others are scaled; 0: as the source has them */
    struct mask *mask;  /* video/mask.h, painted into every picture; borrowed; NULL: none */
    double fps;         /* 0: the source's own */
    bool boxes;         /* the truth is wanted in boxes (task/detect.h) */
    uint64_t seed;      /* of the back-off */
    const atomic_bool *cancel;
    atomic_uint_fast64_t *beats; /* grows while feed_next waits, for a watchdog; NULL: none */
    /* NULL: none. From feed_next: why a live source does not deliver, NULL when it does again. */
    void (*on_source)(void *context, const char *reason);
    void *context;
};

struct feed;

#define FEED_URL_BYTES 2048

/* The video alone, unpaced, with what the credentials file has now; not of the town. */
enum status feed_open_source(const struct feed_options *o, struct video_source **ret,
                             struct error *err);

enum status feed_open(const struct feed_options *options, struct feed **ret, struct error *err);
void feed_close(struct feed **f);

struct feed_view {
    struct frame frame;            /* t_us: source time; pixels NULL: it was passed over */
    const struct label_map *truth; /* town classes at the frame's size, or boxes of town classes;
                                    * NULL: not known */
    const char *condition;         /* of the town, "" elsewhere */
    uint64_t index;                /* counts frames that were left out, too */
    /* Monotonic: when it was ready, less what it had to wait for the camera to ask for it; above
     * that of the frame before. */
    uint64_t available_us;
};

/* Frames before the index pixels_from may come without pixels, which saves work: the town need not
 * be drawn, and video, which is decoded throughout, not be scaled and converted. ST_END: the file
 * or scenario is over, or cancel was set. */
enum status feed_next(struct feed *f, uint64_t pixels_from, struct feed_view *out,
                      struct error *err);

struct feed_stats {
    uint64_t late;     /* frames left out */
    uint64_t restarts; /* of a live source */
};

void feed_stats_get(const struct feed *f, struct feed_stats *ret);

double feed_fps(const struct feed *f);       /* 30 where the source does not say */
bool feed_has_truth(const struct feed *f);   /* the town */
bool feed_passes_free(const struct feed *f); /* without pixels a frame costs nothing: the town */

#endif
