#include "server/grouping.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/grouping_internal.h"

#define LOOK_US (CONTROL_SECOND_US / 2) /* between looks for something to ask */
#define REVIEW_FRAMES_MAX 8
#define CHUNKS_READ_MAX 64

struct server *grouping_server(const struct grouping *g)
{
    return g->control->server;
}

int grouping_seat(const struct grouping *g, uint64_t number)
{
    const struct control *c = g->control;
    for (int i = 0; number && i < c->count; i++)
        if (c->seats[i].trainee.number == number && control_sits(c, i))
            return i;
    return -1;
}

static const char *camera_id(const struct grouping *g, int camera)
{
    return grouper_camera_id(g->grouper, camera);
}

bool grouping_may(const struct grouping *g, int camera)
{
    return camera_id(g, camera) && !control_paused(g->control, camera_id(g, camera));
}

bool grouping_is_ours(const struct grouping *g, int camera)
{
    return camera >= 0 && camera < grouping_server(g)->set.cameras_max;
}

/* ---- frames and models of a trial ---- */

struct newest_chunks {
    uint64_t seq[TRIAL_CHUNKS_MAX]; /* a ring */
    int count;
};

static void note_chunk(const struct store_chunk *c, void *context)
{
    struct newest_chunks *n = context;
    n->seq[n->count++ % TRIAL_CHUNKS_MAX] = c->seq;
}

/* The newest labelled chunks after `after`; false when there is none. */
bool grouping_take_chunks(struct grouping *g, const char *camera, uint64_t after)
{
    struct newest_chunks n = {.count = 0};
    struct trial *t = &g->trial;
    if (store_chunks_labelled(grouping_server(g)->store, camera, after, CHUNKS_READ_MAX, note_chunk,
                              &n, NULL) != ST_OK)
        return false;
    t->chunk_count = n.count < TRIAL_CHUNKS_MAX ? n.count : TRIAL_CHUNKS_MAX;
    for (int i = 0; i < t->chunk_count; i++)
        t->seq[i] = n.seq[(n.count - 1 - i) % TRIAL_CHUNKS_MAX];
    snprintf(t->camera, sizeof t->camera, "%s", camera);
    return t->chunk_count > 0;
}

static uint64_t recent_seq(const struct store_camera *c)
{
    return c->seq_last > CHUNKS_READ_MAX ? c->seq_last - CHUNKS_READ_MAX : 0;
}

bool grouping_take_recent_chunks(struct grouping *g, const char *camera)
{
    struct store_camera c;
    return store_camera_get(grouping_server(g)->store, camera, &c, NULL) == ST_OK &&
           grouping_take_chunks(g, camera, recent_seq(&c));
}

/* Frames that the camera's group has not trained on where there are some. */
static bool take_newest_chunks(struct grouping *g, const char *camera)
{
    struct store_camera c;
    if (store_camera_get(grouping_server(g)->store, camera, &c, NULL) != ST_OK)
        return false;
    uint64_t recent = recent_seq(&c);
    uint64_t after = c.trained_seq > recent ? c.trained_seq : recent;
    return grouping_take_chunks(g, camera, after) || grouping_take_chunks(g, camera, recent);
}

static void add_model(struct grouping *g, const char *path, int of)
{
    struct trial_model *m = &g->trial.models[g->trial.model_count];
    snprintf(m->path, sizeof m->path, "%s", path);
    m->frames = 0;
    m->mean = NAN;
    g->now.of[g->trial.model_count++] = of;
}

/* The group's present model. */
void grouping_add_group_model(struct grouping *g, const char *group, int of)
{
    struct store_group s;
    char name[48], path[PATH_MAX] = "";
    if (store_group_get(grouping_server(g)->store, group, &s, NULL) != ST_OK)
        return;
    snprintf(name, sizeof name, "v%llu.snap", (unsigned long long)s.version);
    if (s.version > 0)
        store_model_path(grouping_server(g)->store, group, name, path);
    add_model(g, path, of);
}

