/* sharing.c - the table, see sharing.h. */
#include "group/sharing.h"

#include <string.h>

#include "base/names.h"

#define NONE GROUP_POLICY_NONE
#define ECCO GROUP_POLICY_ECCO
#define OURS GROUP_POLICY_ATTUNE
#define PART 0.3 /* of the frames that follow the share: see docs/benchmarks.md */

/* name, division, plan, rule, grouping, fair, by_share, weighted, zoo, personal */
static const struct sharing rows[] = {
    {"independent", SHARING_MICRO, SCHEDULE_ATTUNE, ALLOCATOR_EQUAL, NONE, false, 0, false, false,
     false},
    {"ekya", SHARING_PLANNED, SCHEDULE_THIEF, ALLOCATOR_EQUAL, NONE, false, 0, false, false, false},
    {"recl", SHARING_MICRO, SCHEDULE_ATTUNE, ALLOCATOR_RECL, NONE, false, 0, false, true, false},
    {"ecco", SHARING_MICRO, SCHEDULE_ATTUNE, ALLOCATOR_ECCO, ECCO, true, 1, true, true, false},
    {"attune", SHARING_JOINT, SCHEDULE_ATTUNE, ALLOCATOR_ATTUNE, OURS, true, PART, true, true,
     false},
    {"attune-no-grouping", SHARING_MICRO, SCHEDULE_ATTUNE, ALLOCATOR_ATTUNE, NONE, true, PART, true,
     true, false},
    {"attune-no-fairness", SHARING_MICRO, SCHEDULE_ATTUNE, ALLOCATOR_ATTUNE, OURS, false, PART,
     true, true, false},
    {"attune-fixed-sampling", SHARING_MICRO, SCHEDULE_ATTUNE, ALLOCATOR_ATTUNE, OURS, true, 0, true,
     true, false},
    {"attune-no-gaimd", SHARING_MICRO, SCHEDULE_ATTUNE, ALLOCATOR_ATTUNE, OURS, true, PART, false,
     true, false},
    {"attune-no-zoo", SHARING_MICRO, SCHEDULE_ATTUNE, ALLOCATOR_ATTUNE, OURS, true, PART, true,
     false, false},
    {"attune-personal", SHARING_MICRO, SCHEDULE_ATTUNE, ALLOCATOR_ATTUNE, OURS, true, PART, true,
     true, true},
};

static const char *const division_names[] = {NULL, "plans", "micro-windows", "joint"};

const char *sharing_division_name(enum sharing_division d)
{
    return names_text(division_names, NAMES_COUNT(division_names), d, NULL);
}

const struct sharing *sharing_at(int i)
{
    return i >= 0 && i < (int)(sizeof rows / sizeof rows[0]) ? &rows[i] : NULL;
}

const struct sharing *sharing_find(const char *name)
{
    const struct sharing *s;
    for (int i = 0; (s = sharing_at(i)); i++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

enum status sharing_divide(enum sharing_division d, const char *name, bool infers_here,
                           enum sharing_division *ret, struct error *err)
{
    if (d == SHARING_MICRO && infers_here)
        return error_set(err, ST_INVALID,
                         "policy %s divides training alone: it needs cameras that infer by "
                         "themselves; take attune or ekya",
                         name);
    if (d == SHARING_JOINT)
        d = infers_here ? SHARING_PLANNED : SHARING_MICRO;
    *ret = d;
    return ST_OK;
}

void sharing_allocation(const struct sharing *s, struct allocator_settings *ret)
{
    allocator_settings_init(ret);
    ret->rule = s->rule;
    if (!s->fair)
        ret->fairness = 0;
}
