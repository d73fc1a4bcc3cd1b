/* watch.c - who has the word. */
#include "drift/watch.h"

#include <stdio.h>
#include <string.h>

#include "base/names.h"

static const char *const kind_names[DRIFT_KIND_COUNT] = {
#define NAME(name, text) [DRIFT_##name] = (text),
    DRIFT_KIND_LIST(NAME)
#undef NAME
};

const char *drift_kind_name(enum drift_kind kind)
{
    return names_text(kind_names, NAMES_COUNT(kind_names), (size_t)kind, "none");
}

enum drift_kind drift_kind_parse(const char *name)
{
    return (enum drift_kind)names_find(kind_names, NAMES_COUNT(kind_names), name, DRIFT_NONE);
}

void drift_watch_init(struct drift_watch *w, const struct drift_monitor_options *options,
                      const char (*class_name)[CLASS_NAME_CHARS_MAX + 1], int class_count)
{
    drift_monitor_init(&w->monitor, options);
    drift_faults_init(&w->faults);
    w->class_name = class_name;
    w->class_count = class_count;
}

static void tell_fault(const struct drift_fault_event *e, struct drift_notice *ret)
{
    *ret = (struct drift_notice){
        .kind = e->kind, .over = e->over, .since_us = e->since_us, .score = e->score};
    snprintf(ret->text, sizeof ret->text, "%s: %s", e->what, e->to_do);
}

static void tell_scene(const struct drift_watch *w, bool over, struct drift_notice *ret)
{
    const struct drift_monitor *m = &w->monitor;
    *ret = (struct drift_notice){
        .kind = DRIFT_SCENE, .over = over, .since_us = m->since_us, .score = m->score};
    drift_monitor_text(m, w->class_name, w->class_count, ret->text, sizeof ret->text);
}

static bool in_doubt(const struct drift_faults *f)
{
    return f->state != DRIFT_NONE || f->flat.on || f->same.on || f->moved.on || f->spoilt.on;
}

bool drift_watch_see(struct drift_watch *w, const struct drift_picture *p,
                     struct drift_summary *summary, uint64_t t_us, struct drift_notice *ret)
{
    struct drift_fault_event e;
    bool told = drift_faults_add(&w->faults, p, t_us, &e);
    if (told)
        tell_fault(&e, ret);
    if (told && e.kind == DRIFT_VIEW)
        drift_monitor_moved(&w->monitor);
    drift_monitor_hold(&w->monitor, in_doubt(&w->faults));
    if (told || w->faults.state == DRIFT_BLIND || w->faults.flat.on)
        return told;
    memcpy(summary->feature, p->feature, sizeof p->feature);
    enum drift_change change = drift_monitor_add(&w->monitor, summary, t_us);
    if (change == DRIFT_SAME)
        return false;
    tell_scene(w, change == DRIFT_OVER, ret);
    return true;
}

void drift_watch_swapped(struct drift_watch *w)
{
    drift_monitor_swapped(&w->monitor);
}
