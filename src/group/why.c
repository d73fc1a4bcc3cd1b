/* why.c - decisions as sentences. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "group/internal.h"

static const char *const why_names[] = {
#define WHY_TEXT(name, text) text,
    GROUP_WHY_LIST(WHY_TEXT)
#undef WHY_TEXT
};

static const char *const action_names[] = {
#define ACTION_TEXT(name, text) text,
    GROUP_ACTION_LIST(ACTION_TEXT)
#undef ACTION_TEXT
};

const char *group_why_name(enum group_why_code c)
{
    return names_text(why_names, NAMES_COUNT(why_names), c, "unknown");
}

const char *group_action_name(enum group_action_kind k)
{
    return names_text(action_names, NAMES_COUNT(action_names), k, "unknown");
}

/* Text that is put together in pieces; what does not fit is cut. */
struct line {
    char *text;
    size_t used, size;
};

static void say(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct line *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->text + l->used, l->size - l->used, format, args);
    va_end(args);
    if (n > 0)
        l->used = l->used + (size_t)n < l->size ? l->used + (size_t)n : l->size - 1;
}

static void say_distance(struct line *l, const struct group_why *w)
{
    if (isfinite(w->signature))
        say(l, "; its looks are %.2f units away", w->signature);
    if (isfinite(w->place_m))
        say(l, "%s %.0f m away", isfinite(w->signature) ? "," : "; it is", w->place_m);
}

static void say_joined(struct line *l, const struct group_why *w)
{
    say(l, "group %llu: its model reaches %.3f on the camera's frames",
        (unsigned long long)w->group, w->accuracy);
    if (isfinite(w->reference))
        say(l, ", against %.3f %s %.3f", w->reference,
            w->code == GROUP_WHY_BETTER ? "of what it had, which it must exceed by"
                                        : "on its members, and may differ by",
            w->margin);
    if (w->code == GROUP_WHY_ALIKE)
        say(l, "; it has not trained yet, so place, time and looks decided");
    say_distance(l, w);
    say(l, " (%d models tried)", w->tried);
}

static void say_alone(struct line *l, const struct group_why *w)
{
    say(l, "alone in group %llu: ", (unsigned long long)w->group);
    if (w->code == GROUP_WHY_NEW)
        say(l, "no group is near in place, time and looks");
    else if (w->code == GROUP_WHY_POLICY)
        say(l, "the policy groups nobody");
    else
        say(l, "no group's model is as good here as on its own members");
    if (isfinite(w->accuracy))
        say(l, "; it begins with a model that reaches %.3f", w->accuracy);
    say(l, " (%d models tried)", w->tried);
}

static void say_left(struct line *l, const struct group_why *w)
{
    say(l, "left group %llu for %llu: ", (unsigned long long)w->other,
        (unsigned long long)w->group);
    if (w->code == GROUP_WHY_FELL)
        say(l, "its accuracy fell to %.3f from %.3f", w->accuracy, w->reference);
    else if (w->code == GROUP_WHY_HELD)
        say(l,
            "even with a delta of its own the shared model reaches %.3f here and %.3f on the "
            "others, %.3f is allowed",
            w->accuracy, w->reference, w->margin);
    else
        say(l, "the shared model reaches %.3f here and %.3f on the others, %.3f is allowed",
            w->accuracy, w->reference, w->margin);
    say(l, ", %d windows in a row", w->windows);
    if (w->code == GROUP_WHY_SPLIT)
        say(l, ", with others that differ in the same way");
}

static void say_mixed(struct line *l, const struct group_why *w)
{
    say(l,
        "left group %llu for %llu: the group had %.3f and is at %.3f for %d windows, and its "
        "members "
        "look like two kinds that are %.2f units apart",
        (unsigned long long)w->other, (unsigned long long)w->group, w->reference, w->accuracy,
        w->windows, w->signature);
}

static void say_merged(struct line *l, const struct group_why *w)
{
    say(l,
        "group %llu took in group %llu: one model serves both (%.3f on the other's members, whose "
        "own reaches %.3f, %.3f is allowed; %d windows in a row)",
        (unsigned long long)w->group, (unsigned long long)w->other, w->accuracy, w->reference,
        w->margin, w->windows);
}