static void add_number_model(struct grouping *g, uint64_t number, int of)
{
    int seat = grouping_seat(g, number);
    if (seat >= 0)
        grouping_add_group_model(g, g->control->seats[seat].trainee.id, of);
}

static void add_zoo_model(struct grouping *g, uint64_t entry, int of)
{
    char name[GROUPING_PATH_CHARS + 1], path[PATH_MAX];
    if (!grouping_zoo_path(g, entry, name))
        return;
    snprintf(path, sizeof path, "%s/%s", store_dir(grouping_server(g)->store), name);
    add_model(g, path, of);
}

static void add_own_model(struct grouping *g, const char *camera, int of)
{
    int seat = control_seat_with(g->control, camera);
    if (seat >= 0)
        grouping_add_group_model(g, g->control->seats[seat].trainee.id, of);
}

/* ---- a request ---- */

static void forget_question(struct grouping *g)
{
    group_review_clear(&g->now.review);
    free(g->now.by_frame);
    g->now = (struct question){.kind = ASKING_NOTHING};
}

/* The chunks that show the camera's new world, and what a look at them needs. */
static bool prepare_looks(struct grouping *g, int camera, uint64_t after)
{
    const char *id = camera_id(g, camera);
    g->trial = (struct trial){.frames_max = config_live(grouping_server(g)->config).group_frames};
    return after ? grouping_take_chunks(g, id, after) : take_newest_chunks(g, id);
}

static void ask_looks(struct grouping *g)
{
    g->now.kind = ASKING_LOOKS;
    g->now.tries = 0;
    add_own_model(g, camera_id(g, g->now.camera), 0);
}

/* Phase 1: what to try is the grouper's to say. */
static void ask_request(struct grouping *g)
{
    struct question *q = &g->now;
    struct error err;
    struct trial *t = &g->trial;
    const struct group_conditions *c = &g->cameras[q->camera].conditions;
    if (grouper_request(g->grouper, q->camera, c, clock_wall_us(), g->zoo, &q->request, &err) !=
        ST_OK) {
        log_write(LOG_WARN, "no grouping", "why=\"%s\"", err.message);
        forget_question(g);
        return;
    }
    q->kind = ASKING_REQUEST;
    q->tries = 0;
    t->model_count = 0;
    for (int i = 0; i < q->request.trial_count && t->model_count < TRIAL_MODELS_MAX; i++) {
        const struct group_trial *trial = &q->request.trials[i];
        if (trial->kind == GROUP_MODEL_OWN)
            add_own_model(g, camera_id(g, q->camera), i);
        else if (trial->kind == GROUP_MODEL_GROUP)
            add_number_model(g, trial->id, i);
        else
            add_zoo_model(g, trial->id, i);
    }
}

static struct group_place place_of(double latitude_deg, double longitude_deg)
{
    return isfinite(latitude_deg) && isfinite(longitude_deg)
               ? group_place_of_degrees(latitude_deg, longitude_deg)
               : group_place_unknown();
}

/* What was good until now is kept before it is trained away. */
static void keep_past(struct grouping *g, int camera, uint64_t since_us)
{
    struct group_view view;
    const struct watched_camera *w = &g->cameras[camera];
    int seat = control_seat_with(g->control, camera_id(g, camera));
    if (seat >= 0 && w->conditions.looks_known &&
        grouper_group(g->grouper, grouper_group_of(g->grouper, camera), &view))
        grouping_keep_model(g, g->control->seats[seat].trainee.id, since_us, &w->conditions,
                            view.accuracy);
}

static void take_row(struct grouping *g, int camera, const struct store_request *r)
{
    struct watched_camera *w = &g->cameras[camera];
    keep_past(g, camera, r->drift.since_us);
    group_conditions_init(&w->conditions);
    w->conditions.place = place_of(r->drift.latitude_deg, r->drift.longitude_deg);
    w->conditions.time_us = r->drift.t_us;
    w->conditions.looks_known = r->drift.has_signature;
    w->conditions.signature = r->drift.signature;
    g->now = (struct question){.camera = camera, .row = r->id};
    if (r->drift.has_signature)
        ask_request(g);
    else
        ask_looks(g);
}

