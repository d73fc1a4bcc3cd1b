/* board.c - a list of entries under one mutex; an entry is made when its camera is first named. */
#include "server/board.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char id[CAMERA_ID_CHARS_MAX + 1];
    double planned_share;
    uint64_t revision;
    uint64_t own; /* number of its personal delta */
    struct board_group group;
    uint64_t told_us; /* 0: nothing was told */
    struct inference_report told;
    struct inference_timing before, later; /* what was told BOARD_RECENT_US apart */
    uint64_t later_us;
};

struct board {
    struct config *config;
    uint64_t first_revision;
    pthread_mutex_t mutex;
    struct entry *entries;
    int count, count_max;
};

enum status board_open(struct config *config, int cameras_max, uint64_t revision,
                       struct board **ret, struct error *err)
{
    struct board *b = calloc(1, sizeof *b);
    if (!b)
        return error_set(err, ST_NOMEM, "no memory for the cameras' settings");
    b->config = config;
    b->first_revision = revision;
    b->count_max = cameras_max;
    b->entries = calloc((size_t)b->count_max, sizeof *b->entries);
    pthread_mutex_init(&b->mutex, NULL);
    if (!b->entries) {
        board_close(&b);
        return error_set(err, ST_NOMEM, "no memory for the cameras' settings");
    }
    *ret = b;
    return ST_OK;
}

void board_close(struct board **b)
{
    if (!b || !*b)
        return;
    pthread_mutex_destroy(&(*b)->mutex);
    free((*b)->entries);
    free(*b);
    *b = NULL;
}

static struct entry *find(struct board *b, const char *camera)
{
    for (int i = 0; i < b->count; i++)
        if (strcmp(b->entries[i].id, camera) == 0)
            return &b->entries[i];
    return NULL;
}

/* NULL: the table is full. */
static struct entry *find_or_add(struct board *b, const char *camera)
{
    struct entry *e = find(b, camera);
    if (e || b->count == b->count_max)
        return e;
    e = &b->entries[b->count++];
    *e = (struct entry){.planned_share = INFINITY, .revision = b->first_revision};
    board_group_init(&e->group);
    snprintf(e->id, sizeof e->id, "%s", camera);
    return e;
}

uint64_t board_revision(struct board *b, const char *camera)
{
    pthread_mutex_lock(&b->mutex);
    const struct entry *e = find(b, camera);
    uint64_t revision = e ? e->revision : b->first_revision;
    pthread_mutex_unlock(&b->mutex);
    return revision;
}

void board_group_init(struct board_group *g)
{
    *g = (struct board_group){.members = 1, .weight = 1};
}

static void fill_transmission(struct config *config, const struct settings_live *s,
                              const struct board_group *g, struct transmission_wish *ret)
{
    char law[SETTING_TEXT_BYTES];
    transmission_wish_init(ret);
    config_text(config, SETTINGS_ROW_gaimd_law, law);
    snprintf(ret->group, sizeof ret->group, "%s", g->id);
    ret->members = g->members;
    ret->group_share = s->transmission ? g->share : 0;
    ret->weight = g->weight;
    ret->law = s->gaimd ? gaimd_law_parse(law) : 0;
    ret->exponent = s->gaimd_exponent;
    ret->scale_min = s->upload_scale_min;
    ret->scale_max = s->upload_scale_max;
}

void board_settings(struct board *b, const char *camera, struct client_settings *ret)
{
    struct camera_settings c;
    struct board_group group;
    board_group_init(&group);
    pthread_mutex_lock(&b->mutex);
    const struct entry *e = find(b, camera);
    if (e)
        group = e->group;
    ret->share = e ? e->planned_share : INFINITY;
    ret->revision = e ? e->revision : b->first_revision;
    pthread_mutex_unlock(&b->mutex);
    /* After the revision: a change in between is another revision, and asked for again. */
    const struct settings_live live = config_live(b->config);
    fill_transmission(b->config, &live, &group, &ret->send);
    ret->uplink_kbps = live.uplink_kbps;
    ret->infer = (struct inference_wish){0, 0};
    if (!config_camera(b->config, camera, &c))
        return;
    ret->infer = (struct inference_wish){c.rate, c.resolution};
    if (c.uplink_kbps > 0)
        ret->uplink_kbps = c.uplink_kbps;
    if (c.share > 0)
        ret->share = c.share;
}

void board_changed(struct board *b)
{
    pthread_mutex_lock(&b->mutex);
    b->first_revision++;
    for (int i = 0; i < b->count; i++)
        b->entries[i].revision++;
    pthread_mutex_unlock(&b->mutex);
}

