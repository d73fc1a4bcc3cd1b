/* Which cameras the grouper puts together on a measured matrix of accuracies, and what sharing
 * costs there. bench_group_matrix MATRIX.csv [ORDERS]      default 200 orders of arrival
 * MATRIX.csv: a row for each camera's model, a column for each camera that it was tested on; the
 * first column names the model. Without it there is nothing to do, and the program says so.
 *
 * Cameras ask one after the other, in random order, running a model that was made for none of them
 * (on each camera: the mean of the others' models there). A camera that is alone gets the model
 * that was made for it. A group of several gets one of its members' models, the one that is best
 * for all of them: what training on the frames of all would give was not measured, and should not
 * be worse. So the accuracies are lower bounds of sharing, and the number of trainings is what it
 * saves. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/csv.h"
#include "base/rng.h"
#include "group/group.h"

#define CAMERAS_MAX 64
#define WINDOWS 12
#define FRAMES 200
#define SECOND_US ((uint64_t)1000000)

struct matrix {
    int count;
    char names[CAMERAS_MAX][CAMERA_ID_CHARS_MAX + 1];
    double at[CAMERAS_MAX][CAMERAS_MAX]; /* [model][camera] */
};

static enum status read_matrix(const char *path, struct matrix *ret, struct error *err)
{
    struct csv t;
    enum status st = csv_open(path, &t, err);
    if (st != ST_OK)
        return st;
    ret->count = t.row_count;
    if (t.row_count > CAMERAS_MAX || t.row_count != t.column_count - 1)
        st = error_set(err, ST_FORMAT, "%s has %d rows and %d columns, and not one more column",
                       path, t.row_count, t.column_count);
    for (int i = 0; i < t.row_count && st == ST_OK; i++) {
        snprintf(ret->names[i], sizeof ret->names[i], "%s", csv_text(&t, i, 0));
        for (int k = 0; k < t.row_count && st == ST_OK; k++)
            st = csv_number(&t, i, k + 1, 0, 1, &ret->at[i][k], err);
    }
    csv_clear(&t);
    return st;
}

/* The member whose model is best for all members. */
static int model_of(const struct matrix *m, const struct group_view *k)
{
    int best = 0;
    double most = -1;
    for (int i = 0; i < k->member_count; i++) {
        double sum = 0;
        for (int j = 0; j < k->member_count; j++)
            sum += m->at[k->members[i]][k->members[j]];
        if (sum > most) {
            most = sum;
            best = k->members[i];
        }
    }
    return best;
}

static double accuracy_of(const struct matrix *m, const struct grouper *g, uint64_t group,
                          int camera)
{
    struct group_view k;
    return grouper_group(g, group, &k) ? m->at[model_of(m, &k)][camera] : (double)NAN;
}

static double unadapted(const struct matrix *m, int camera)
{
    double sum = 0;
    for (int i = 0; i < m->count; i++)
        sum += i == camera ? 0 : m->at[i][camera];
    return sum / (m->count - 1);
}

static struct group_score score(double accuracy)
{
    return (struct group_score){accuracy, FRAMES, NULL};
}

static enum status ask(const struct matrix *m, struct grouper *g, int camera, double own,
                       uint64_t now_us, struct error *err)
{
    struct group_conditions c;
    struct group_request r;
    struct group_decision d;
    group_conditions_init(&c);
    c.place = group_place_of_map(0, 0);
    enum status st = grouper_request(g, camera, &c, now_us, NULL, &r, err);
    for (int i = 0; i < r.trial_count && st == ST_OK; i++)
        r.trials[i].score = score(i ? accuracy_of(m, g, r.trials[i].id, camera) : own);
    return st == ST_OK ? grouper_decide(g, &r, &d, err) : st;
}

