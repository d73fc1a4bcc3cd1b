/* reason.c - a grant as a sentence. */
#include <math.h>
#include <stdio.h>

#include "schedule/internal.h"

static void say_training(const struct schedule_camera *c, const struct schedule_grant *g,
                         const char *verb, char *text)
{
    const struct schedule_option *o = &c->options[g->option];
    char number[32];
    snprintf(number, sizeof number, "configuration %d", o->configuration);
    snprintf(
        text, SCHEDULE_REASON_CHARS,
        "%s %.64s: %.1f s of compute should bring %.1f to %.1f %% (+-%.1f), from %.0f to %.0f s "
        "from now",
        verb, o->name ? o->name : number, o->compute_s, 100 * c->accuracy, 100 * o->accuracy,
        100 * o->accuracy_sd, g->start_s, g->end_s);
}

static const char *say_nothing(enum schedule_why why)
{
    switch (why) {
    case SCHEDULE_WHY_DROP:
        return "gives up its training: what is left of it costs more than it brings";
    case SCHEDULE_WHY_NO_OPTION:
        return "has nothing to train: too few labelled frames, or its training is done";
    case SCHEDULE_WHY_NO_GAIN:
        return "does not train: no configuration is expected to be better than its model";
    case SCHEDULE_WHY_NO_TIME:
        return "does not train: nothing would end within the window";
    case SCHEDULE_WHY_NO_COMPUTE:
        return "does not train: its part of the compute brings more elsewhere";
    default:
        return "does not train: the policy does not train it now";
    }
}

void schedule_reason(const struct schedule_snapshot *s, const struct schedule_plan *p, int i,
                     char *text)
{
    const struct schedule_camera *c = &s->cameras[i];
    const struct schedule_grant *g = &p->grants[i];
    if (g->option < 0)
        snprintf(text, SCHEDULE_REASON_CHARS, "%s", say_nothing(g->why));
    else if (g->why == SCHEDULE_WHY_QUEUE)
        say_training(c, g, "waits its turn for", text);
    else if (g->why == SCHEDULE_WHY_KEEP)
        say_training(c, g, "goes on with", text);
    else
        say_training(c, g, "trains", text);
}