struct open_rows {
    struct store_request *rows; /* [cameras_max] */
    int count, count_max;
};

static void note_row(const struct store_request *r, void *context)
{
    struct open_rows *o = context;
    if (o->count < o->count_max)
        o->rows[o->count++] = *r;
}

/* The oldest request whose camera has shown its new world. */
static bool next_row(struct grouping *g, uint64_t now_us)
{
    int most = grouping_server(g)->set.cameras_max;
    struct open_rows o = {.count_max = most};
    o.rows = calloc((size_t)most, sizeof *o.rows);
    if (!o.rows || store_requests_open(grouping_server(g)->store, note_row, &o, NULL) != ST_OK)
        o.count = 0;
    bool found = false;
    for (int i = 0; i < o.count && !found; i++) {
        int camera = grouper_find(g->grouper, o.rows[i].drift.camera);
        if (!grouping_is_ours(g, camera) || !grouping_may(g, camera) ||
            now_us < g->cameras[camera].not_before_us ||
            !prepare_looks(g, camera, o.rows[i].drift.seq))
            continue;
        take_row(g, camera, &o.rows[i]);
        found = true;
    }
    free(o.rows);
    return found;
}

/* A camera that is new, or has left a group. */
static bool next_asking(struct grouping *g, uint64_t now_us)
{
    for (int i = 0; i < grouper_camera_limit(g->grouper) && grouping_is_ours(g, i); i++) {
        struct watched_camera *w = &g->cameras[i];
        struct store_camera c;
        if (!w->asks || now_us < w->not_before_us || !grouping_may(g, i) ||
            !prepare_looks(g, i, 0) ||
            store_camera_get(grouping_server(g)->store, camera_id(g, i), &c, NULL) != ST_OK)
            continue;
        w->conditions.place = place_of(c.latitude_deg, c.longitude_deg);
        w->conditions.time_us = clock_wall_us();
        g->now = (struct question){.camera = i};
        ask_looks(g);
        return true;
    }
    return false;
}

/* ---- deciding ---- */

static void note_start(struct grouping *g, const struct group_decision *d)
{
    char *start = g->cameras[g->now.camera].start;
    start[0] = '\0';
    if (!d->formed || d->start == GROUP_MODEL_OWN)
        return;
    if (d->start == GROUP_MODEL_ZOO) {
        zoo_use(g->zoo, d->start_id, clock_wall_us());
        grouping_zoo_path(g, d->start_id, start);
        return;
    }
    struct store_group from;
    int seat = grouping_seat(g, d->start_id);
    if (seat >= 0 && store_group_get(grouping_server(g)->store, g->control->seats[seat].trainee.id,
                                     &from, NULL) == ST_OK)
        if (from.version > 0)
            snprintf(start, GROUPING_PATH_CHARS + 1, "models/%s/v%llu.snap", from.id,
                     (unsigned long long)from.version);
}

static void say(struct grouping *g, int camera, const char *kind, const struct group_why *why)
{
    char text[GROUP_REASON_CHARS];
    group_why_text(why, text);
    server_event(grouping_server(g), camera >= 0 ? camera_id(g, camera) : "", kind,
                 json_pack("{s:s,s:i,s:o,s:o}", "why", group_why_name(why->code), "tried",
                           why->tried, "score", server_json_real(why->accuracy), "reference",
                           server_json_real(why->reference)),
                 "%s", text);
}

static void close_row(struct grouping *g, const struct group_why *why)
{
    char text[GROUP_REASON_CHARS];
    struct error err;
    if (!g->now.row)
        return;
    group_why_text(why, text);
    enum status st =
        store_request_close(grouping_server(g)->store, g->now.row, text, clock_wall_us(), &err);
    if (st != ST_OK && st != ST_NOT_FOUND)
        log_write(LOG_ERROR, "request not closed", "why=\"%s\"", err.message);
}

