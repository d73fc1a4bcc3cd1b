/* contender.c - see contender.h. */
#include "eval/contender.h"

#include <stdio.h>
#include <string.h>

static enum status append(const struct contender *c, struct contender *list, int *count,
                          struct error *err)
{
    if (*count == CONTENDERS_MAX)
        return error_set(err, ST_LIMIT, "at most %d policies can be compared", CONTENDERS_MAX);
    list[(*count)++] = *c;
    return ST_OK;
}

static enum status append_baselines(struct contender *list, int *count, struct error *err)
{
    return contender_add_list("uniform-c1-50,uniform-c2-30,uniform-c2-50,uniform-c2-90", list,
                              count, err);
}

static bool parse_uniform(const char *name, struct contender *c)
{
    int configuration, percent, used = 0;
    if (sscanf(name, "uniform-c%d-%d%n", &configuration, &percent, &used) != 2 || name[used] ||
        configuration < 1 || configuration > 2 || percent < 0 || percent > 100)
        return false;
    c->settings.policy = SCHEDULE_UNIFORM;
    c->settings.uniform_inference = percent / 100.0;
    c->range = configuration == 1 ? CONTENDER_COSTLY : CONTENDER_CHEAP;
    return true;
}

static bool parse_ablation(const char *name, struct contender *c)
{
    c->settings.policy = SCHEDULE_ATTUNE;
    if (strcmp(name, "attune-fixed-configuration") == 0)
        c->range = CONTENDER_CHEAP;
    if (strcmp(name, "attune-fixed-split") == 0)
        c->settings.infer_part = 0.5;
    return c->range == CONTENDER_CHEAP || c->settings.infer_part > 0;
}

/* A row of the table that the server has, too; planted is ours with groups that are given. */
static bool parse_sharing(const char *name, struct contender *c)
{
    c->planted = strcmp(name, "planted") == 0;
    const struct sharing *s = sharing_find(c->planted ? "attune" : name);
    if (!s)
        return false;
    c->division = c->planted ? SHARING_MICRO : s->division;
    c->settings.policy = s->plan;
    sharing_allocation(s, &c->allocation);
    c->grouping = c->planted ? GROUP_POLICY_NONE : s->grouping;
    c->by_share = s->by_share;
    c->weighted = s->weighted;
    c->zoo = s->zoo && !c->planted;
    c->personal = s->personal;
    return true;
}

enum status contender_add(const char *name, struct contender *list, int *count, struct error *err)
{
    struct contender c = {
        .range = CONTENDER_ALL, .division = SHARING_PLANNED, .grouping = GROUP_POLICY_NONE};
    if (strcmp(name, "uniform") == 0)
        return append_baselines(list, count, err);
    snprintf(c.name, sizeof c.name, "%s", name);
    schedule_settings_init(&c.settings);
    allocator_settings_init(&c.allocation);
    if (parse_uniform(name, &c) || parse_ablation(name, &c) || parse_sharing(name, &c))
        return append(&c, list, count, err);
    c.settings.policy = schedule_policy_parse(name);
    if (c.settings.policy == SCHEDULE_POLICY_COUNT)
        return error_set(err, ST_INVALID,
                         "there is no policy '%.30s': none, uniform, uniform-c1-50 (or c2, any "
                         "percentage), round-robin, thief-printed, thief, exhaustive, attune, "
                         "attune-fixed-split and attune-fixed-configuration are",
                         name);
    if (c.settings.policy == SCHEDULE_ROUND_ROBIN)
        c.range = CONTENDER_CHEAP;
    return append(&c, list, count, err);
}

enum status contender_add_list(const char *names, struct contender *list, int *count,
                               struct error *err)
{
    for (const char *p = names;;) {
        char word[CONTENDER_NAME_BYTES];
        size_t n = strcspn(p, ",");
        if (n == 0 || n >= sizeof word)
            return error_set(err, ST_INVALID, "'%.80s' is no list of policies between commas",
                             names);
        memcpy(word, p, n);
        word[n] = '\0';
        enum status st = contender_add(word, list, count, err);
        if (st != ST_OK || !p[n])
            return st;
        p += n + 1;
    }
}

bool contender_estimates(const struct contender *c)
{
    enum schedule_policy p = c->settings.policy;
    return p != SCHEDULE_NONE && p != SCHEDULE_UNIFORM && p != SCHEDULE_ROUND_ROBIN;
}