static enum status window(const struct matrix *m, struct grouper *g, uint64_t now_us,
                          struct error *err)
{
    struct group_review r;
    struct group_actions a;
    enum status st = grouper_review(g, now_us, &r, err);
    if (st != ST_OK)
        return st;
    for (int i = 0; i < r.trial_count; i++)
        r.trials[i].score = score(r.trials[i].kind == GROUP_REVIEW_PERSONAL
                                      ? m->at[r.trials[i].camera][r.trials[i].camera]
                                      : accuracy_of(m, g, r.trials[i].group, r.trials[i].camera));
    st = grouper_conclude(g, &r, &a, err);
    for (int i = 0; i < a.count && st == ST_OK; i++)
        if (a.items[i].kind == GROUP_ACTION_LEAVE)
            st = ask(m, g, a.items[i].camera,
                     accuracy_of(m, g, a.items[i].group, a.items[i].camera), now_us, err);
    group_actions_clear(&a);
    group_review_clear(&r);
    return st;
}

struct outcome {
    double accuracy, groups;
    int together[CAMERAS_MAX][CAMERAS_MAX];
};

static enum status run(const struct matrix *m, const struct group_settings *s, uint64_t seed,
                       struct outcome *sum, struct error *err)
{
    int order[CAMERAS_MAX], number;
    struct grouper *g;
    struct rng r;
    enum status st = grouper_open(s, &g, err);
    if (st != ST_OK)
        return st;
    rng_init(&r, seed, 0);
    for (int i = 0; i < m->count && st == ST_OK; i++) {
        int k = (int)rng_below(&r, (uint32_t)i + 1);
        order[i] = order[k];
        order[k] = i;
        st = grouper_camera(g, m->names[i], &number, err);
    }
    for (int i = 0; i < m->count && st == ST_OK; i++)
        st = ask(m, g, order[i], unadapted(m, order[i]), (uint64_t)(i + 1) * SECOND_US, err);
    for (int w = 1; w <= WINDOWS && st == ST_OK; w++)
        st = window(m, g, (uint64_t)(60 * w) * SECOND_US, err);
    for (int i = 0; i < m->count && st == ST_OK; i++) {
        sum->accuracy += accuracy_of(m, g, grouper_group_of(g, i), i) / m->count;
        for (int k = 0; k < m->count; k++)
            sum->together[i][k] += grouper_group_of(g, i) == grouper_group_of(g, k);
    }
    sum->groups += grouper_group_count(g);
    grouper_close(&g);
    return st;
}

static void tell(const struct matrix *m, const char *name, double gap, const struct outcome *o,
                 int orders)
{
    printf("%-7s %4.2f %8.2f %9.3f  ", name, gap, o->groups / orders, o->accuracy / orders);
    for (int i = 0; i < m->count; i++)
        for (int k = i + 1; k < m->count; k++)
            if (o->together[i][k] * 10 >= orders)
                printf(" %s+%s %d %%", m->names[i], m->names[k], o->together[i][k] * 100 / orders);
    printf("\n");
}

int main(int argc, char **argv)
{
    static const double gaps[] = {0.02, 0.05, 0.1, 0.15};
    static struct matrix m;
    static struct outcome o;
    struct error err;
    struct stat info;
    int orders = argc > 2 ? atoi(argv[2]) : 200;
    if (argc < 2 || stat(argv[1], &info) != 0) {
        fprintf(stderr, "bench_group_matrix: skipped, needs a matrix of accuracies (MATRIX.csv)\n");
        return 0;
    }
    enum status st = read_matrix(argv[1], &m, &err);
    if (st == ST_OK)
        printf("policy   gap   groups  accuracy   together in a tenth of %d orders or more\n",
               orders);
    for (int p = 0; p < 4 && st == ST_OK; p++)
        for (int i = 0; i < 4 && st == ST_OK && (p || !i); i++) {
            int personal = p == 3 ? 4 : 0;
            struct group_settings s;
            group_settings_init(&s);
            s.policy = p < 3 ? (enum group_policy)p : GROUP_POLICY_ATTUNE;
            s.gap = gaps[i];
            s.drop = gaps[i];
            s.personal_max = personal;
            o = (struct outcome){0};
            for (int n = 0; n < orders && st == ST_OK; n++)
                st = run(&m, &s, (uint64_t)n, &o, &err);
            tell(&m, p == 3 ? "attune+" : group_policy_name(s.policy), gaps[i], &o, orders);
        }
    if (st != ST_OK)
        fprintf(stderr, "bench_group_matrix: %s\n", err.message);
    return st != ST_OK;
}
