/* town.c - wires a frame: condition, who is there, shapes, light, weather, labels, boxes. Scenes
 * are built at open; a camera's view is baked when its first frame (or the first after a bump) is
 * asked for. */
#include "synth/town.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "synth/lens.h"
#include "synth/mesh.h"
#include "synth/shade.h"
#include "synth/weather.h"

const char *const town_class_names[TOWN_CLASS_COUNT] = {
    "sky", "building", "road", "pavement", "tree", "car", "lorry", "bus", "person", "cyclist"};

const uint8_t town_class_colors[TOWN_CLASS_COUNT][3] = {
    {70, 130, 180}, {110, 110, 110}, {128, 64, 128}, {244, 35, 232}, {107, 142, 35},
    {0, 0, 200},    {0, 150, 220},   {230, 150, 0},  {220, 20, 60},  {255, 220, 0}};

struct camera {
    struct scene scene;
    struct site site;
    struct view view;
    int baked_bumps; /* of view; -1: no view yet */
};

struct town {
    struct town_options options;
    struct scenario scenario;
    struct camera *cameras;
    struct raster *raster;
    struct canvas *canvas;
    float panes[LIGHT_PANES];
    struct actor actors[ACTORS_MAX];
};

void town_options_init(struct town_options *o)
{
    *o =
        (struct town_options){.seed = 1, .cameras = 2, .districts = 2, .width = 320, .height = 192};
}

static enum status check(const struct town_options *o, struct error *err)
{
    if (o->cameras < 1 || o->cameras > TOWN_CAMERAS_MAX)
        return error_set(err, ST_INVALID, "a town has 1 to %d cameras, not %d", TOWN_CAMERAS_MAX,
                         o->cameras);
    if (o->districts < 1 || o->districts > SCENARIO_DISTRICTS_MAX)
        return error_set(err, ST_INVALID, "a town has 1 to %d districts, not %d",
                         SCENARIO_DISTRICTS_MAX, o->districts);
    if (o->width < TOWN_SIDE_MIN || o->width > TOWN_SIDE_MAX || o->width % 2 ||
        o->height < TOWN_SIDE_MIN || o->height > TOWN_SIDE_MAX || o->height % 2)
        return error_set(err, ST_INVALID,
                         "the town's pictures have even sides of %d to %d pixels, not %dx%d",
                         TOWN_SIDE_MIN, TOWN_SIDE_MAX, o->width, o->height);
    return ST_OK;
}

/* Districts lie on a grid, a camera somewhere near the middle of its own. */
static void place(struct town *t, int camera)
{
    struct camera *c = &t->cameras[camera];
    int d = camera % t->options.districts;
    uint32_t h = exact_hash((uint32_t)t->options.seed, (uint32_t)camera, 91);
    c->site = (struct site){.scenario = &t->scenario,
                            .seed = t->options.seed,
                            .district = d,
                            .x_m = (float)(d % 4) * 900.0f + exact_unit(h) * 250.0f,
                            .y_m = (float)(d / 4) * 700.0f + exact_unit(h * 3) * 250.0f};
    c->baked_bumps = -1;
    scene_build(&c->scene, t->options.seed, camera);
}

enum status town_open(const struct town_options *options, struct town **ret, struct error *err)
{
    struct town_options o;
    town_options_init(&o);
    if (options)
        o = *options;
    enum status st = check(&o, err);
    if (st != ST_OK)
        return st;
    struct town *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(err, ST_NOMEM, "no memory for a town");
    t->options = o;
    t->cameras = calloc((size_t)o.cameras, sizeof *t->cameras);
    if (!t->cameras)
        st = error_set(err, ST_NOMEM, "no memory for a town's cameras");
    if (st == ST_OK && o.scenario)
        t->scenario = *o.scenario;
    else if (st == ST_OK)
        st = scenario_preset("clear", &t->scenario, err);
    t->options.scenario = &t->scenario;
    if (st == ST_OK)
        st = raster_open(o.width, o.height, &t->raster, err);
    if (st == ST_OK)
        st = canvas_open(o.width, o.height, &t->canvas, err);
    if (st != ST_OK) {
        town_close(&t);
        return st;
    }
    for (int i = 0; i < o.cameras; i++)
        place(t, i);
    *ret = t;
    return ST_OK;
}

void town_close(struct town **t)
{
    if (!t || !*t)
        return;
    for (int i = 0; (*t)->cameras && i < (*t)->options.cameras; i++)
        view_clear(&(*t)->cameras[i].view);
    free((*t)->cameras);
    raster_close(&(*t)->raster);
    canvas_close(&(*t)->canvas);
    free(*t);
    *t = NULL;
}

