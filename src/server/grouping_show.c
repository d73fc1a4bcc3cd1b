/* grouping_show.c - what was decided about each camera, and the zoo, as JSON (docs/api.md). */
#include <math.h>

#include "server/grouping_internal.h"

static json_t *decision_json(const struct grouping *g, int camera)
{
    struct group_explanation e;
    struct error err;
    if (grouper_explain(g->grouper, camera, &e, &err) != ST_OK)
        return json_null();
    return json_pack("{s:s,s:I,s:s,s:s,s:I,s:o,s:o,s:i,s:i,s:b}", "camera",
                     grouper_camera_id(g->grouper, camera), "number", (json_int_t)e.group, "why",
                     e.group ? group_why_name(e.why.code) : "", "text", e.text, "t_us",
                     (json_int_t)e.why.at_us, "accuracy", server_json_real(e.accuracy),
                     "group_accuracy", server_json_real(e.group_accuracy), "behind_windows",
                     e.behind_windows, "moves", e.moves, "resting", (int)e.resting);
}

static json_t *entry_json(const struct zoo_entry *e)
{
    return json_pack("{s:I,s:s,s:f,s:I,s:I,s:I,s:i}", "entry", (json_int_t)e->id, "model", e->model,
                     "accuracy", e->accuracy, "size_bytes", (json_int_t)e->size_bytes, "added_us",
                     (json_int_t)e->added_us, "used_us", (json_int_t)e->used_us, "uses",
                     (int)e->uses);
}

void grouping_show(struct grouping *g)
{
    json_t *decisions = json_array(), *zoo = json_array();
    for (int i = 0; i < grouper_camera_limit(g->grouper); i++)
        if (grouper_camera_id(g->grouper, i))
            json_array_append_new(decisions, decision_json(g, i));
    for (int i = 0; g->zoo && i < zoo_count(g->zoo); i++)
        json_array_append_new(zoo, entry_json(zoo_at(g->zoo, i)));
    json_t *shown =
        json_pack("{s:s,s:o,s:o,s:I,s:I}", "policy",
                  group_policy_name(grouper_settings(g->grouper)->policy), "decisions", decisions,
                  "zoo", zoo, "trials", (json_int_t)g->trials, "reviews", (json_int_t)g->reviews);
    pthread_mutex_lock(&g->lock);
    json_decref(g->shown);
    g->shown = shown;
    pthread_mutex_unlock(&g->lock);
}

json_t *grouping_json(struct grouping *g)
{
    pthread_mutex_lock(&g->lock);
    json_t *copy = json_deep_copy(g->shown);
    pthread_mutex_unlock(&g->lock);
    return copy;
}
