/* evidence.c - which differences between scores are real.
 *
 * A score is a mean over frames. Its standard error follows from the frames' own scores where they
 * are known, drawn towards settings.frame_sd as if that had been seen on PRIOR_FRAMES frames more:
 * a handful of frames may agree by chance. Two models on the same frames are compared frame by
 * frame, as what makes a frame hard is hard for both.
 */
#include <math.h>

#include "group/internal.h"

#define PRIOR_FRAMES 4
#define PAIRED_SD 0.5 /* of the differences of two models, in sd of a frame */

struct group_score group_score_none(void)
{
    return (struct group_score){.accuracy = (double)NAN};
}

bool score_known(const struct group_score *x)
{
    return x->accuracy >= 0 && x->accuracy <= 1;
}

/* Standard error of the mean of a[i] - b[i] (b NULL: of a). */
static double error_of(const float *a, const float *b, int n, double prior_sd)
{
    double sum = 0, squares = 0;
    if (n < 1)
        return prior_sd;
    for (int i = 0; i < n && a; i++)
        sum += (double)a[i] - (b ? (double)b[i] : 0);
    for (int i = 0; i < n && a; i++) {
        double d = (double)a[i] - (b ? (double)b[i] : 0) - sum / n;
        squares += d * d;
    }
    double seen = a ? n - 1 : 0;
    return sqrt((PRIOR_FRAMES * prior_sd * prior_sd + squares) / (PRIOR_FRAMES + seen) / n);
}

double score_error(const struct group_settings *s, const struct group_score *x)
{
    return error_of(x->by_frame, NULL, x->frames, s->frame_sd);
}

struct evidence score_difference(const struct group_settings *s, const struct group_score *a,
                                 const struct group_score *b)
{
    if (!score_known(a) || !score_known(b))
        return (struct evidence){(double)NAN, (double)NAN};
    struct evidence e = {.difference = a->accuracy - b->accuracy};
    bool paired = a->by_frame && b->by_frame && a->frames == b->frames;
    e.error = error_of(paired ? a->by_frame : NULL, paired ? b->by_frame : NULL,
                       a->frames < b->frames ? a->frames : b->frames, PAIRED_SD * s->frame_sd);
    return e;
}

struct evidence shortfall(const struct group_settings *s, double accuracy, int frames,
                          double offset, double reference, int reference_frames, int members)
{
    double own = s->frame_sd * s->frame_sd / (frames > 0 ? frames : 1);
    double others = s->frame_sd * s->frame_sd / (reference_frames > 0 ? reference_frames : 1);
    double between = s->camera_sd * s->camera_sd * (1 + 1.0 / (members > 0 ? members : 1));
    return (struct evidence){reference + offset - accuracy, sqrt(own + others + between)};
}

double shortfall_allowed(const struct group_settings *s, const struct evidence *e)
{
    return s->gap + s->confidence / 2 * e->error;
}