static enum status prepare_view(struct town *t, int camera, uint64_t t_us, struct error *err)
{
    struct camera *c = &t->cameras[camera];
    struct scenario_bump bump;
    int bumps = scenario_bump_at(&t->scenario, camera, t_us, &bump);
    if (bumps == c->baked_bumps)
        return ST_OK;
    struct pose pose = bumps ? scene_pose(&c->scene, &bump) : c->scene.pose;
    view_clear(&c->view);
    c->baked_bumps = -1;
    enum status st =
        view_bake(&c->view, &c->scene, &pose, t->options.width, t->options.height, err);
    if (st == ST_OK)
        c->baked_bumps = bumps;
    return st;
}

/* Marks pixels of the ground inside a convex outline. */
static void mark_shadow(struct town *t, const struct view *v, const struct raster_vertex *p, int n,
                        uint8_t bits)
{
    float low = 1e9f, high = -1e9f;
    for (int i = 0; i < n; i++) {
        low = p[i].y < low ? p[i].y : low;
        high = p[i].y > high ? p[i].y : high;
    }
    int y0 = (int)exact_clamp(low, 0, (float)v->height);
    int y1 = (int)exact_clamp(high + 1, 0, (float)v->height);
    for (int y = y0; y < y1; y++) {
        float left = 1e9f, right = -1e9f, at = (float)y + 0.5f;
        for (int i = 0, j = n - 1; i < n; j = i++) {
            if ((p[i].y > at) == (p[j].y > at))
                continue;
            float x = p[i].x + (at - p[i].y) / (p[j].y - p[i].y) * (p[j].x - p[i].x);
            left = x < left ? x : left;
            right = x > right ? x : right;
        }
        int x0 = (int)exact_clamp(left + 0.5f, 0, (float)v->width);
        int x1 = (int)exact_clamp(right + 0.5f, 0, (float)v->width);
        size_t row = (size_t)y * (size_t)v->width;
        for (int x = x0; x < x1; x++)
            if (v->ground[row + (size_t)x])
                t->canvas->shadow[row + (size_t)x] |= bits;
    }
}

static void draw_actors(struct town *t, const struct stage *stage, int count, float actor_lamp[256])
{
    memset(t->canvas->shadow, 0, (size_t)t->options.width * (size_t)t->options.height);
    raster_clear(t->raster);
    for (int i = 0; i < count; i++) {
        const struct actor *a = &t->actors[i];
        struct vec3 waist = {a->at.x, a->at.y, 1.0f};
        actor_lamp[i + 1] = scene_lamp_light(stage->scene, waist, (struct vec3){0, 0, 0});
        mesh_draw(stage, a, (uint8_t)(i + 1));
        struct raster_vertex outline[RASTER_VERTICES_MAX];
        int n = mesh_shadow(stage, a, outline);
        if (n >= 3)
            mark_shadow(t, stage->view, outline, n, SHADOW_SUN);
        n = a->class_id == TOWN_PERSON ? 0 : mesh_footprint(stage, a, outline);
        if (n >= 3)
            mark_shadow(t, stage->view, outline, n, SHADOW_CONTACT);
    }
}

/* The pool of light that headlamps throw on the ground before them. */
static void throw_beam(struct town *t, const struct view *v, const struct actor *a, float strength)
{
    if (a->class_id == TOWN_PERSON || a->class_id == TOWN_CYCLIST || a->parked)
        return;
    float nose = a->class_id == TOWN_CAR ? 2.0f : a->class_id == TOWN_LORRY ? 4.2f : 5.3f;
    struct raster_vertex box[4];
    float low = 1e9f, high = -1e9f, left = 1e9f, right = -1e9f;
    for (int i = 0; i < 4; i++) {
        struct vec3 at = {a->at.x + (i & 1 ? 2.6f : -2.6f),
                          a->at.y + a->direction * (nose + (i & 2 ? 13.0f : 0.3f)), 0};
        if (!mesh_project(v, at, &box[i]))
            return;
        low = box[i].y < low ? box[i].y : low;
        high = box[i].y > high ? box[i].y : high;
        left = box[i].x < left ? box[i].x : left;
        right = box[i].x > right ? box[i].x : right;
    }
    int x0 = (int)exact_clamp(left, 0, (float)v->width);
    int x1 = (int)exact_clamp(right + 1, 0, (float)v->width);
    int y0 = (int)exact_clamp(low, 0, (float)v->height);
    int y1 = (int)exact_clamp(high + 1, 0, (float)v->height);
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) {
            size_t at = (size_t)y * (size_t)v->width + (size_t)x;
            if (!v->ground[at])
                continue;
            struct vec3 d =
                view_direction(&v->pose, v->width, v->height, (float)x + 0.5f, (float)y + 0.5f);
            struct vec3 p = vec3_add(v->pose.eye, vec3_scale(d, 1.0f / v->inv_depth[at]));
            float along = (p.y - a->at.y) * a->direction - nose, side = p.x - a->at.x;
            if (along < 0 || along > 13.0f)
                continue;
            float wide = 0.8f + 0.14f * along, q = side / wide;
            float k = exact_smooth(0, 2.0f, along) * (1.0f - along * (1.0f / 13.0f));
            t->canvas->beam[at] += strength * k / (1.0f + q * q * q * q);
        }
}