bool board_set_share(struct board *b, const char *camera, double share)
{
    struct camera_settings c;
    bool fixed = config_camera(b->config, camera, &c) && c.share > 0;
    pthread_mutex_lock(&b->mutex);
    struct entry *e = find_or_add(b, camera);
    bool changed = e && !fixed && e->planned_share != share;
    if (changed) {
        e->planned_share = share;
        e->revision++;
    }
    pthread_mutex_unlock(&b->mutex);
    return changed;
}

static bool near(double a, double b)
{
    return fabs(a - b) <= BOARD_SAME_PART * fmax(fabs(a), fabs(b));
}

bool board_set_group(struct board *b, const char *camera, const struct board_group *g)
{
    pthread_mutex_lock(&b->mutex);
    struct entry *e = find_or_add(b, camera);
    bool changed = e && !(strcmp(e->group.id, g->id) == 0 && e->group.members == g->members &&
                          near(e->group.share, g->share) && near(e->group.weight, g->weight));
    if (changed) {
        e->group = *g;
        e->revision++;
    }
    pthread_mutex_unlock(&b->mutex);
    return changed;
}

void board_get_group(struct board *b, const char *camera, struct board_group *ret)
{
    pthread_mutex_lock(&b->mutex);
    const struct entry *e = find(b, camera);
    if (e)
        *ret = e->group;
    else
        board_group_init(ret);
    pthread_mutex_unlock(&b->mutex);
}

bool board_set_own(struct board *b, const char *camera, uint64_t number)
{
    pthread_mutex_lock(&b->mutex);
    struct entry *e = number ? find_or_add(b, camera) : find(b, camera);
    bool changed = e && e->own != number;
    if (changed)
        e->own = number;
    pthread_mutex_unlock(&b->mutex);
    return changed;
}

uint64_t board_own(struct board *b, const char *camera)
{
    pthread_mutex_lock(&b->mutex);
    const struct entry *e = find(b, camera);
    uint64_t number = e ? e->own : 0;
    pthread_mutex_unlock(&b->mutex);
    return number;
}

static bool timing_since(const struct inference_timing *now, const struct inference_timing *before,
                         struct inference_timing *ret)
{
    return durations_since(&now->run, &before->run, &ret->run) &&
           durations_since(&now->age, &before->age, &ret->age);
}

/* Moves what `recent` counts from along. */
static void note_timing(struct entry *e, const struct inference_timing *t, uint64_t now_us)
{
    struct inference_timing since;
    if (!timing_since(t, &e->later, &since)) { /* the camera has started again */
        e->later = (struct inference_timing){0};
        e->before = e->later;
    } else if (e->told_us == 0 || now_us - e->later_us >= BOARD_RECENT_US) {
        e->before = e->later;
        e->later = *t;
    } else {
        return;
    }
    e->later_us = now_us;
}

void board_report(struct board *b, const char *camera, const struct inference_report *r,
                  uint64_t now_us, struct inference_report *ret_before)
{
    pthread_mutex_lock(&b->mutex);
    struct entry *e = find_or_add(b, camera);
    if (ret_before)
        *ret_before = e ? e->told : *r;
    if (e) {
        note_timing(e, &r->timing, now_us);
        e->told = *r;
        e->told_us = now_us;
    }
    pthread_mutex_unlock(&b->mutex);
}

bool board_told(struct board *b, const char *camera, uint64_t now_us, struct inference_report *ret,
                uint64_t *ret_age_us)
{
    pthread_mutex_lock(&b->mutex);
    const struct entry *e = find(b, camera);
    bool told = e && e->told_us > 0;
    if (told) {
        *ret = e->told;
        *ret_age_us = now_us > e->told_us ? now_us - e->told_us : 0;
    }
    pthread_mutex_unlock(&b->mutex);
    return told;
}

void board_timing(struct board *b, const char *camera, struct inference_timing *ret)
{
    pthread_mutex_lock(&b->mutex);
    const struct entry *e = find(b, camera);
    if (!e || !timing_since(&e->told.timing, &e->before, ret))
        *ret = (struct inference_timing){0};
    pthread_mutex_unlock(&b->mutex);
}

bool board_is_up(struct board *b, const char *camera, uint64_t seen_us, uint64_t now_us)
{
    struct inference_report told;
    uint64_t age_us;
    bool heard = now_us < seen_us || now_us - seen_us < BOARD_SILENT_US;
    return heard && !(board_told(b, camera, 0, &told, &age_us) && told.source[0]);
}

bool board_infers_here(const struct board *b, const char *camera)
{
    return config_camera_has_source(b->config, camera);
}
