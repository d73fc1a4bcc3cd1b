/* traffic.c - rows of slots. Distances along a row are computed in double precision (IEEE, so
 * still exact everywhere): after a day a lane has moved hundreds of kilometres. */
#include "synth/traffic.h"

#include <string.h>

#include "synth/town.h"

#define BEFORE_M 20.0f /* rows begin this far behind the camera */
#define PEOPLE_DEPTH_M 70.0f
#define PEOPLE_ROWS 4
#define PARKING_S 1800

struct row {
    float x, speed_m_s, slot_m, jitter_m, begin_y, end_y;
    int direction;
    uint32_t seed;
    float share; /* of slots taken at full traffic */
    bool crowd;  /* people and cyclists, not vehicles */
};

struct listing {
    const struct scene *scene;
    const struct pose *pose;
    const struct site *site;
    uint64_t t_us;
    struct actor *actors;
    int count;
};

static void add(struct listing *l, struct actor a)
{
    struct vec3 rel = vec3_sub(a.at, l->pose->eye);
    a.depth = vec3_dot(rel, l->pose->forward);
    if (a.depth < -8.0f || l->count == ACTORS_MAX)
        return;
    l->actors[l->count++] = a;
}

static float density(const struct listing *l, const struct row *r, float ago_s)
{
    uint64_t ago_us = ago_s > 0 ? (uint64_t)(ago_s * 1e6f) : 0;
    uint64_t then_us = l->t_us > ago_us ? l->t_us - ago_us : 0;
    struct town_condition c = scenario_condition(
        l->site->scenario, l->site->seed, l->site->district, l->site->x_m, l->site->y_m, then_us);
    return (r->crowd ? c.crowd : c.traffic) * r->share;
}

/* How far a row has moved; it breathes a little, as traffic does. */
static double row_distance(const struct row *r, uint64_t t_us)
{
    uint64_t period_us = 17000000 + r->seed % 9000000u;
    float breath = exact_sin((float)(t_us % period_us) / (float)period_us);
    return (double)r->speed_m_s * ((double)t_us * 1e-6) + (double)(r->seed % 10007u) +
           (double)(breath * r->speed_m_s * 0.7f);
}

static int vehicle_class(uint32_t hash)
{
    float u = exact_unit(exact_hash(hash, 3, 3));
    return u < 0.62f ? TOWN_CAR : u < 0.81f ? TOWN_LORRY : TOWN_BUS;
}

static void list_row(struct listing *l, const struct row *r, int class_id)
{
    double moved = row_distance(r, l->t_us);
    float span = r->end_y - r->begin_y;
    int64_t last = (int64_t)(moved / (double)r->slot_m);
    int64_t first = (int64_t)((moved - (double)span) / (double)r->slot_m) - 1;
    for (int64_t k = first; k <= last; k++) {
        uint32_t h = exact_hash((uint32_t)k, (uint32_t)((uint64_t)k >> 32), r->seed);
        float along = (float)(moved - (double)k * (double)r->slot_m) -
                      r->jitter_m * exact_unit(exact_hash(h, 1, 1));
        if (along < 0 || along > span)
            continue;
        if (exact_unit(exact_hash(h, 2, 2)) >= density(l, r, along / r->speed_m_s))
            continue;
        float side =
            (exact_unit(exact_hash(h, 4, 4)) - 0.5f) * (class_id == TOWN_PERSON ? 0.5f : 0.3f);
        float y = r->direction > 0 ? r->begin_y + along : r->end_y - along;
        add(l, (struct actor){.class_id = class_id ? class_id : vehicle_class(h),
                              .at = {r->x + side, y, 0},
                              .direction = (float)r->direction,
                              .stride = along * 0.68f + exact_unit(h),
                              .seed = h});
    }
}