static void throw_beams(struct town *t, const struct view *v, const struct light *l, int count)
{
    size_t n = (size_t)v->width * (size_t)v->height;
    memset(t->canvas->beam, 0, n * sizeof *t->canvas->beam);
    float dark = l->lamp[0] * (1.0f / LIGHT_LAMP);
    if (dark < 0.1f)
        return;
    for (int i = 0; i < count; i++)
        throw_beam(t, v, &t->actors[i], 0.55f * dark);
}

static void add_glow(struct town *t, const struct view *v, const struct light *l, struct vec3 at,
                     const float color[3], float size_m)
{
    struct raster_vertex p;
    if (!mesh_project(v, at, &p) || !raster_visible(t->raster, v, &p))
        return;
    float k = v->pose.focal * (float)v->width * p.inv_depth;
    struct glow g = {.x = p.x, .y = p.y, .radius = size_m * k + 0.0022f * (float)v->width};
    float clear = exact_decay(l->fog_per_m / p.inv_depth);
    for (int i = 0; i < 3; i++)
        g.color[i] = color[i] * clear;
    float haze = exact_clamp(l->fog_per_m * 12.0f, 0, 1);
    weather_glow(t->canvas, &g, haze);
    struct raster_vertex mirror;
    if (l->wet > 0 && mesh_project(v, (struct vec3){at.x, at.y, -at.z}, &mirror))
        weather_streak(t->canvas, &g, l->wet, mirror.y, v);
}

static void add_glows(struct town *t, const struct stage *stage, const struct light *l, int count)
{
    const struct view *v = stage->view;
    float lamp = l->lamp[0] * (1.0f / LIGHT_LAMP);
    for (int i = 0; i < stage->scene->lamp_count && lamp > 0.05f; i++) {
        const float color[3] = {2.4f * lamp, 1.7f * lamp, 0.85f * lamp};
        add_glow(t, v, l, stage->scene->lamps[i], color, 0.16f);
    }
    for (int i = 0; i < count && l->beacons > 0.05f; i++) {
        struct beacon b[2];
        int n = mesh_beacons(&t->actors[i], v->pose.eye, b);
        float k = l->beacons * (t->actors[i].class_id == TOWN_CYCLIST ? 0.5f : 1.0f);
        for (int j = 0; j < n; j++) {
            const float front[3] = {2.6f * k, 2.4f * k, 2.0f * k};
            const float rear[3] = {1.0f * k, 0.05f * k, 0.03f * k};
            add_glow(t, v, l, b[j].at, b[j].rear ? rear : front, b[j].rear ? 0.09f : 0.12f);
        }
    }
}

static void paint_frame(struct town *t, const struct stage *stage, int camera, uint64_t t_us,
                        int count, const float *actor_lamp, struct frame *frame)
{
    const struct camera *c = &t->cameras[camera];
    struct town_condition now = scenario_condition(&t->scenario, t->options.seed, c->site.district,
                                                   c->site.x_m, c->site.y_m, t_us);
    struct light l;
    light_of(&now, &l);
    light_panes(&l, c->scene.seed, t_us, t->panes);
    throw_beams(t, stage->view, &l, count);
    struct shade_input in = {.view = stage->view,
                             .raster = t->raster,
                             .light = &l,
                             .panes = t->panes,
                             .actor_lamp = actor_lamp,
                             .t_us = t_us,
                             .seed = c->scene.seed,
                             .tint = c->scene.tint};
    shade_canvas(t->canvas, &in);
    add_glows(t, stage, &l, count);
    if (l.rain_drops > 0)
        weather_rain(t->canvas, &l, c->scene.seed, t_us);
    if (l.snow_flakes > 0)
        weather_snow(t->canvas, &l, c->scene.seed, t_us);
    lens_spoil(t->canvas, &t->scenario, camera, t_us);
    shade_develop(t->canvas, &in, frame);
}

struct extent {
    int x0, y0, x1, y1;
};