/* Phase 2. */
static void decide(struct grouping *g)
{
    struct question *q = &g->now;
    struct watched_camera *w = &g->cameras[q->camera];
    struct group_decision d;
    struct error err;
    if (grouper_decide(g->grouper, &q->request, &d, &err) != ST_OK) {
        log_write(LOG_WARN, "no grouping", "why=\"%s\"", err.message);
        forget_question(g);
        return;
    }
    w->asks = false;
    w->not_before_us = clock_mono_us() + GROUPING_PAUSE_US;
    note_start(g, &d);
    say(g, q->camera, "grouped", &d.why);
    close_row(g, &d.why);
    forget_question(g);
    grouping_write(g);
    grouping_show(g);
}

static struct group_score score_of(const struct trial_model *m, const float *by_frame)
{
    return (struct group_score){
        .accuracy = m->frames ? m->mean : (double)NAN, .frames = m->frames, .by_frame = by_frame};
}

static void answer_request(struct grouping *g)
{
    struct question *q = &g->now;
    for (int i = 0; i < g->trial.model_count; i++)
        q->request.trials[q->of[i]].score = score_of(&g->trial.models[i], g->trial.models[i].score);
    decide(g);
}

static void answer_looks(struct grouping *g)
{
    struct group_conditions *c = &g->cameras[g->now.camera].conditions;
    c->looks_known = g->trial.has_signature;
    c->signature = g->trial.signature;
    ask_request(g);
}

/* ---- the review ---- */

static bool start_review(struct grouping *g, uint64_t now_us)
{
    struct error err;
    if (now_us < g->review_us)
        return false;
    g->review_us =
        now_us + (uint64_t)(config_live(grouping_server(g)->config).group_window_s * 1e6);
    g->now = (struct question){.kind = ASKING_REVIEW, .camera = -1};
    if (grouper_review(g->grouper, clock_wall_us(), &g->now.review, &err) == ST_OK &&
        g->now.review.trial_count > 0)
        g->now.by_frame = calloc((size_t)g->now.review.trial_count, sizeof *g->now.by_frame);
    if (g->now.by_frame)
        return true;
    forget_question(g);
    return false;
}

static bool asks_for_own(const struct group_review *r, int camera)
{
    for (int i = 0; i < r->trial_count; i++)
        if (r->trials[i].kind == GROUP_REVIEW_PERSONAL && r->trials[i].camera == camera)
            return true;
    return false;
}

/* What the question's camera is asked about, on its newest frames; with a delta of its own among
 * it, on those that came after that was trained. */
static void add_review_models(struct grouping *g)
{
    struct question *q = &g->now;
    const struct group_review *r = &q->review;
    bool own = asks_for_own(r, q->camera) && grouping_own_frames(g, q->camera);
    if (!own && !take_newest_chunks(g, camera_id(g, q->camera)))
        return;
    for (int i = q->next; i < r->trial_count; i++) {
        if (r->trials[i].camera != q->camera || g->trial.model_count >= TRIAL_MODELS_MAX)
            continue;
        if (r->trials[i].kind != GROUP_REVIEW_PERSONAL)
            add_number_model(g, r->trials[i].group, i);
        else if (own)
            grouping_own_models(g, i);
    }
}

/* All trials on one camera's frames, those of its first one not done yet. */
static bool prepare_review(struct grouping *g)
{
    struct question *q = &g->now;
    const struct group_review *r = &q->review;
    while (q->next < r->trial_count && r->trials[q->next].kind == GROUP_REVIEW_MEMBER) {
        q->camera = r->trials[q->next].camera;
        q->tries = 0;
        g->trial = (struct trial){.frames_max = REVIEW_FRAMES_MAX};
        q->own_use = q->own_trial = -1;
        if (grouping_may(g, q->camera))
            add_review_models(g);
        if (g->trial.model_count > 0)
            return true;
        q->next++;
    }
    return false;
}

