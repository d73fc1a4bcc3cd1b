/* fleet_policy.c - policies by name: those of the scheduler, the paper's baselines, the ablations.
 */
#include <stdio.h>
#include <string.h>

#include "eval/fleet.h"

static enum status append(const struct fleet_policy *p, struct fleet_policy *list, int *count,
                          struct error *err)
{
    if (*count == FLEET_POLICIES_MAX)
        return error_set(err, ST_LIMIT, "at most %d policies can be compared", FLEET_POLICIES_MAX);
    list[(*count)++] = *p;
    return ST_OK;
}

static enum status append_baselines(struct fleet_policy *list, int *count, struct error *err)
{
    static const char *const names[] = {"uniform-c1-50", "uniform-c2-30", "uniform-c2-50",
                                        "uniform-c2-90"};
    enum status st = ST_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && st == ST_OK; i++)
        st = fleet_policy_add(names[i], list, count, err);
    return st;
}

static bool parse_uniform(const char *name, struct fleet_policy *p)
{
    int configuration, percent, used = 0;
    if (sscanf(name, "uniform-c%d-%d%n", &configuration, &percent, &used) != 2 || name[used] ||
        configuration < 1 || configuration > 2 || percent < 0 || percent > 100)
        return false;
    p->settings.policy = SCHEDULE_UNIFORM;
    p->settings.uniform_inference = percent / 100.0;
    p->fixed = true;
    p->costly = configuration == 1;
    return true;
}

static bool parse_ablation(const char *name, struct fleet_policy *p)
{
    p->settings.policy = SCHEDULE_ATTUNE;
    p->only_cheap = strcmp(name, "attune-fixed-configuration") == 0;
    if (strcmp(name, "attune-fixed-split") == 0)
        p->settings.infer_part = 0.5;
    return p->only_cheap || p->settings.infer_part > 0;
}

enum status fleet_policy_add(const char *name, struct fleet_policy *list, int *count,
                             struct error *err)
{
    struct fleet_policy p = {.fixed = false};
    if (strcmp(name, "uniform") == 0)
        return append_baselines(list, count, err);
    snprintf(p.name, sizeof p.name, "%s", name);
    schedule_settings_init(&p.settings);
    if (parse_uniform(name, &p) || parse_ablation(name, &p))
        return append(&p, list, count, err);
    p.settings.policy = schedule_policy_parse(name);
    p.fixed = p.settings.policy == SCHEDULE_ROUND_ROBIN;
    if (p.settings.policy == SCHEDULE_POLICY_COUNT)
        return error_set(err, ST_INVALID,
                         "there is no policy '%.30s': none, uniform, uniform-c1-50 (or c2, any "
                         "percentage), round-robin, thief-printed, thief, exhaustive, attune, "
                         "attune-fixed-split and attune-fixed-configuration are",
                         name);
    return append(&p, list, count, err);
}
