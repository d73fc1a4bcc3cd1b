/* settings.c - defaults and ranges. */
#include "base/names.h"
#include "group/internal.h"

static const char *const policy_names[] = {
#define POLICY_TEXT(name, text) text,
    GROUP_POLICY_LIST(POLICY_TEXT)
#undef POLICY_TEXT
};

const char *group_policy_name(enum group_policy p)
{
    return names_text(policy_names, NAMES_COUNT(policy_names), p, "unknown");
}

enum group_policy group_policy_parse(const char *name)
{
    return (enum group_policy)names_find(policy_names, NAMES_COUNT(policy_names), name,
                                         GROUP_POLICY_COUNT);
}

void group_settings_init(struct group_settings *s)
{
    *s = (struct group_settings){.policy = GROUP_POLICY_ATTUNE,
                                 .near_time_us = (uint64_t)600 * 1000000,
                                 .near_place_m = 2000,
                                 .signature_unit = 1.5,
                                 .signature_max = 3,
                                 .members_max = 32,
                                 .candidates_max = 5,
                                 .zoo_tries = 2,
                                 .join_margin = 0.01,
                                 .drop = 0.05,
                                 .gap = 0.05,
                                 .target = 2,
                                 .gain = 0.003,
                                 .patience = 2,
                                 .frame_sd = 0.08,
                                 .camera_sd = 0.03,
                                 .confidence = 1.64,
                                 .merge_pairs_max = 16,
                                 .personal_gain = 0.02};
}

void group_settings_suit(struct group_settings *s, enum task_kind task)
{
    if (task != TASK_DETECT)
        return;
    s->frame_sd = 0.13;
    s->camera_sd = 0.05;
}

static enum status check_range(const char *name, double v, double min, double max,
                               struct error *err)
{
    if (v >= min && v <= max)
        return ST_OK;
    return error_set(err, ST_INVALID, "grouping: %s is %g, and must be %g to %g", name, v, min,
                     max);
}

enum status group_settings_check(const struct group_settings *s, struct error *err)
{
    const struct {
        const char *name;
        double value, min, max;
    } ranges[] = {{"policy", s->policy, 0, GROUP_POLICY_COUNT - 1},
                  {"near_time_us", (double)s->near_time_us, 0, 1e18},
                  {"near_place_m", s->near_place_m, 0, 1e9},
                  {"signature_unit", s->signature_unit, 1e-9, 1e9},
                  {"signature_max", s->signature_max, 0, 1e9},
                  {"members_max", s->members_max, 1, GROUP_MEMBERS_MAX},
                  {"candidates_max", s->candidates_max, 0, GROUP_CANDIDATES_MAX},
                  {"zoo_tries", s->zoo_tries, 0, GROUP_ZOO_TRIES_MAX},
                  {"join_margin", s->join_margin, -1, 1},
                  {"drop", s->drop, 0, 1},
                  {"gap", s->gap, 0, 1},
                  {"target", s->target, 0, 1e9},
                  {"gain", s->gain, -1, 1},
                  {"patience", s->patience, 1, 100},
                  {"rest_windows", s->rest_windows, 0, 1e6},
                  {"frame_sd", s->frame_sd, 0, 1},
                  {"camera_sd", s->camera_sd, 0, 1},
                  {"confidence", s->confidence, 0, 10},
                  {"merge_pairs_max", s->merge_pairs_max, 0, GROUP_MERGE_PAIRS_MAX},
                  {"personal_max", s->personal_max, 0, GROUP_PERSONAL_MAX},
                  {"personal_gain", s->personal_gain, 0, 1},
                  {"personal_mib_price", s->personal_mib_price, 0, 1},
                  {"personal_s_price", s->personal_s_price, 0, 1}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        enum status st =
            check_range(ranges[i].name, ranges[i].value, ranges[i].min, ranges[i].max, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}