/* The class of each pixel: a moving thing's when it covers at least half of it. */
static void label_pixels(const struct town *t, const struct view *v, uint8_t *classes,
                         struct extent extents[256])
{
    const struct raster *r = t->raster;
    int k = r->samples, stride = r->width * k;
    for (int y = 0; y < v->height; y++) {
        uint8_t *row = classes ? classes + (size_t)y * (size_t)v->width : NULL;
        if (row)
            memcpy(row, v->class_id + (size_t)y * (size_t)v->width, (size_t)v->width);
        for (int x = r->row_begin[y]; x < r->row_end[y]; x++) {
            int covered = 0, id = 0;
            for (int i = 0; i < k * k; i++) {
                int here =
                    r->id[(size_t)(y * k + i / k) * (size_t)stride + (size_t)(x * k + i % k)];
                covered += here != 0;
                id = here ? here : id;
            }
            if (covered * 2 < k * k || !id)
                continue;
            if (row)
                row[x] = (uint8_t)t->actors[id - 1].class_id;
            struct extent *e = &extents[id];
            *e = (struct extent){x < e->x0 ? x : e->x0, y < e->y0 ? y : e->y0,
                                 x + 1 > e->x1 ? x + 1 : e->x1, y + 1 > e->y1 ? y + 1 : e->y1};
        }
    }
}

static size_t list_boxes(const struct town *t, const struct extent extents[256], int count,
                         struct box *boxes, size_t boxes_max)
{
    size_t n = 0;
    for (int i = 0; i < count && n < boxes_max; i++) {
        const struct extent *e = &extents[i + 1];
        if (e->x1 - e->x0 < 3 || e->y1 - e->y0 < 3)
            continue; /* hidden, or too far to be anything */
        boxes[n++] = (struct box){(float)e->x0, (float)e->y0,          (float)e->x1,
                                  (float)e->y1, t->actors[i].class_id, 1.0f};
    }
    return n;
}

static enum status check_outputs(const struct town *t, int camera, const struct frame *frame,
                                 const struct label_map *labels, struct error *err)
{
    int w = t->options.width, h = t->options.height;
    if (camera < 0 || camera >= t->options.cameras)
        return error_set(err, ST_INVALID, "the town has cameras 0 to %d, not %d",
                         t->options.cameras - 1, camera);
    if ((frame && (frame->width != w || frame->height != h || !frame->pixels)) ||
        (labels && (labels->width != w || labels->height != h || !labels->classes)))
        return error_set(err, ST_INVALID, "the town draws pictures of %dx%d pixels only", w, h);
    return ST_OK;
}

enum status town_render(struct town *t, int camera, uint64_t t_us, struct frame *frame,
                        struct label_map *labels, struct box *boxes, size_t boxes_max,
                        size_t *ret_boxes, struct error *err)
{
    enum status st = check_outputs(t, camera, frame, labels, err);
    if (st == ST_OK && frame)
        frame->t_us = t_us;
    t_us = lens_time(&t->scenario, camera, t_us);
    if (st == ST_OK)
        st = prepare_view(t, camera, t_us, err);
    if (st != ST_OK)
        return st;
    struct camera *c = &t->cameras[camera];
    int count = traffic_list(&c->scene, &c->view.pose, &c->site, t_us, t->actors);
    struct stage stage = {&c->scene, &c->view, t->raster};
    float actor_lamp[256] = {0};
    draw_actors(t, &stage, count, actor_lamp);
    if (frame)
        paint_frame(t, &stage, camera, t_us, count, actor_lamp, frame);
    struct extent extents[256];
    for (int i = 0; i < 256; i++)
        extents[i] = (struct extent){TOWN_SIDE_MAX, TOWN_SIDE_MAX, 0, 0};
    if (labels || boxes_max)
        label_pixels(t, &c->view, labels ? labels->classes : NULL, extents);
    size_t n = list_boxes(t, extents, count, boxes, boxes_max);
    if (ret_boxes)
        *ret_boxes = n;
    return ST_OK;
}

void town_camera_info(const struct town *t, int camera, struct town_camera_info *ret)
{
    const struct camera *c = &t->cameras[camera];
    uint32_t h = exact_hash((uint32_t)t->options.seed, (uint32_t)camera, 92);
    *ret = (struct town_camera_info){.district = c->site.district,
                                     .x_m = c->site.x_m,
                                     .y_m = c->site.y_m,
                                     .heading_deg = exact_floor(exact_unit(h) * 360.0f)};
}

struct town_condition town_condition_at(const struct town *t, int camera, uint64_t t_us)
{
    const struct site *s = &t->cameras[camera].site;
    return scenario_condition(&t->scenario, t->options.seed, s->district, s->x_m, s->y_m, t_us);
}

void town_condition_text(const struct town_condition *c, char *ret, size_t n)
{
    const struct {
        const char *name;
        float value;
    } parts[] = {{"dusk", c->night > 0.3f ? 0.0f : c->dusk},
                 {"night", c->night},
                 {"rain", c->rain},
                 {"fog", c->fog},
                 {"snow", c->snow}};
    size_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && used < n; i++)
        if (parts[i].value >= 0.05f)
            used += (size_t)snprintf(ret + used, n - used, "%s%s %.2f", used ? ", " : "",
                                     parts[i].name, (double)parts[i].value);
    if (!used)
        snprintf(ret, n, "clear day");
}