static void say_rest(struct line *l, const struct group_why *w)
{
    if (w->code == GROUP_WHY_RESTED)
        say(l, "group %llu rests at %.3f: the last %d windows brought less than %.4f each",
            (unsigned long long)w->group, w->accuracy, w->windows, w->margin);
    else
        say(l, "group %llu trains again: its accuracy is %.3f, and was %.3f",
            (unsigned long long)w->group, w->accuracy, w->reference);
}

static void say_personal(struct line *l, const struct group_why *w)
{
    say(l,
        "its own delta on top of group %llu's model brings %.3f -> %.3f, and it is %s when it "
        "brings %.3f for %d windows in a row",
        (unsigned long long)w->group, w->reference, w->accuracy,
        w->code == GROUP_WHY_PERSONAL ? "used" : "used only", w->margin, w->windows);
}

static void say_why(struct line *l, const struct group_why *w)
{
    switch (w->code) {
    case GROUP_WHY_NEW:
    case GROUP_WHY_ALONE:
    case GROUP_WHY_POLICY:
        say_alone(l, w);
        break;
    case GROUP_WHY_JOINED:
    case GROUP_WHY_BETTER:
    case GROUP_WHY_ALIKE:
        say_joined(l, w);
        break;
    case GROUP_WHY_STAYED:
        say(l,
            "stays in group %llu: its model reaches %.3f here, against %.3f on its members, and "
            "may "
            "differ by %.3f",
            (unsigned long long)w->group, w->accuracy, w->reference, w->margin);
        break;
    case GROUP_WHY_FELL:
    case GROUP_WHY_BEHIND:
    case GROUP_WHY_HELD:
    case GROUP_WHY_SPLIT:
        say_left(l, w);
        break;
    case GROUP_WHY_MIXED:
        say_mixed(l, w);
        break;
    case GROUP_WHY_MERGED:
        say_merged(l, w);
        break;
    case GROUP_WHY_PERSONAL:
    case GROUP_WHY_SHARED:
        say_personal(l, w);
        break;
    case GROUP_WHY_RESTED:
    case GROUP_WHY_WOKEN:
        say_rest(l, w);
        break;
    case GROUP_WHY_COUNT:
        break;
    }
}

void group_why_text(const struct group_why *w, char *text)
{
    struct line l = {text, 0, GROUP_REASON_CHARS};
    *text = 0;
    say_why(&l, w);
}

static void say_present(struct line *l, const struct grouper *g, const struct camera *c,
                        const struct group *k)
{
    say(l, "In group %llu with %d other%s", (unsigned long long)k->id, k->count - 1,
        k->count == 2 ? "" : "s");
    for (int i = 0, said = 0; i < k->count && said < 8; i++)
        if (&g->cameras[k->members[i]] != c)
            say(l, "%s%s", said++ ? ", " : " (", g->cameras[k->members[i]].id);
    say(l, "%s", k->count > 9 ? ", ...)" : k->count > 1 ? ")" : "");
    if (isfinite(c->accuracy) && isfinite(k->accuracy))
        say(l, ", at %.3f where the group has %.3f", c->accuracy, k->accuracy);
    if (c->behind)
        say(l, ", behind it for %d window%s", c->behind, c->behind == 1 ? "" : "s");
    if (c->personal)
        say(l, ", with a delta of its own");
    say(l, "%s. Last decision: ", k->resting ? ", resting" : "");
    say_why(l, &c->why);
}

enum status grouper_explain(const struct grouper *g, int camera, struct group_explanation *ret,
                            struct error *err)
{
    if (!grouper_camera_id(g, camera))
        return error_set(err, ST_NOT_FOUND, "there is no camera number %d", camera);
    const struct camera *c = &g->cameras[camera];
    const struct group *k = group_find(g, c->group);
    *ret = (struct group_explanation){.group = c->group,
                                      .members = k ? k->count : 0,
                                      .accuracy = c->accuracy,
                                      .group_accuracy = k ? k->accuracy : (double)NAN,
                                      .behind_windows = c->behind,
                                      .moves = c->moves,
                                      .personal = c->personal,
                                      .resting = k && k->resting,
                                      .why = c->why};
    struct line l = {ret->text, 0, sizeof ret->text};
    if (k)
        say_present(&l, g, c, k);
    else
        say(&l, "In no group: it never asked for retraining.");
    return ST_OK;
}