static void list_vehicles(struct listing *l)
{
    const struct street *st = &l->scene->street;
    for (int i = 0; i < st->lane_count; i++) {
        struct row r = {.x = st->lanes[i].x,
                        .speed_m_s = st->lanes[i].speed_m_s,
                        .slot_m = 15.5f,
                        .jitter_m = 3.0f,
                        .begin_y = -BEFORE_M,
                        .end_y = st->length + 8.0f,
                        .direction = st->lanes[i].direction,
                        .seed = exact_hash(l->scene->seed, (uint32_t)i, 100),
                        .share = 0.85f};
        list_row(l, &r, 0);
    }
}

static void list_cyclists(struct listing *l)
{
    const struct street *st = &l->scene->street;
    for (int side = -1; side <= 1; side += 2) {
        struct row r = {.x = (float)side * st->cycle_x,
                        .speed_m_s = 4.1f + 0.5f * (float)side,
                        .slot_m = 7.0f,
                        .jitter_m = 3.5f,
                        .begin_y = -BEFORE_M,
                        .end_y = PEOPLE_DEPTH_M,
                        .direction = side,
                        .seed = exact_hash(l->scene->seed, (uint32_t)(side + 1), 200),
                        .share = 0.6f,
                        .crowd = true};
        list_row(l, &r, TOWN_CYCLIST);
    }
}

static void list_people(struct listing *l)
{
    const struct street *st = &l->scene->street;
    for (int i = 0; i < 2 * PEOPLE_ROWS; i++) {
        int side = i & 1, n = i >> 1;
        float width = st->pavement[side] - 1.0f;
        float x = st->half_width + 0.55f + width * (float)n / (float)(PEOPLE_ROWS - 1);
        struct row r = {.x = side ? x : -x,
                        .speed_m_s = 1.05f + 0.13f * (float)n,
                        .slot_m = 2.6f,
                        .jitter_m = 1.6f,
                        .begin_y = -BEFORE_M,
                        .end_y = PEOPLE_DEPTH_M,
                        .direction = (n + side) & 1 ? 1 : -1,
                        .seed = exact_hash(l->scene->seed, (uint32_t)i, 300),
                        .share = 0.55f,
                        .crowd = true};
        list_row(l, &r, TOWN_PERSON);
    }
}

static void list_parked(struct listing *l)
{
    const struct street *st = &l->scene->street;
    uint32_t shift = (uint32_t)(l->t_us / ((uint64_t)PARKING_S * 1000000));
    if (st->parking_x <= 0)
        return;
    for (int side = -1; side <= 1; side += 2)
        for (int n = 0; (float)n * 6.2f < st->length - 12.0f; n++) {
            float y = -6.0f + (float)n * 6.2f;
            uint32_t h = exact_hash(l->scene->seed + shift, (uint32_t)n, (uint32_t)(401 + side));
            bool keep_free = (y > st->crossing0 - 5 && y < st->crossing1 + 5) ||
                             (y > st->zebra - 6 && y < st->zebra + 6);
            if (keep_free || exact_unit(exact_hash(h, 2, 2)) > 0.7f)
                continue;
            add(l, (struct actor){.class_id = TOWN_CAR,
                                  .at = {(float)side * st->parking_x, y, 0},
                                  .direction = (float)side,
                                  .parked = true,
                                  .seed = h});
        }
}

static void sort_by_depth(struct actor *a, int n)
{
    for (int i = 1; i < n; i++) {
        struct actor x = a[i];
        int j = i;
        for (; j > 0 && a[j - 1].depth > x.depth; j--)
            a[j] = a[j - 1];
        a[j] = x;
    }
}

int traffic_list(const struct scene *s, const struct pose *pose, const struct site *site,
                 uint64_t t_us, struct actor actors[ACTORS_MAX])
{
    struct listing l = {s, pose, site, t_us, actors, 0};
    list_vehicles(&l);
    list_parked(&l);
    list_cyclists(&l);
    list_people(&l);
    sort_by_depth(actors, l.count);
    return l.count;
}
