/* holdout.c - see holdout.h. */
#include "train/holdout.h"

#include <stdbool.h>
#include <string.h>

/* New frames by source. */
struct sources {
    struct {
        int id, fresh;
        bool held;
    } at[HOLDOUT_SOURCES_MAX];
    int count, fresh; /* fresh: of all, those that have no place here too */
};

/* -1: there are too many. */
static int find(struct sources *s, int id)
{
    for (int i = 0; i < s->count; i++)
        if (s->at[i].id == id)
            return i;
    if (s->count == HOLDOUT_SOURCES_MAX)
        return -1;
    s->at[s->count].id = id;
    s->at[s->count].fresh = 0;
    s->at[s->count].held = false;
    return s->count++;
}

static void count_fresh(const struct buffer *b, uint64_t seen_us, struct sources *s)
{
    s->count = s->fresh = 0;
    for (int i = 0; i < buffer_count(b); i++) {
        const struct buffer_entry *e = buffer_at(b, i);
        int k = e->frame.t_us > seen_us ? find(s, e->source) : -1;
        s->fresh += e->frame.t_us > seen_us;
        if (k >= 0)
            s->at[k].fresh++;
    }
}

/* While it is being made, `order` has ~i for a frame that is held out. */
static void hold(int *order, int i)
{
    order[i] = ~i;
}

/* The newest frame of each source that can spare one, `want` at most; how many that are. */
static int hold_one_a_source(const struct buffer *b, struct sources *s, int want, int *order)
{
    int held = 0;
    for (int i = buffer_count(b); s->count > 1 && held < want && i-- > 0;) {
        const struct buffer_entry *e = buffer_at(b, i);
        int k = find(s, e->source);
        if (k < 0 || s->at[k].held || s->at[k].fresh < 2)
            continue;
        s->at[k].held = true;
        hold(order, i);
        held++;
    }
    return held;
}

static int wanted(const struct holdout_rule *rule, int fresh, int count)
{
    int n = (int)(rule->fraction * fresh);
    n = n < 1 ? 1 : n;
    n = n < rule->max ? n : rule->max;
    return n < count ? n : count;
}

/* Puts the frames that are held out behind the others. */
static void partition(int *order, int count)
{
    int end = count;
    for (int i = count; i-- > 0;) {
        int index = ~order[i];
        if (index < 0)
            continue;
        memmove(order + i, order + i + 1, (size_t)(--end - i) * sizeof *order);
        order[end] = index;
    }
}

int holdout_choose(const struct buffer *b, const struct holdout_rule *rule, int *order)
{
    struct sources s;
    int count = buffer_count(b);
    for (int i = 0; i < count; i++)
        order[i] = i;
    count_fresh(b, rule->seen_us, &s);
    int want = wanted(rule, s.fresh, count), held = hold_one_a_source(b, &s, want, order);
    for (int i = count; held < want && i-- > 0;)
        if (order[i] >= 0) {
            hold(order, i);
            held++;
        }
    partition(order, count);
    return held;
}