/* A group that nobody is in any more leaves its model to the zoo. */
static void keep_emptied(struct grouping *g, uint64_t number, int camera)
{
    int seat = grouping_seat(g, number);
    struct store_camera c;
    if (seat >= 0 && camera >= 0 &&
        store_camera_get(grouping_server(g)->store, camera_id(g, camera), &c, NULL) == ST_OK)
        grouping_keep_model(g, g->control->seats[seat].trainee.id, UINT64_MAX,
                            &g->cameras[camera].conditions, c.accuracy);
}

static void act(struct grouping *g, const struct group_action *a)
{
    say(g, a->camera, "regrouped", &a->why);
    if (a->kind == GROUP_ACTION_LEAVE)
        g->cameras[a->camera].asks = true;
    if (a->emptied)
        keep_emptied(g, a->other, a->camera);
}

static void conclude(struct grouping *g)
{
    struct group_actions actions = {0};
    struct error err;
    if (grouper_conclude(g->grouper, &g->now.review, &actions, &err) != ST_OK)
        log_write(LOG_ERROR, "review", "why=\"%s\"", err.message);
    for (int i = 0; i < actions.count; i++)
        act(g, &actions.items[i]);
    grouping_own_reviewed(g, &actions);
    group_actions_clear(&actions);
    g->reviews++;
    forget_question(g);
    grouping_write(g);
    grouping_show(g);
}

static void next_of_review(struct grouping *g)
{
    g->now.next++;
    if (!prepare_review(g))
        conclude(g);
}

static void answer_review(struct grouping *g)
{
    struct question *q = &g->now;
    struct group_conditions *c = &g->cameras[q->camera].conditions;
    if (g->trial.has_signature && grouping_is_ours(g, q->camera)) {
        c->looks_known = true;
        c->signature = g->trial.signature;
        grouper_signature(g->grouper, q->camera, &c->signature);
    }
    for (int i = 0; i < g->trial.model_count; i++) {
        const struct trial_model *m = &g->trial.models[i];
        if (!grouping_own_counts(g, i))
            continue;
        memcpy(q->by_frame[q->of[i]], m->score, sizeof m->score);
        q->review.trials[q->of[i]].score = score_of(m, q->by_frame[q->of[i]]);
    }
    next_of_review(g);
}

/* ---- the trial at hand ---- */

void grouping_ended(struct grouping *g, const struct executor_report *report)
{
    struct question *q = &g->now;
    q->under_way = false;
    if (report->status == ST_AGAIN)
        return;
    if (report->status != ST_OK && ++q->tries < GROUPING_TRIES_MAX) {
        log_write(LOG_WARN, "trial failed", "camera=%s why=\"%s\"", g->trial.camera,
                  report->why.message);
        return; /* it is started again */
    }
    if (report->status != ST_OK) {
        server_event(grouping_server(g), g->trial.camera, "trial_failed",
                     json_pack("{s:i}", "tries", q->tries), "%s; it is decided without",
                     report->why.message);
        g->trial.model_count = 0;
        g->trial.has_signature = false;
    }
    g->trials++;
    if (q->kind == ASKING_OWN) {
        if (report->status == ST_OK)
            grouping_own_trained(g, report);
        forget_question(g);
    } else if (q->kind == ASKING_LOOKS)
        answer_looks(g);
    else if (q->kind == ASKING_REQUEST)
        answer_request(g);
    else if (q->kind == ASKING_REVIEW)
        answer_review(g);
}

/* ---- moves ---- */

/* Every camera is met once; what it shows first is a request. */
static void meet(struct grouping *g, const char *id)
{
    struct error err;
    int camera = grouper_find(g->grouper, id);
    if (camera < 0 && grouper_camera(g->grouper, id, &camera, &err) != ST_OK)
        return;
    if (!grouping_is_ours(g, camera) || g->cameras[camera].seen)
        return;
    struct watched_camera *w = &g->cameras[camera];
    group_conditions_init(&w->conditions);
    w->seen = true;
    w->asks = grouper_group_of(g->grouper, camera) == 0;
}

