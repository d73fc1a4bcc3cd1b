/* fleet_memory.c - profiles and outcomes of a fleet, and the estimates that come of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/fleet_training.h"
#include "profile/pareto.h"

#define OUTCOMES_MAX 100000

void fleet_memory_init(struct fleet_memory *m, enum estimate_source source)
{
    *m = (struct fleet_memory){.source = source};
    history_init(&m->history);
    for (int k = 0; k < CONFIGURATIONS_MAX; k++)
        m->kept[k] = true;
}

void fleet_memory_clear(struct fleet_memory *m)
{
    history_clear(&m->history);
    free(m->outcomes);
    m->outcomes = NULL;
}

/* Rows of one episode stand together: by camera. */
static enum status flush_window(struct fleet_memory *m, struct error *err)
{
    enum status st = ST_OK;
    for (int camera = 0; camera < FLEET_CAMERAS_MAX; camera++)
        for (int i = 0; i < m->row_count && st == ST_OK; i++)
            if (m->rows[i].camera == camera)
                st = history_add(&m->history, &m->rows[i], err);
    m->row_count = 0;
    return st;
}

static void prune(struct fleet_memory *m, const struct train_configurations *all,
                  const struct fleet_costs *costs)
{
    double cost[CONFIGURATIONS_MAX], accuracy[CONFIGURATIONS_MAX];
    struct estimate_item items[CONFIGURATIONS_MAX];
    struct estimate_query q = {.start = NAN, .profiled_start = NAN};
    for (int k = 0; k < all->count; k++) {
        items[k] = (struct estimate_item){.configuration = k, .profiled_end = NAN};
        cost[k] = fleet_costs_of(costs, all, k, 32);
    }
    estimate_make(&m->estimator, &q, items, all->count);
    for (int k = 0; k < all->count; k++)
        accuracy[k] = items[k].accuracy;
    pareto_prune(cost, accuracy, all->count, PARETO_DROP, m->kept);
}

enum status fleet_memory_begin_window(struct fleet_memory *m,
                                      const struct train_configurations *all,
                                      const struct fleet_costs *costs, struct error *err)
{
    enum status st = flush_window(m, err);
    if (st != ST_OK)
        return st;
    estimator_learn(&m->estimator, m->source, &m->history, -1);
    if (m->window > 0 && m->window % PARETO_WINDOWS == 0)
        prune(m, all, costs);
    m->window++;
    for (int i = 0; i < FLEET_CAMERAS_MAX; i++) {
        m->profiled_start[i] = NAN;
        for (int k = 0; k < CONFIGURATIONS_MAX; k++)
            m->profiled[i][k] = m->believed[i][k] = NAN;
    }
    return ST_OK;
}

/* The history speaks for itself once each configuration has been tried a few times. */
static bool needs_profiles(const struct fleet_memory *m)
{
    return m->source == ESTIMATE_PROFILE ||
           (m->source == ESTIMATE_BLEND && m->estimator.episodes < ESTIMATE_EPISODES_MIN);
}

enum status fleet_memory_profile(struct fleet_memory *m, int camera, struct learner *l,
                                 const struct train_configurations *all,
                                 const struct fleet_costs *costs, double *used_s, struct error *err)
{
    struct profile_options o;
    struct profile_result r = {0};
    int of = -1;
    profile_options_init(&o);
    for (int k = 0; k < all->count && needs_profiles(m); k++) {
        if (!m->kept[k])
            continue;
        if (fleet_training_of(all, k) != of) { /* a new training */
            enum status st = profile_run(l, &all->items[k], &o, &r, err);
            if (st == ST_AGAIN)
                return ST_OK;
            if (st != ST_OK)
                return st;
            of = fleet_training_of(all, k);
            *used_s += r.steps * costs->step_s[k] + r.scored * costs->infer_s;
            m->profiled_start[camera] = r.start;
            m->samples[camera] = r.samples;
        }
        m->profiled[camera][k] = profile_at(&r, &all->items[k]);
    }
    return ST_OK;
}

void fleet_memory_estimate(struct fleet_memory *m, int camera, double accuracy,
                           const struct train_configurations *all, struct estimate_item *items)
{
    struct estimate_query q = {.start = accuracy,
                               .profiled_start = m->profiled_start[camera],
                               .profile_samples = m->samples[camera]};
    for (int k = 0; k < all->count; k++)
        items[k] =
            (struct estimate_item){.configuration = k, .profiled_end = m->profiled[camera][k]};
    estimate_make(&m->estimator, &q, items, all->count);
    for (int k = 0; k < all->count; k++)
        m->believed[camera][k] = items[k].accuracy;
}

static enum status note_outcome(struct fleet_memory *m, double estimate, double outcome,
                                uint64_t window, struct error *err)
{
    if (!isfinite(estimate) || !isfinite(outcome) || m->outcome_count == OUTCOMES_MAX)
        return ST_OK;
    struct fleet_outcome *grown =
        realloc(m->outcomes, (size_t)(m->outcome_count + 1) * sizeof *grown);
    if (!grown)
        return error_set(err, ST_NOMEM, "no memory for outcomes");
    m->outcomes = grown;
    m->outcomes[m->outcome_count++] = (struct fleet_outcome){estimate, outcome, window};
    return ST_OK;
}

enum status fleet_memory_add(struct fleet_memory *m, int camera, int configuration,
                             const struct train_configurations *all, double start, double end,
                             struct error *err)
{
    if (m->row_count < (int)(sizeof m->rows / sizeof m->rows[0]))
        m->rows[m->row_count++] =
            (struct history_row){.episode = m->window * FLEET_CAMERAS_MAX + (uint64_t)camera,
                                 .camera = camera,
                                 .configuration = configuration,
                                 .training = fleet_training_of(all, configuration),
                                 .start = start,
                                 .end = end,
                                 .profiled_start = m->profiled_start[camera],
                                 .profiled_end = m->profiled[camera][configuration]};
    return note_outcome(m, m->believed[camera][configuration], end, m->window, err);
}

enum status fleet_memory_score(const struct fleet_memory *m, struct estimate_score *ret,
                               bool *ret_scored, struct error *err)
{
    size_t n = (size_t)m->outcome_count;
    *ret_scored = false;
    if (n == 0)
        return ST_OK;
    double *numbers = malloc(2 * n * sizeof *numbers);
    uint64_t *window = malloc(n * sizeof *window);
    enum status st = numbers && window ? ST_OK : error_set(err, ST_NOMEM, "no memory for scores");
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        numbers[i] = m->outcomes[i].estimate;
        numbers[n + i] = m->outcomes[i].outcome;
        window[i] = m->outcomes[i].window;
    }
    if (st == ST_OK)
        st = estimate_score(numbers, numbers + n, window, (int)n, ret, err);
    *ret_scored = st == ST_OK;
    free(numbers);
    free(window);
    return st;
}