/* Where the camera's group in the store is not the one that was decided, it is to move. */
static void follow(struct grouping *g, int seat, const char *id)
{
    int camera = grouper_find(g->grouper, id);
    struct group_explanation e;
    struct error err;
    uint64_t number = grouping_is_ours(g, camera) ? grouper_group_of(g->grouper, camera) : 0;
    if (!number)
        return;
    struct watched_camera *w = &g->cameras[camera];
    grouping_own_tend(g, camera);
    if (g->control->seats[seat].trainee.number == number) {
        w->start[0] = '\0';
        return;
    }
    if (control_paused(g->control, id) || moves_wait(g->control->moves, id) ||
        grouper_explain(g->grouper, camera, &e, &err) != ST_OK)
        return;
    char why[GROUP_REASON_CHARS];
    group_why_text(&e.why, why);
    if (moves_ask(g->control->moves, id, number, w->start, why, &err) == ST_OK)
        w->start[0] = '\0';
}

static void look_after(struct grouping *g)
{
    struct control *c = g->control;
    struct group_view view;
    for (int i = 0; i < c->count; i++) {
        uint64_t number = c->seats[i].trainee.number;
        c->seats[i].resting = grouper_group(g->grouper, number, &view) && view.resting;
        for (int k = 0; k < c->seats[i].trainee.count; k++) {
            meet(g, c->seats[i].trainee.members[k].camera);
            follow(g, i, c->seats[i].trainee.members[k].camera);
        }
    }
}

/* ---- from control ---- */

void grouping_run(struct grouping *g, uint64_t now_us)
{
    if (now_us >= g->looked_us + LOOK_US) {
        g->looked_us = now_us;
        look_after(g);
        if (g->now.kind == ASKING_NOTHING && !next_row(g, now_us) && !next_asking(g, now_us) &&
            !grouping_own_next(g) && start_review(g, now_us) && !prepare_review(g))
            conclude(g);
    }
    if (g->now.kind != ASKING_NOTHING && !g->now.under_way)
        g->now.under_way = control_try(g->control, &g->trial, now_us);
}

/* ---- open, close ---- */

static enum status read_settings(const struct server *s, struct group_settings *ret,
                                 struct error *err)
{
    const struct settings *set = &s->set;
    group_settings_init(ret);
    group_settings_suit(ret, s->student_spec.task);
    ret->policy = s->dividing.grouping;
    ret->near_time_us = (uint64_t)(set->group_time_s * 1e6);
    ret->near_place_m = set->group_distance_m;
    ret->members_max = set->group_cameras;
    ret->candidates_max = set->group_candidates;
    ret->zoo_tries = s->dividing.zoo ? set->zoo_tries : 0;
    ret->personal_max = set->group_own;
    return group_settings_check(ret, err);
}

enum status grouping_open(struct control *c, struct grouping **ret, struct error *err)
{
    struct group_settings s;
    const struct settings *set = &c->server->set;
    *ret = NULL;
    enum status st = read_settings(c->server, &s, err);
    if (st != ST_OK || (s.policy == GROUP_POLICY_NONE && !c->server->dividing.zoo))
        return st;
    struct grouping *g = calloc(1, sizeof *g);
    if (!g)
        return error_set(err, ST_NOMEM, "no memory for groups");
    g->control = c;
    g->review_us =
        clock_mono_us() + (uint64_t)(config_live(c->server->config).group_window_s * 1e6);
    pthread_mutex_init(&g->lock, NULL);
    g->cameras = calloc((size_t)set->cameras_max, sizeof *g->cameras);
    st = g->cameras ? grouping_read(g, &s, err) : error_set(err, ST_NOMEM, "no memory for groups");
    if (st != ST_OK) {
        grouping_close(&g);
        return st;
    }
    grouping_show(g);
    *ret = g;
    return ST_OK;
}

void grouping_close(struct grouping **ptr)
{
    struct grouping *g = ptr ? *ptr : NULL;
    if (!g)
        return;
    forget_question(g);
    grouper_close(&g->grouper);
    zoo_close(&g->zoo);
    json_decref(g->shown);
    pthread_mutex_destroy(&g->lock);
    free(g->cameras);
    free(g);
    *ptr = NULL;
}
